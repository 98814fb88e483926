// `kedge bench serve`: a router and its nodes under load, from the client's side.
//
// Tested by tests/bench_test.py; plan and figures by the tests of bench/.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/bench_text.h"
#include "bench/load.h"
#include "bench/load_report.h"
#include "cli/bench_command.h"
#include "cli/client.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/local_cluster.h"
#include "cli/open_model.h"
#include "cli/router_access.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/write_file.h"
#include "common/model/config.h"
#include "common/model/model_files.h"
#include "common/rpc/flags.h"
#include "common/rpc/signals.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

constexpr absl::Duration kAskTimeout = absl::Seconds(10);
constexpr uint32_t kFirstTokens = 64;  // of the request that goes before the others

struct BenchServeFlags {
  LocalClusterOptions cluster;
  LoadOptions load;
  RouterAccess router;
  std::string picture;
  double duration_seconds = 0;
  double ttft_limit_ms = 1000;
  double itl_limit_ms = 100;
  AnswerFormat format = AnswerFormat::kText;
};

// The prompts are token ids, so they must be of the model that the cluster serves.
absl::Status CheckModel(const ModelFiles& files, const LoadOptions& load, Client* client) {
  KEDGE_ASSIGN_OR_RETURN(const ModelInfo info, client->GetModelInfo(kAskTimeout));
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(files));
  if (info.fingerprint != fingerprint) {
    return absl::InvalidArgumentError(absl::StrCat("--model: the router serves another model, ", info.model));
  }
  if (uint64_t{load.prompt_tokens} + load.output_tokens > info.context_length) {
    return absl::InvalidArgumentError(absl::StrCat("--prompt-tokens: ", load.prompt_tokens, " and ", load.output_tokens,
                                                   " written ones do not fit the model's context of ",
                                                   info.context_length, " tokens"));
  }
  return absl::OkStatus();
}

RequestOutcome Send(const std::vector<uint32_t>& prompt, uint32_t output_tokens, const std::string& policy,
                    const StopSignals& signals, Client* client) {
  GenerateCall call{.prompt = prompt, .policy = policy, .max_tokens = output_tokens};
  call.ignore_eos = true;  // every answer is as long as it was asked to be
  const absl::Time start = SteadyNow();
  absl::StatusOr<Answer> answer = client->Generate(
      call, [](absl::string_view) { return true; }, [&signals] { return signals.stopped(); });
  RequestOutcome outcome{.status = answer.status(), .ended = SteadyNow() - start};
  if (answer.ok()) {
    outcome.tokens = std::move(answer->token_times);
    outcome.ended = answer->total;
    outcome.moved_bytes = answer->segment_bytes;
    outcome.full_bytes = answer->full_bytes;
  }
  return outcome;
}

absl::StatusOr<LoadReport> Measure(const BenchServeFlags& flags, const StopSignals& signals) {
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files, OpenModel(flags.cluster.model, flags.cluster.adapter,
                                                           [&signals] { return signals.stopped(); }));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const BenchText text, BenchText::Make(*tokenizer));

  std::optional<Cluster> cluster;
  RouterAccess router = flags.router;
  if (router.address.empty()) {
    KEDGE_ASSIGN_OR_RETURN(Cluster started, StartLocalCluster(flags.cluster, /*default_port=*/0, signals));
    cluster.emplace(std::move(started));
    router.address = cluster->LocalAddress();
  }
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Connect(router));
  KEDGE_RETURN_IF_ERROR(CheckModel(files, flags.load, client.get()));
  const auto send = [&](const std::vector<uint32_t>& prompt) {
    return Send(prompt, flags.load.output_tokens, flags.cluster.policy, signals, client.get());
  };
  const std::vector<PlannedRequest> plan = PlanLoad(flags.load, text);
  // A short request first, of a text that the plan does not have: connections are made and memory has been touched.
  const RequestOutcome first = Send(text.Take(text.size() / 2 + flags.load.seed, kFirstTokens), kFirstTokens / 8,
                                    flags.cluster.policy, signals, client.get());
  KEDGE_RETURN_IF_ERROR(first.status);
  LoadOptions load = flags.load;
  load.duration = absl::Seconds(flags.duration_seconds);
  const std::vector<RequestOutcome> outcomes = RunLoad(plan, load, send);
  if (signals.stopped()) return absl::CancelledError("stopped by a signal");
  return ReportOf(
      outcomes, flags.load,
      {.first_token = absl::Milliseconds(flags.ttft_limit_ms), .gap = absl::Milliseconds(flags.itl_limit_ms)});
}

int RunBenchServe(const BenchServeFlags& flags) {
  StopSignals signals;
  const absl::StatusOr<LoadReport> report = Measure(flags, signals);
  absl::Status status = report.status();
  if (status.ok()) {
    WriteOut(flags.format == AnswerFormat::kJson ? LoadReportJson(*report, flags.load)
                                                 : LoadReportText(*report, flags.load));
    if (!flags.picture.empty()) status = WriteFile(flags.picture, LoadPicture(*report));
  }
  if (!status.ok()) {
    SayError(status);
    return kExitFailed;
  }
  return report->errors.empty() ? kExitOk : kExitFailed;
}

}  // namespace

void AddBenchServe(CLI::App* bench, Action* action) {
  auto flags = std::make_shared<BenchServeFlags>();
  LoadOptions* const load = &flags->load;
  CLI::App* command = bench->add_subcommand(
      "serve", "A router and its nodes under load: times to tokens, throughput, goodput, bytes moved");
  command->add_option("--router", flags->router.address, "Router of a running cluster (default: a cluster of its own)")
      ->check(ReachableAddress())
      ->type_name("HOST:PORT");
  AddClientOptions(command, &flags->router);
  AddLocalClusterOptions(command, "any free one", &flags->cluster);
  command->add_option("--requests", load->requests, "Requests in all")
      ->check(WholeNumber(1, 100000))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--clients", load->clients, "Clients, each with one request under way")
      ->check(WholeNumber(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--rate", load->rate, "Requests per second, at random times; 0: clients ask as they are answered")
      ->check(Number(0))
      ->type_name("R")
      ->capture_default_str();
  command
      ->add_option("--duration", flags->duration_seconds, "Seconds after which nothing more is sent; 0: no such limit")
      ->check(Number(0))
      ->type_name("S")
      ->capture_default_str();
  command->add_option("--prompt-tokens", load->prompt_tokens, "Tokens of each prompt")
      ->check(WholeNumber(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--output-tokens", load->output_tokens, "Tokens of each answer")
      ->check(WholeNumber(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--shared-part", load->shared_part, "Part of the requests whose prompts begin alike, 0 to 1")
      ->check(Number(0, 1))
      ->type_name("F")
      ->capture_default_str();
  command->add_option("--shared-tokens", load->shared_tokens, "Tokens that those prompts share")
      ->check(WholeNumber(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--seed", load->seed, "Of texts and times; another one brings prompts that no cache has seen")
      ->check(WholeNumber(0, UINT64_MAX))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--ttft-limit", flags->ttft_limit_ms,
                   "Goodput counts answers whose first token took at most so many ms")
      ->check(Number(0.001))
      ->type_name("MS")
      ->capture_default_str();
  command->add_option("--itl-limit", flags->itl_limit_ms, "And whose tokens came at most so many ms apart, on average")
      ->check(Number(0.001))
      ->type_name("MS")
      ->capture_default_str();
  command->add_option("--picture", flags->picture, "Write the two distributions there, as SVG")->type_name(kFileType);
  AddFormatOption(command, "text: a summary; json: one object", &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunBenchServe(*flags); }; });
}

}  // namespace kedge
