// `kedge eval`: what anchor policies cost on a model, as a table and a picture; no servers.
//
// Tested by tests/eval_test.py; the measuring by the tests of eval/.
#include <algorithm>
#include <filesystem>
#include <fstream>
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
#include "eval/baselines.h"
#include "eval/comparison.h"
#include "eval/eval_texts.h"
#include "eval/held_out.h"
#include "eval/measure_text.h"
#include "eval/picture.h"
#include "eval/report.h"
#include "eval/results.h"
#include "eval/run_eval.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr char kDefaultPolicies[] =
    "full; anchors=sentence; streaming; window; "
    "salient,salient=0.05; salient; salient,salient=0.1; salient,salient=0.25; "
    "salient@random; salient@bm25; salient@streaming; salient@snapkv; salient@chunkkv; salient@oracle; full@int8; "
    "full@int4; full@int2";
constexpr uint32_t kBatch = 16;  // sequences that answer at once
// So many prompts of the longest have room under full attention: half of them while their rows are computed, and the
// other half for those that answer. What needs more takes turns.
constexpr uint32_t kPrompts = 10;

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
    KEDGE_ASSIGN_OR_RETURN(EvalPolicy policy, ParseEvalPolicy(text, names));
    const bool known = std::any_of(policies.begin(), policies.end(),
                                   [&](const EvalPolicy& other) { return other.Canonical() == policy.Canonical(); });
    if (!known) policies.push_back(std::move(policy));
    return absl::OkStatus();
  };
  KEDGE_RETURN_IF_ERROR(add(kFullName));
  for (absl::string_view text : absl::StrSplit(list, ';')) {
    text = absl::StripAsciiWhitespace(text);
    if (text.empty()) continue;
    KEDGE_RETURN_IF_ERROR(OfField(absl::StrCat("--policies: ", text), add(text)));
  }
  return policies;
}

uint64_t KvBytes(absl::Span<const EvalText> texts, const MeasureOptions& options, const RowShape& shape) {
  uint64_t rows = 0;
  for (const EvalText& text : texts) rows = std::max<uint64_t>(rows, MostRows(text, options));
  return (rows + 4 * kPageRows) * kPrompts * shape.page_row_bytes();
}

// Policies asked for, by the names that they have been asked for by, and their records.
EvalResults Asked(const EvalResults& results, absl::Span<const EvalPolicy> policies, const SalienceHeads& heads) {
  EvalResults asked{.settings = results.settings, .cases = results.cases};
  for (const EvalPolicy& policy : policies) {
    const MeasuredPolicy measured = MeasuredPolicyOf(policy, heads);
    const uint32_t number = static_cast<uint32_t>(asked.policies.size());
    asked.policies.push_back(measured);
    for (EvalRecord record : results.records) {
      const MeasuredPolicy& other = results.policies[record.policy];
      if (other.canonical != measured.canonical || other.heads != measured.heads) continue;
      record.policy = number;
      asked.records.push_back(record);
    }
  }
  return asked;
}

// The file of results in the directory of an evaluation; without a directory, none.
class ResultsFile {
 public:
  explicit ResultsFile(const std::string& out) : path_(out.empty() ? "" : absl::StrCat(out, "/records.tsv")) {}

  // What an earlier run left there, if it measured the same.
  EvalResults Load(const EvalSettings& settings) const {
    if (!path_.empty() && fs::exists(path_)) {
      const absl::StatusOr<std::string> text = ReadFileOrStdin(path_);
      absl::StatusOr<EvalResults> results = text.ok() ? ParseResults(*text) : text.status();
      // What numerics class they are of is asked when something is to be added.
      EvalSettings own = settings;
      if (results.ok()) own.numerics_class = results->settings.numerics_class;
      if (results.ok() && results->settings == own) return *std::move(results);
      SayAnew(results.ok() ? "of other settings" : results.status().message());
    }
    return {.settings = settings};
  }

  void SayAnew(absl::string_view why) const { Say(absl::StrCat(path_, ": ", why, "; measured anew")); }

  // Once the whole, so that an end that was torn off is gone; then what is new.
  absl::Status Save(const EvalResults& results) {
    if (path_.empty()) return absl::OkStatus();
    const bool is_first = written_.policies == 0;
    const std::string lines = MissingLines(results, &written_);
    if (is_first) return WriteFile(path_, lines);
    std::ofstream file(path_, std::ios::app | std::ios::binary);
    file << lines << std::flush;
    return file ? absl::OkStatus() : absl::UnavailableError(absl::StrCat(path_, ": cannot be written"));
  }

