// `kedge bench router`: what the router adds to each token, and what a token costs it. The router is the real process;
// its decode node and its clients are in this one, so one clock tells when a token is written and when it is read. The
// relay, which shows what any process between them costs, is this program once more.
//
// Tested by tests/bench_test.py; node and clients by token_node_test.cc, figures by the tests of bench/.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bench/bench_text.h"
#include "bench/given_answer.h"
#include "bench/router_report.h"
#include "bench/router_work.h"
#include "cli/bench_command.h"
#include "cli/child_process.h"
#include "cli/client.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/local_cluster.h"
#include "cli/model_fetch.h"
#include "cli/open_model.h"
#include "cli/token_node.h"
#include "cli/token_readers.h"
#include "cli/token_relay.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/model/model_files.h"
#include "common/rpc/announce.h"
#include "common/rpc/flags.h"
#include "common/rpc/log.h"
#include "common/rpc/signals.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

constexpr absl::Duration kAskTimeout = absl::Seconds(10);
constexpr absl::Duration kReadyTimeout = absl::Seconds(10);
constexpr absl::Duration kReadyPoll = absl::Milliseconds(20);
constexpr uint32_t kFirstTokens = 8;  // of the answers that go before the others
constexpr char kDefaultWorks[] = "1x20,32x20,256x20,256x200";

struct BenchRouterFlags {
  std::string model;
  std::string works = kDefaultWorks;
  double seconds = 5;
  uint32_t repeat = 3;
  AnswerFormat format = AnswerFormat::kText;
  std::string relay_of;    // a node: be its relay
  int announce_file = -1;  // tell there where it listens
};

// Tokens of each answer: as many as the work lasts, if they fit the context behind the prompt's one token.
absl::StatusOr<uint32_t> TokensOf(const RouterWork& work, double seconds, uint32_t context_length) {
  const double tokens = std::max(1.0, work.rate * seconds);
  if (tokens + 1 > context_length) {
    return absl::InvalidArgumentError(absl::StrCat("seconds: the answers of ", RouterWorkName(work), " have ", tokens,
                                                   " tokens, more than the model's context of ", context_length));
  }
  return static_cast<uint32_t>(tokens);
}

// A relay that runs, and where it listens.
struct Relay {
  ChildProcess process;
  std::string address;
};

absl::StatusOr<Relay> StartRelay(const std::string& node, const StopSignals& signals) {
  KEDGE_ASSIGN_OR_RETURN(AnnouncePipe pipe, AnnouncePipe::Make());
  KEDGE_ASSIGN_OR_RETURN(ChildProcess process,
                         ChildProcess::Start({.argv = {ProgramDirectory() + "/kedge", "bench", "router", "--relay-of",
                                                       node, "--announce-fd", absl::StrCat(pipe.child_end())},
                                              .shared_file = pipe.child_end()}));
  pipe.CloseChildEnd();
  const absl::Time deadline = SteadyNow() + kReadyTimeout;
  while (SteadyNow() < deadline && !process.Poll().has_value()) {
    if (std::string address = pipe.Poll(); !address.empty()) return Relay{std::move(process), std::move(address)};
    if (signals.WaitFor(kReadyPoll)) return absl::CancelledError("stopped by a signal");
  }
  return absl::UnavailableError("the relay does not listen");
}

// Until a signal comes, or the process dies with its parent.
int RunRelay(const std::string& node, int announce_file) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the router does
  StopSignals signals;
  const absl::StatusOr<std::unique_ptr<TokenRelay>> relay = TokenRelay::Start(node);
  if (!relay.ok()) {
    SayError(relay.status());
    return kExitFailed;
  }
  if (const absl::Status status = Announce(announce_file, (*relay)->address()); !status.ok()) {
    SayError(status);
    return kExitFailed;
  }
  signals.Wait();
  return kExitOk;
}

// A way from the node to clients.
struct Way {
  std::function<std::unique_ptr<TokenReaders>(uint32_t clients)> readers;
  std::function<absl::StatusOr<absl::Duration>()> cpu_time;  // of the process between them
};

absl::StatusOr<RouterRun> RunWork(const RouterWork& work, uint32_t tokens, const Way& way, const StopSignals& signals,
                                  TokenNode* node) {
  const std::unique_ptr<TokenReaders> readers = way.readers(work.streams);
  const absl::Duration interval = absl::Seconds(1) / work.rate;
  RouterRun run;
  for (const uint32_t count : {std::min(kFirstTokens, tokens), tokens}) {  // memory is touched by short answers
    readers->Ask(count, kAskTimeout + 4 * count * interval);
    KEDGE_RETURN_IF_ERROR(node->WaitForStreams(work.streams, kAskTimeout));
    KEDGE_ASSIGN_OR_RETURN(const absl::Duration before, way.cpu_time());
    KEDGE_ASSIGN_OR_RETURN(const TokenTimes written, node->Send(count, interval, [&] { return signals.stopped(); }));
    KEDGE_ASSIGN_OR_RETURN(const ReadTokens read, readers->Wait());
    KEDGE_ASSIGN_OR_RETURN(const absl::Duration after, way.cpu_time());
    run = RouterRunOf(written, read.times, read.messages, after - before);
  }
  return run;
}

