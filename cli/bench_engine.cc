// `kedge bench engine`: the engine alone, in this process.
//
// Tested by tests/bench_test.py; the measuring by the tests of bench/.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/bench_text.h"
#include "bench/engine_bench.h"
#include "bench/limits.h"
#include "bench/model_cost.h"
#include "bench/sample.h"
#include "bench/work.h"
#include "cli/bench_command.h"
#include "cli/console.h"
#include "cli/engine_options.h"
#include "cli/generate_options.h"
#include "cli/open_model.h"
#include "common/anchor/policy.h"
#include "common/base/machine_limits.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/kernels/create_ops.h"
#include "common/model/config.h"
#include "common/model/model_files.h"
#include "common/node/load_model.h"
#include "common/node/salience_store.h"
#include "common/rpc/flags.h"
#include "common/tokenizer/policy_names.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

constexpr char kDefaultWorks[] = "decode_1_ctx0,prompt_512,prompt_2048,decode_1_ctx2048,decode_32_ctx512";
constexpr char kDefaultPolicies[] = "window; salient; full";

struct BenchEngineFlags {
  EngineOptions engine;
  std::string works = kDefaultWorks;
  std::string policies = kDefaultPolicies;
  uint32_t repeat = 3;
  uint32_t written = 0;
  std::string sample;
  AnswerFormat format = AnswerFormat::kText;
};

absl::StatusOr<std::vector<BenchPolicy>> ParsePolicies(const std::string& list, const PolicyNames& names) {
  std::vector<BenchPolicy> policies;
  for (absl::string_view text : absl::StrSplit(list, ';')) {
    text = absl::StripAsciiWhitespace(text);
    if (text.empty()) continue;
    absl::StatusOr<Policy> policy = ParsePolicy(text, names);
    if (!policy.ok()) return OfField(absl::StrCat("policies: ", text), policy.status());
    policies.push_back({std::string(text), *std::move(policy)});
  }
  if (policies.empty()) return absl::InvalidArgumentError("policies: none is given");
  return policies;
}

absl::Status CheckLengths(const EngineBenchOptions& options, const ModelConfig& config, uint32_t max_rows) {
  for (const RunKey& run : RunsFor(options.works, options.written)) {
    if (run.context + run.written > static_cast<uint32_t>(config.context_length)) {
      return absl::InvalidArgumentError(absl::StrCat("works: ", WorkName(run.works.back()), " and the ", run.written,
                                                     " tokens behind it do not fit the model's context of ",
                                                     config.context_length, " tokens"));
    }
    if (run.streams > max_rows) {
      return absl::InvalidArgumentError(absl::StrCat("works: ", WorkName(run.works.back()),
                                                     " has more streams than the ", max_rows, " rows of a step"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<EngineBench> Measure(const BenchEngineFlags& flags) {
  EngineBenchOptions options{.repeat = flags.repeat, .written = flags.written};
  KEDGE_ASSIGN_OR_RETURN(options.works, ParseWorks(flags.works));
  if (!flags.sample.empty()) {
    KEDGE_ASSIGN_OR_RETURN(options.sample, ParseSample(flags.sample));
  }
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files,
                         OpenModel(flags.engine.model, flags.engine.adapter, [] { return false; }));
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const PolicyNames names, FindPolicyNames(*files.base, *tokenizer, files.adapter_policy()));
  KEDGE_ASSIGN_OR_RETURN(options.policies, ParsePolicies(flags.policies, names));
  KEDGE_ASSIGN_OR_RETURN(FoundHeads found, FindSalienceHeads(files, config));
  options.heads = std::move(found.heads);
  const bool chooses = std::any_of(options.policies.begin(), options.policies.end(),
                                   [](const BenchPolicy& policy) { return policy.policy.salient_millionths > 0; });
  if (chooses && !found.calibrated) {
    Say("this model's salience heads are not calibrated: all heads choose, which takes longer (see kedge calibrate)");
  }
  KEDGE_ASSIGN_OR_RETURN(const BenchText text, BenchText::Make(*tokenizer));
  KEDGE_ASSIGN_OR_RETURN(const ModelCost cost, CostOf(*files.base));

  KEDGE_ASSIGN_OR_RETURN(DeviceOptions device_options, DeviceOptionsOf(flags.engine));
  if (device_options.threads == 0) device_options.threads = UsableMachine().cores;
  device_options.max_rows = MaxRows(device_options.backend);  // pages are sized by it
  KEDGE_RETURN_IF_ERROR(CheckLengths(options, config, device_options.max_rows));
  const uint64_t pages = PagesNeeded(options, text, *tokenizer, device_options.max_rows);
  device_options.kv_bytes = pages * kPageRows * config.row_shape(device_options.kv_type).page_row_bytes();
  const Limits limits = MeasureLimits(device_options.threads, cost.weight_bytes);
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(files, device_options));
  return RunEngineBench(
      options, text, *tokenizer, cost, limits, [](const std::string& what) { Say(absl::StrCat("measuring ", what)); },
      device.get());
}

int RunBenchEngine(const BenchEngineFlags& flags) {
  const absl::StatusOr<EngineBench> bench = Measure(flags);
  if (!bench.ok()) {
    SayError(bench.status());
    return kExitFailed;
  }
  WriteOut(flags.format == AnswerFormat::kJson ? EngineBenchJson(*bench) : EngineBenchText(*bench));
  return kExitOk;
}

}  // namespace

void AddBenchEngine(CLI::App* bench, Action* action) {
  auto flags = std::make_shared<BenchEngineFlags>();
  CLI::App* command =
      bench->add_subcommand("engine", "One engine in this process: reading prompts and writing, without servers");
  AddEngineOptions(command, &flags->engine);
  command->add_option("--works", flags->works, "prompt_TOKENS and decode_STREAMS_ctxTOKENS, separated by commas")
      ->capture_default_str();
  command->add_option("--policies", flags->policies, "policies, separated by semicolons")->capture_default_str();
  command->add_option("--repeat", flags->repeat, "how often each is measured; the median is told")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--written", flags->written,
                   "tokens that each stream of a decode work writes (default: 64, or 16 "
                   "where there are several)")
      ->check(WholeNumber(1, 100000));
  command->add_option("--sample", flags->sample,
                      "choose a token behind each written one, as in \"temperature=1,top_p=0.9\" (default: none is "
                      "chosen; what is written is given)");
  AddFormatOption(command, "text: a table; json: one object", &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunBenchEngine(*flags); }; });
}

}  // namespace kedge