 private:
  const std::string path_;
  WrittenResults written_;
};

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
  KEDGE_ASSIGN_OR_RETURN(const std::vector<EvalPolicy> policies, ParsePolicies(flags.policies, names));
  MeasureOptions options{
      .num_heads = static_cast<uint32_t>(config.num_heads), .end_ids = tokenizer->end_ids(), .batch = kBatch};
  KEDGE_ASSIGN_OR_RETURN(options.fingerprint, ModelFingerprint(files));
  options.text_of = [&](absl::Span<const uint32_t> ids) {
    Detokenizer detokenizer(tokenizer.get(), /*skip_special_tokens=*/true);
    std::string text;
    for (uint32_t id : ids) absl::StrAppend(&text, detokenizer.Push(id));
    return absl::StrCat(text, detokenizer.Finish());
  };
  options.ids_of = [&](absl::string_view text) {
    return tokenizer->Encode(text).value_or(std::vector<uint32_t>());  // our own texts are UTF-8
  };
  KEDGE_ASSIGN_OR_RETURN(FoundHeads found, FindSalienceHeads(files, config));
  options.heads = std::move(found.heads);
  const bool chooses = std::any_of(policies.begin(), policies.end(),
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

  EvalSettings settings{
      .model = absl::StrCat(config.name, flags.engine.adapter.empty() ? "" : " with an adapter"),
      .fingerprint = options.fingerprint,
      .has_adapter = !flags.engine.adapter.empty(),
      .kv_type = flags.engine.kv_type,
      .text = absl::StrCat(flags.text_file.empty() ? "held-out" : flags.text_file, " ", HashOfTexts(texts)),
      .cases = flags.cases,
      .lengths = text_options.lengths};
  if (!flags.out.empty()) {
    std::error_code error;  // said now, and not after the first measurement
    fs::create_directories(flags.out, error);
    if (error) return absl::UnavailableError(absl::StrCat("--out: ", flags.out, ": ", error.message()));
  }
  ResultsFile file(flags.out);
  EvalResults results = file.Load(settings);
  const bool is_complete = std::all_of(texts.begin(), texts.end(), [&](const EvalText& text) {
    return std::all_of(policies.begin(), policies.end(),
                       [&](const EvalPolicy& policy) { return IsMeasured(results, text, policy, options.heads); });
  });
  if (is_complete) return Asked(results, policies, options.heads);

  KEDGE_ASSIGN_OR_RETURN(DeviceOptions device_options, DeviceOptionsOf(flags.engine));
  device_options.kv_bytes = KvBytes(texts, options, config.row_shape(device_options.kv_type));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(files, device_options));
  settings.numerics_class = device->numerics_class();
  if (results.settings != settings) {
    if (!results.records.empty()) file.SayAnew("of another numerics class");
    results = {.settings = std::move(settings)};
  }
  Progress progress;
  const EvalHooks hooks{
      .save = [&](const EvalResults& so_far) { return file.Save(so_far); },
      .progress = [&](const std::string& what, uint64_t done, uint64_t all) { progress.Show(done, all, what); }};
  KEDGE_RETURN_IF_ERROR(RunEval(texts, policies, options, hooks, device.get(), &results));
  return Asked(results, policies, options.heads);
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
  flags->engine.kv_type = KvTypeName(KvType::kF16);  // what all shares are told of; baselines round it
  CLI::App* command = app->add_subcommand(
      "eval", "What anchor policies cost: perplexity, exact recall, agreement with full attention, bytes; no servers");
  AddEngineOptions(command, &flags->engine);
  command
      ->add_option("--policies", flags->policies,
                   absl::StrCat("policies, separated by semicolons; `full` is always there; ", kBaselineHelp))
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
                   "directory for records.tsv, quality.svg and the tables: figures.md in it, or the marked part of "
                   "DIR.md; what records.tsv has from an earlier run is not measured again, and if nothing is "
                   "missing the tables are made without the model's weights")
      ->type_name(kFileType);
  AddFormatOption(command, "text: Markdown tables; json: every case under every policy, which they are made from",
                  &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunEvalCommand(*flags); }; });
}

}  // namespace kedge