absl::Status WaitUntilServing(const std::string& address, const StopSignals& signals) {
  Client client(address);
  const absl::Time deadline = SteadyNow() + kReadyTimeout;
  while (SteadyNow() < deadline) {
    KEDGE_ASSIGN_OR_RETURN(const std::string health, client.Health(kAskTimeout));
    if (health == "SERVING") return absl::OkStatus();
    if (signals.WaitFor(kReadyPoll)) return absl::CancelledError("stopped by a signal");
  }
  return absl::DeadlineExceededError("the router does not take the node");
}

absl::StatusOr<std::vector<RouterRow>> Measure(const BenchRouterFlags& flags, const StopSignals& signals) {
  KEDGE_RETURN_IF_ERROR(InitLog("tokens", "warn"));  // of the node: stdout is for results
  KEDGE_ASSIGN_OR_RETURN(const std::vector<RouterWork> works, ParseRouterWorks(flags.works));
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files,
                         OpenModel(flags.model, /*adapter=*/"", [&signals] { return signals.stopped(); }));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
  KEDGE_ASSIGN_OR_RETURN(const BenchText text, BenchText::Make(*tokenizer));

  // Under `full`, which chooses nothing: there are no rows to choose from.
  KEDGE_ASSIGN_OR_RETURN(
      Cluster router,
      StartLocalCluster({.num_prefill = 0, .num_decode = 0, .model = files.base->name(), .policy = "full"},
                        /*default_port=*/0, signals));
  Client client(router.LocalAddress());
  KEDGE_ASSIGN_OR_RETURN(const ModelInfo info, client.GetModelInfo(kAskTimeout));
  std::vector<uint32_t> tokens;  // of each answer of a work
  for (const RouterWork& work : works) {
    KEDGE_ASSIGN_OR_RETURN(tokens.emplace_back(), TokensOf(work, flags.seconds, info.context_length));
  }
  KEDGE_ASSIGN_OR_RETURN(const GivenAnswer answer,
                         GivenAnswer::Make(*tokenizer, text, *std::max_element(tokens.begin(), tokens.end())));
  const RealClock clock;
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<TokenNode> node, TokenNode::Start(answer.ids(), &clock));
  node->Register(router.cluster_address(), info.fingerprint);
  KEDGE_RETURN_IF_ERROR(WaitUntilServing(router.LocalAddress(), signals));

  KEDGE_ASSIGN_OR_RETURN(const Relay relay, StartRelay(node->address(), signals));

  const auto readers_of_node = [&](const std::string& address) {
    return [&answer, &clock, address](uint32_t clients) { return ReadersOfNode(address, clients, &answer, &clock); };
  };
  const Way direct{readers_of_node(node->address()), [] { return absl::ZeroDuration(); }};
  const Way relayed{readers_of_node(relay.address), [&relay] { return relay.process.CpuTime(); }};
  const Way routed{[&](uint32_t clients) { return ReadersOfRouter(router.LocalAddress(), clients, &answer, &clock); },
                   [&router] { return router.RouterCpuTime(); }};
  std::vector<RouterRow> rows;
  for (const RouterWork& work : works) rows.push_back({.work = work});
  for (uint32_t repetition = 0; repetition < flags.repeat; ++repetition) {
    for (size_t i = 0; i < works.size(); ++i) {
      Say(absl::StrCat("measuring ", RouterWorkName(works[i])));
      for (const auto& [way, runs] :
           {std::pair{&direct, &rows[i].direct}, {&relayed, &rows[i].relayed}, {&routed, &rows[i].routed}}) {
        KEDGE_ASSIGN_OR_RETURN(runs->emplace_back(), RunWork(works[i], tokens[i], *way, signals, node.get()));
      }
    }
  }
  return rows;
}

int RunBenchRouter(const BenchRouterFlags& flags) {
  if (!flags.relay_of.empty()) return RunRelay(flags.relay_of, flags.announce_file);
  StopSignals signals;
  const absl::StatusOr<std::vector<RouterRow>> rows = Measure(flags, signals);
  if (!rows.ok()) {
    SayError(rows.status());
    return kExitFailed;
  }
  WriteOut(flags.format == AnswerFormat::kJson ? RouterReportJson(*rows) : RouterReportText(*rows));
  return kExitOk;
}

}  // namespace

void AddBenchRouter(CLI::App* bench, Action* action) {
  auto flags = std::make_shared<BenchRouterFlags>();
  CLI::App* command = bench->add_subcommand(
      "router", "The router alone, before a node without a model: what it adds to each token, and what one costs it");
  command->add_option("--model", flags->model, kModelHelp)->type_name(kFileType);
  command->add_option("--works", flags->works, "STREAMSxRATE, tokens per second of each stream, separated by commas")
      ->type_name("LIST")
      ->capture_default_str();
  command->add_option("--seconds", flags->seconds, "How long each work lasts, each way")
      ->check(Number(0.01, 3600))
      ->type_name("S")
      ->capture_default_str();
  command->add_option("--repeat", flags->repeat, "How often each is measured; medians are told")
      ->check(WholeNumber(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--relay-of", flags->relay_of)->group("");  // hidden: the command starts itself with these
  command->add_option("--announce-fd", flags->announce_file)->group("");
  AddFormatOption(command, "text: a table; json: one object", &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunBenchRouter(*flags); }; });
}

}  // namespace kedge
