// `kedge eval`: what anchor policies cost on a model, as a table and a picture; no servers.
//
// Tested by tests/eval_test.py; the measuring by the tests of eval/.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/engine_options.h"
#include "cli/generate_options.h"
#include "cli/open_model.h"
#include "cli/progress.h"
#include "cli/token_list.h"
#include "common/anchor/policy.h"
#include "common/anchor/salience.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/base/write_file.h"
#include "common/model/config.h"
#include "common/model/model_files.h"
#include "common/node/load_model.h"
#include "common/node/salience_store.h"
#include "common/rpc/flags.h"
#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/policy_names.h"
#include "common/tokenizer/tokenizer.h"
#include "eval/eval_texts.h"
#include "eval/held_out.h"
#include "eval/picture.h"
#include "eval/report.h"
#include "eval/results.h"
#include "eval/run_eval.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr char kDefaultPolicies[] =
    "full; anchors=sentence; anchors=sentence,sinks=4,recent=64,view=all; streaming; sep; window; "
    "salient,salient=0.05; salient; salient,salient=0.1; salient,salient=0.15; salient,salient=0.25";
constexpr uint32_t kBatch = 8;  // sequences that answer at once: their rows must find room

struct EvalFlags {
  EngineOptions engine;
  std::string policies = kDefaultPolicies;
  std::string text_file;
  bool raw = false;
  std::string out;
  uint32_t cases = 10;
  std::vector<uint32_t> lengths = {500, 1000, 2000, 4000};
  AnswerFormat format = AnswerFormat::kText;
};

// `full` is always among them: the others are told relative to it.
absl::StatusOr<std::vector<EvalPolicy>> ParsePolicies(const std::string& list, const PolicyNames& names) {
  std::vector<EvalPolicy> policies;
  auto add = [&](absl::string_view text) -> absl::Status {
    KEDGE_ASSIGN_OR_RETURN(Policy policy, ParsePolicy(text, names));
    const bool known =
        std::any_of(policies.begin(), policies.end(), [&](const EvalPolicy& other) { return other.policy == policy; });
    if (!known) policies.push_back({std::string(text), std::move(policy)});
    return absl::OkStatus();
  };
  KEDGE_RETURN_IF_ERROR(add("full"));
  for (absl::string_view text : absl::StrSplit(list, ';')) {
    text = absl::StripAsciiWhitespace(text);
    if (text.empty()) continue;
    KEDGE_RETURN_IF_ERROR(OfField(absl::StrCat("--policies: ", text), add(text)));
  }
  return policies;
}

// Pages for kBatch sequences under full attention, and some for kept rows: what needs more shares a step with fewer.
uint64_t KvBytes(absl::Span<const EvalText> texts, const RowShape& shape) {
  size_t rows = 0;
  for (const EvalText& text : texts) {
    for (const EvalCase& made : text.cases) {
      const Continuation& continuation = made.continuation;
      rows = std::max(rows, continuation.prompt.size() + continuation.given.size() + continuation.max_new);
    }
  }
  return (rows + 4 * kPageRows) * kBatch * 5 / 4 * shape.row_bytes();
}

// What an earlier run left in the directory, if it measured the same.
EvalResults LoadResults(const std::string& path, EvalSettings settings) {
  if (fs::exists(path)) {
    const absl::StatusOr<std::string> json = ReadFileOrStdin(path);
    absl::StatusOr<EvalResults> results = json.ok() ? ParseResults(*json) : json.status();
    if (results.ok() && results->settings == settings) return *std::move(results);
    Say(absl::StrCat(path, ": ", results.ok() ? "of other settings" : results.status().message(), "; measured anew"));
  }
  return {.settings = std::move(settings)};
}

// Records of policies asked for, in their order.
EvalResults Asked(const EvalResults& results, const EvalOptions& options) {
  EvalResults asked{.settings = results.settings};
  const std::string heads = SalienceHeadsText(options.heads);
  for (const EvalPolicy& policy : options.policies) {
    for (EvalRecord record : results.records) {
      if (record.canonical_policy != CanonicalPolicy(policy.policy)) continue;
      if (!record.heads.empty() && record.heads != heads) continue;
      record.policy = policy.text;
      asked.records.push_back(std::move(record));
    }
  }
  return asked;
}

// DIR/quality.svg, and the figures into the marked part of DIR.md where there is one, else into DIR/figures.md.
absl::Status WriteReport(const std::string& out, const EvalResults& results, const std::string& report) {
  KEDGE_RETURN_IF_ERROR(WriteFile(absl::StrCat(out, "/quality.svg"), QualityPicture(results)));
  const std::string document = absl::StrCat(out, ".md");
  if (!fs::exists(document)) return WriteFile(absl::StrCat(out, "/figures.md"), report);
  KEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFileOrStdin(document));
  const absl::StatusOr<std::string> replaced = ReplaceFigures(text, report);
  if (!replaced.ok()) return OfField(document, replaced.status());
  return WriteFile(document, *replaced);
}

