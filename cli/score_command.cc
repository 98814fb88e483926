// `kedge score`: log probabilities of given tokens or text, without servers, in the three ways whose equality is the
// claim.
//
// Tested by tests/score_test.py; the computation by common/engine/score_test.cc and tests/equality_test.cc.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/engine_options.h"
#include "cli/generate_options.h"
#include "cli/open_model.h"
#include "cli/token_list.h"
#include "common/anchor/content.h"
#include "common/anchor/policy.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/engine/score.h"
#include "common/engine/sequence.h"
#include "common/model/config.h"
#include "common/model/model_files.h"
#include "common/node/load_model.h"
#include "common/node/salience_store.h"
#include "common/rpc/flags.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/cut_strength.h"
#include "common/tokenizer/policy_names.h"
#include "common/tokenizer/sentence_splitter.h"
#include "common/tokenizer/sequence_ends.h"
#include "common/tokenizer/tokenizer.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

constexpr uint32_t kMaxTokens = 1 << 20;

struct ScoreOptions {
  EngineOptions engine;
  std::string policy;
  std::string tokens;
  std::string tokens_file;
  std::string text_file;
  std::string path = "whole";
  uint32_t split = 0;
  bool has_split = false;
  uint32_t chunk = 256;
  uint32_t generated_from = UINT32_MAX;
  AnswerFormat format = AnswerFormat::kText;
};

// `tokenizer` may be null where ids are given. A text gets the anchors that `policy` inserts, as prompts do.
absl::StatusOr<std::vector<uint32_t>> ReadIds(const ScoreOptions& options, const Tokenizer* tokenizer,
                                              const Policy& policy) {
  if (!options.text_file.empty()) {
    KEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFileOrStdin(options.text_file));
    if (const std::optional<size_t> offset = FindInvalidUtf8(text)) {
      return absl::InvalidArgumentError(absl::StrCat(options.text_file, ": not valid UTF-8 at byte ", *offset));
    }
    std::vector<size_t> places;  // of anchors
    if (policy.insert.has_value()) places = FindSentenceBreaks(text);
    return EncodePrompt(*tokenizer, text, places, policy.insert.value_or(0));
  }
  std::string list = options.tokens;
  if (!options.tokens_file.empty()) {
    KEDGE_ASSIGN_OR_RETURN(list, ReadFileOrStdin(options.tokens_file));
  }
  return ParseTokenList(list);
}

absl::StatusOr<nlohmann::ordered_json> ComputeScore(const ScoreOptions& options) {
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files,
                         OpenModel(options.engine.model, options.engine.adapter, [] { return false; }));
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*files.base));
  // Ids alone need no vocabulary; text and names such as `sentence` do.
  PolicyNames names{.model_policy = files.adapter_policy(), .vocab_size = static_cast<uint32_t>(config.vocab_size)};
  std::unique_ptr<const Tokenizer> tokenizer;
  if (files.base->Has("tokenizer.ggml.model") || !options.text_file.empty()) {
    KEDGE_ASSIGN_OR_RETURN(tokenizer, Tokenizer::Load(*files.base));
    KEDGE_ASSIGN_OR_RETURN(names, FindPolicyNames(*files.base, *tokenizer, files.adapter_policy()));
  }
  Content content;
  KEDGE_ASSIGN_OR_RETURN(content.policy, ParsePolicy(options.policy, names));
  KEDGE_ASSIGN_OR_RETURN(content.ids, ReadIds(options, tokenizer.get(), content.policy));
  const uint32_t size = static_cast<uint32_t>(content.ids.size());
  content.prompt_length = std::min(options.generated_from, size);
  KEDGE_RETURN_IF_ERROR(
      CheckContent(content, static_cast<uint32_t>(config.vocab_size), static_cast<uint32_t>(config.context_length)));
  const uint32_t split = options.has_split ? options.split : size / 2;
  if (split > size)
    return absl::InvalidArgumentError(absl::StrCat("split: ", split, " is beyond the ", size, " tokens"));
  uint32_t moved = split;  // rows before this one
  if (content.policy.prefill_full || content.policy.write_full) {
    // Such a policy depends on where the prompt ends: there, for all three paths. What moves is the state before the
    // prompt's last row, as in a cluster.
    if (options.generated_from == UINT32_MAX) content.prompt_length = split;
    if (content.prompt_length != split) {
      return absl::InvalidArgumentError(
          "generated-from: under prefill=full and write=full, --split is the prompt's end");
    }
    moved = split > 0 ? split - 1 : 0;
  }
  if (content.policy.text_anchors) {
    if (tokenizer == nullptr) {
      return absl::InvalidArgumentError("policy: anchors=text needs a vocabulary, and this model has none");
    }
    const PromptTokens prompt{.ids = {content.ids.begin(), content.ids.begin() + content.prompt_length}};
    content.sequence_ends = FindSequenceEnds(FindCutStrengths(*tokenizer, prompt), content.policy.longest);
  }
  FoundHeads found;
  if (content.NeedsChoice()) {
    KEDGE_ASSIGN_OR_RETURN(found, FindSalienceHeads(files, config));
    if (!found.calibrated)
      Say("this model's salience heads are not calibrated: all heads choose (see kedge calibrate)");
  }

  KEDGE_ASSIGN_OR_RETURN(DeviceOptions device_options, DeviceOptionsOf(options.engine));
  const uint32_t chunk = options.path == "whole" ? size : options.path == "steps" ? 1 : options.chunk;
  device_options.max_rows = std::min(chunk, size);
  const RowShape shape = config.row_shape(device_options.kv_type);
  device_options.kv_bytes = uint64_t{PagesFor(content, 0, chunk, 0)} * kPageRows * shape.page_row_bytes();
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(files, device_options));
  Score score;
  if (options.path == "whole") {
    KEDGE_ASSIGN_OR_RETURN(score, ScoreWhole(content, found.heads, device.get()));
  } else if (options.path == "steps") {
    KEDGE_ASSIGN_OR_RETURN(score, ScoreSteps(content, found.heads, device.get()));
  } else {
    KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(files));
    KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> second, MakeDevice(files, device_options));
    KEDGE_ASSIGN_OR_RETURN(score,
                           ScoreSplit(content, found.heads, moved, chunk, fingerprint, device.get(), second.get()));
  }
  nlohmann::ordered_json json;
  json["policy"] = ReadablePolicy(content.policy, names);
  json["tokens"] = size;
  json["split"] = split;
  json["logprobs"] = score.logprobs;
  json["kept_rows"] = score.kept_rows;
  json["segment_bytes"] = score.segment_bytes;
  json["full_bytes"] = uint64_t{size} * shape.row_bytes();
  json["kept_ranges"] = nlohmann::ordered_json::array();
  for (const PositionRange& range : score.kept_ranges) json["kept_ranges"].push_back({range.begin, range.end});
  return json;
}

int RunScore(const ScoreOptions& options) {
  const absl::StatusOr<nlohmann::ordered_json> json = ComputeScore(options);
  if (!json.ok()) {
    SayError(json.status());
    return kExitFailed;
  }
  if (options.format == AnswerFormat::kJson) {
    WriteOut(json->dump() + "\n");
    return kExitOk;
  }
  const std::vector<double> logprobs = (*json)["logprobs"];  // of all tokens but the first
  const uint32_t split = (*json)["split"];
  const uint64_t moved = (*json)["segment_bytes"].get<uint64_t>();
  const auto loss = [&](size_t first) {
    const double sum = std::accumulate(logprobs.begin() + first, logprobs.end(), 0.0);
    const double mean = first < logprobs.size() ? -sum / static_cast<double>(logprobs.size() - first) : 0;
    return absl::StrFormat("%.4f nats per token (perplexity %.3f)", mean, std::exp(mean));
  };
  WriteOut(absl::StrFormat(
      "tokens         %d\nloss           %s\nbehind %-7d %s\nkept rows      %d\n%sfull bytes     %d\n",
      (*json)["tokens"].get<uint64_t>(), loss(0), split,
      loss(std::min<size_t>(std::max(split, 1u) - 1, logprobs.size())), (*json)["kept_rows"].get<uint64_t>(),
      moved > 0 ? absl::StrFormat("segment bytes  %d\n", moved) : "",  // nothing moves but with --path split
      (*json)["full_bytes"].get<uint64_t>()));
  return kExitOk;
}

}  // namespace

void AddScoreCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App* command = app->add_subcommand("score", "Log probabilities of a text under a policy; no servers");
  AddEngineOptions(command, &options->engine);
  command->add_option("--policy", options->policy,
                      "anchor policy, e.g. full or window,recent=64 (default: the adapter's, else the model's, else "
                      "salient)");
  CLI::Option_group* input = command->add_option_group("Text", "one of");
  input->add_option("--tokens", options->tokens, "token ids: 1,2,3")->check(CheckTokenList)->type_name("IDS");
  input
      ->add_option("--tokens-file", options->tokens_file,
                   "file of token ids, separated by commas or white space; - is stdin")
      ->type_name(kFileType);
  input
      ->add_option("--text-file", options->text_file,
                   "file of text, cut into tokens by the model's own tokenizer; - is stdin")
      ->type_name(kFileType);
  input->require_option(1);
  command
      ->add_option("--path", options->path,
                   "whole: one pass under the mask; steps: token by token, deleting rows; split: the first tokens in "
                   "one engine, their kept rows through segment bytes into a second one")
      ->check(CLI::IsMember({"whole", "steps", "split"}))
      ->capture_default_str();
  command
      ->add_option("--split", options->split,
                   "tokens of the first engine (default: half of them); under prefill=full and write=full, the "
                   "prompt's length, for all paths: only what is behind it is scored with rows deleted")
      ->check(WholeNumber(0, kMaxTokens))
      ->each([options](const std::string&) { options->has_split = true; });
  command->add_option("--chunk", options->chunk, "rows of one step of split")
      ->check(WholeNumber(1, kMaxTokens))
      ->capture_default_str();
  command->add_option("--generated-from", options->generated_from, "rows from here on have the generated role")
      ->check(WholeNumber(0, kMaxTokens));
  AddFormatOption(command, "text: a summary; json: one object with every log probability", &options->format);
  command->callback([options, action] { *action = [options] { return RunScore(*options); }; });
}

}  // namespace kedge