absl::StatusOr<EvalResults> Evaluate(const EvalFlags& flags) {
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files,
                         OpenModel(flags.engine.model, flags.engine.adapter, [] { return false; }));
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const PolicyNames names, FindPolicyNames(*files.base, *tokenizer, files.adapter_policy()));
  EvalOptions options{.end_ids = tokenizer->end_ids(), .batch = kBatch};
  KEDGE_ASSIGN_OR_RETURN(options.policies, ParsePolicies(flags.policies, names));
  KEDGE_ASSIGN_OR_RETURN(FoundHeads found, FindSalienceHeads(files, config));
  options.heads = std::move(found.heads);
  const bool chooses = std::any_of(options.policies.begin(), options.policies.end(),
                                   [](const EvalPolicy& policy) { return policy.policy.salient_millionths > 0; });
  if (chooses && !found.calibrated) {
    Say("this model's salience heads are not calibrated: all heads choose (see kedge calibrate)");
  }

  std::unique_ptr<const ChatTemplate> chat;
  if (!flags.raw) {
    absl::StatusOr<std::unique_ptr<const ChatTemplate>> loaded = ChatTemplate::Load(*files.base, tokenizer.get());
    if (!loaded.ok()) Say(absl::StrCat("questions go as plain text: ", loaded.status().message()));
    if (loaded.ok()) chat = *std::move(loaded);
  }
  std::string own_text;
  std::vector<HeldOutDocument> documents(HeldOutDocuments().begin(), HeldOutDocuments().end());
  if (!flags.text_file.empty()) {
    KEDGE_ASSIGN_OR_RETURN(own_text, ReadFileOrStdin(flags.text_file));
    documents = {{.name = "text-file", .text = own_text}};
  }
  EvalTextOptions text_options{
      .lengths = flags.lengths, .cases = flags.cases, .context_length = static_cast<uint32_t>(config.context_length)};
  std::sort(text_options.lengths.begin(), text_options.lengths.end());
  KEDGE_ASSIGN_OR_RETURN(const std::vector<EvalText> texts,
                         MakeEvalTexts(text_options, documents, *tokenizer, chat.get()));

  KEDGE_ASSIGN_OR_RETURN(DeviceOptions device_options, DeviceOptionsOf(flags.engine));
  device_options.kv_bytes = KvBytes(texts, config.row_shape(device_options.kv_type));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(files, device_options));

  EvalSettings settings{
      .model = absl::StrCat(config.name, flags.engine.adapter.empty() ? "" : " with an adapter"),
      .numerics_class = device->numerics_class(),
      .kv_type = flags.engine.kv_type,
      .text = absl::StrCat(flags.text_file.empty() ? "held-out" : flags.text_file, " ", HashOfTexts(texts)),
      .cases = flags.cases,
      .lengths = text_options.lengths};
  KEDGE_ASSIGN_OR_RETURN(settings.fingerprint, ModelFingerprint(files));
  const std::string results_path = absl::StrCat(flags.out, "/results.json");
  EvalResults results{.settings = settings};
  if (!flags.out.empty()) {
    std::error_code error;  // said now, and not after the first measurement
    fs::create_directories(flags.out, error);
    if (error) return absl::UnavailableError(absl::StrCat("--out: ", flags.out, ": ", error.message()));
    results = LoadResults(results_path, std::move(settings));
  }

  Progress progress;
  const EvalHooks hooks{
      .text_of =
          [&](absl::Span<const uint32_t> ids) {
            Detokenizer detokenizer(tokenizer.get(), /*skip_special_tokens=*/true);
            std::string text;
            for (uint32_t id : ids) absl::StrAppend(&text, detokenizer.Push(id));
            return absl::StrCat(text, detokenizer.Finish());
          },
      .save =
          [&](const EvalResults& so_far) {
            return flags.out.empty() ? absl::OkStatus() : WriteFile(results_path, ResultsJson(so_far));
          },
      .progress = [&](const std::string& what, uint64_t done, uint64_t all) { progress.Show(done, all, what); }};
  KEDGE_RETURN_IF_ERROR(RunEval(texts, options, hooks, device.get(), &results));
  return Asked(results, options);
}

int RunEvalCommand(const EvalFlags& flags) {
  const absl::StatusOr<EvalResults> results = Evaluate(flags);
  absl::Status status = results.status();
  if (status.ok()) {
    const std::string report = ReportMarkdown(*results);
    WriteOut(flags.format == AnswerFormat::kJson ? ResultsJson(*results) : report);
    if (!flags.out.empty()) status = WriteReport(flags.out, *results, report);
  }
  if (status.ok()) return kExitOk;
  SayError(status);
  return kExitFailed;
}

}  // namespace

void AddEvalCommand(CLI::App* app, Action* action) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app->add_subcommand(
      "eval", "What anchor policies cost: perplexity, exact recall, agreement with full attention, bytes; no servers");
  AddEngineOptions(command, &flags->engine);
  command->add_option("--policies", flags->policies, "policies, separated by semicolons; `full` is always there")
      ->capture_default_str();
  command
      ->add_option("--cases", flags->cases,
                   "questions of each form at 1,000 tokens; half as many more at 500, fewer of longer prompts")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command->add_option("--lengths", flags->lengths, "tokens of the prompts, separated by commas")
      ->delimiter(',')
      ->check(WholeNumber(100, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--text-file", flags->text_file,
                   "text to continue, and to hide the facts in (default: held-out texts that are built in)")
      ->type_name(kFileType);
  command->add_flag("--raw", flags->raw, "Ask in plain text, which the model goes on with, without the chat template");
  command
      ->add_option("--out", flags->out,
                   "directory for results.json, quality.svg and the tables: figures.md in it, or the marked part of "
                   "DIR.md; what results.json has from an earlier run is not measured again")
      ->type_name(kFileType);
  AddFormatOption(command, "text: Markdown tables; json: every sum they were made from", &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunEvalCommand(*flags); }; });
}

}  // namespace kedge
