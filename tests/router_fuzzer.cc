// Fuzz target of the router: messages of clients -> RequestParser, of nodes -> registry, of decode nodes -> request
// flows. An input is a RouterScript. Whatever comes, each request ends once, and with a status of its own.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/utf8.h"
#include "common/rpc/protocol.h"
#include "common/testing/fuzz_driver.h"
#include "common/testing/tiny_model.h"
#include "google/protobuf/stubs/logging.h"
#include "kedge/testing/script.pb.h"
#include "router/node_registry.h"
#include "router/request_flow.h"
#include "router/request_parser.h"
#include "router/response_merge.h"
#include "tests/message_mutator.h"
#include "tests/recorded_messages.h"

namespace kedge {
namespace {

constexpr char kFingerprint[] = "model";  // of the cluster that the seeds register with

using testing::RouterEvent;
using testing::RouterScript;

constexpr int kMostEvents = 32;
constexpr size_t kMostCalls = 64;

const RouterModel& Model() {
  static const auto* const model = [] {
    const char* const folder = std::getenv("TEST_TMPDIR");
    const std::string path = absl::StrCat(folder != nullptr ? folder : ".", "/router_fuzzer_", getpid(), ".gguf");
    KEDGE_CHECK(WriteTinyModel({}, path).ok());
    auto loaded = LoadRouterModel(ModelFiles::Open(path, "").value(), "tiny", "", 16).value();
    std::remove(path.c_str());
    return loaded.release();
  }();
  return *model;
}

// The errors that a client may get of the parser, all of them texts of one line.
void ExpectClean(const absl::Status& status) {
  KEDGE_CHECK(status.ok() || absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
              absl::IsFailedPrecondition(status));
}

class Script {
 public:
  Script() {
    environment_.clock = &clock_;
    environment_.tokenizer = Model().tokenizer.get();
    environment_.vocab_size = Model().vocab_size;
    environment_.registry = &registry_;
    environment_.prefixes = &prefixes_;
    environment_.caller = &caller_;
    environment_.run_after = [this](absl::Duration delay, std::function<void()> closure) {
      timers_.emplace(clock_.Now() + delay, std::move(closure));
    };
    environment_.draw_seed = [] { return uint64_t{4711}; };
  }

  void Take(const RouterEvent& event) {
    switch (event.event_case()) {
      case RouterEvent::kGenerate: return Generate(event.generate());
      case RouterEvent::kTokenize: return ExpectClean(parser_.Tokenize(event.tokenize()).status());
      case RouterEvent::kRegistration: return Register(event.registration());
      case RouterEvent::kAnswer: return Answer(event.answer());
      case RouterEvent::kPassMs: return Pass(absl::Milliseconds(std::min<uint32_t>(event.pass_ms(), 10000)));
      case RouterEvent::EVENT_NOT_SET: return;
    }
  }

  void End() {
    for (size_t i = 0; i < caller_.calls.size() && i < kMostCalls; ++i) {
      EndCall(*caller_.calls[i], absl::UnavailableError("gone"));
    }
    for (const auto& [stream, registration] : streams_) registry_.Remove(registration);
    Pass(absl::Seconds(20));
    for (Client& client : clients_) {
      client.flow->Cancel(absl::CancelledError("the client has gone"));
      KEDGE_CHECK(client.sink->ended);
    }
    for (const auto& call : caller_.calls) call->events = {};  // a call under way and its flow hold one another
  }

 private:
  struct Call : DecodeCall {
    void Cancel() override {}
    DecodeEvents events;
  };

  struct Caller : DecodeCaller {
    std::shared_ptr<DecodeCall> Start(const NodeSnapshot&, node::v1::DecodeRequest request, absl::Time,
                                      DecodeEvents events) override {
      KEDGE_CHECK(request.content().ids_size() < static_cast<int>(Model().context_length));
      auto call = std::make_shared<Call>();
      call->events = std::move(events);
      calls.push_back(call);
      return call;
    }
    std::vector<std::shared_ptr<Call>> calls;
  };

  // As the one of InferenceService, which gives these to gRPC.
  struct Sink : ResponseSink {
    void Message(inference::v1::GenerateStreamResponse message) override {
      KEDGE_CHECK(!ended);
      for (const auto& completion : message.completions()) KEDGE_CHECK(!FindInvalidUtf8(completion.text()).has_value());
      MergeResponse(std::move(message), &merged);
    }
    void Finish(const absl::Status&, const ServedBy& served_by) override {
      KEDGE_CHECK(!std::exchange(ended, true));
      for (const auto* names : {&served_by.prefill_nodes, &served_by.decode_nodes}) {
        for (const std::string& name : *names) {
          KEDGE_CHECK(std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7F; }));
        }
      }
      KEDGE_CHECK(merged.provenance().kept_ranges_size() <= static_cast<int>(Model().context_length));
    }
    inference::v1::GenerateStreamResponse merged;
    bool ended = false;
  };

  struct Client {
    std::unique_ptr<Sink> sink;
    std::shared_ptr<RequestFlow> flow;
  };

  void Generate(const inference::v1::GenerateRequest& request) {
    absl::StatusOr<RouterRequest> parsed = parser_.Parse(request, "");
    if (!parsed.ok()) return ExpectClean(parsed.status());
    Client& client = clients_.emplace_back(Client{std::make_unique<Sink>(), nullptr});
    const absl::Time deadline = clock_.Now() + absl::Seconds(15);
    client.flow =
        RequestFlow::Create(&environment_, *std::move(parsed), clock_.Now(), deadline, client.sink.get());
    client.flow->Start();
  }

  // As RegistryService's stream.
  void Register(const testing::Registration& event) {
    const auto stream = streams_.find(event.stream());
    if (stream == streams_.end()) {
      if (!event.message().has_info()) return;
      const absl::StatusOr<uint64_t> registration = registry_.Register(event.message().info());
      if (registration.ok()) streams_[event.stream()] = *registration;
      return;
    }
    const bool stays = !event.ends() && event.message().has_heartbeat() &&
                       registry_.Heartbeat(stream->second, event.message().heartbeat()).ok();
    if (stays) return;
    registry_.Remove(stream->second);
    streams_.erase(stream);
  }

  void Answer(const testing::Answer& answer) {
    if (caller_.calls.empty()) return;
    Call& call = *caller_.calls[answer.call() % caller_.calls.size()];
    if (answer.has_message() && call.events.on_message != nullptr) call.events.on_message(answer.message());
    if (answer.ends()) EndCall(call, absl::Status(static_cast<absl::StatusCode>(answer.code()), "\x1b[2J ended"));
  }

  void EndCall(Call& call, const absl::Status& status) {
    if (call.events.on_done == nullptr) return;
    const auto on_done = std::exchange(call.events, {}).on_done;
    on_done(status);
  }

  void Pass(absl::Duration duration) {
    const absl::Time end = clock_.Now() + duration;
    while (!timers_.empty() && timers_.begin()->first <= end) {
      clock_.Advance(timers_.begin()->first - clock_.Now());
      const auto closure = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      closure();
    }
    clock_.Advance(end - clock_.Now());
  }

  SimulatedClock clock_;
  NodeRegistry registry_{&clock_, kFingerprint, Model().default_policy};
  PrefixMemory prefixes_;
  Caller caller_;
  FlowEnvironment environment_;
  const RequestParser parser_{&Model(), &clock_};
  std::multimap<absl::Time, std::function<void()>> timers_;
  std::map<uint32_t, uint64_t> streams_;  // registrations
  std::vector<Client> clients_;
};

}  // namespace
}  // namespace kedge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  google::protobuf::SetLogHandler(nullptr);
  kedge::testing::RouterScript input;
  if (!input.ParseFromArray(data, static_cast<int>(size))) return 0;
  kedge::Script script;
  for (int i = 0; i < std::min(input.events_size(), kedge::kMostEvents); ++i) script.Take(input.events(i));
  script.End();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  kedge::testing::RouterScript script;
  return kedge::MutateSerialized(&script, data, size, max_size, seed);
}

// Each request to a cluster of two nodes that answers as one did, at once or after a while; and without a cluster.
std::vector<std::string> FuzzSeeds() {
  const auto requests = kedge::ReadRecordedMessages<kedge::inference::v1::GenerateRequest>();
  const auto answers = kedge::ReadRecordedMessages<kedge::node::v1::DecodeResponse>();
  auto registrations = kedge::ReadRecordedMessages<kedge::node::v1::RegisterRequest>();
  for (auto& registration : registrations) {
    if (!registration.has_info()) continue;
    registration.mutable_info()->set_protocol_version(kedge::kProtocolVersion);
    registration.mutable_info()->set_fingerprint(kedge::kFingerprint);
  }
  std::vector<std::string> seeds;
  for (size_t i = 0; i < requests.size(); ++i) {
    kedge::testing::RouterScript alone;
    *alone.add_events()->mutable_generate() = requests[i];
    if (requests[i].has_text()) alone.add_events()->mutable_tokenize()->set_text(requests[i].text());
    if (requests[i].has_messages())
      *alone.add_events()->mutable_tokenize()->mutable_messages() = requests[i].messages();
    seeds.push_back(alone.SerializeAsString());

    kedge::testing::RouterScript script;
    for (uint32_t stream = 0; stream < registrations.size(); ++stream) {
      if (!registrations[stream].has_info()) continue;
      script.add_events()->mutable_registration()->set_stream(stream);
      *script.mutable_events(script.events_size() - 1)->mutable_registration()->mutable_message() =
          registrations[stream];
    }
    *script.add_events()->mutable_generate() = requests[i];
    for (const auto& registration : registrations) {
      if (!registration.has_heartbeat()) continue;
      script.add_events()->mutable_registration()->set_stream(1);
      *script.mutable_events(script.events_size() - 1)->mutable_registration()->mutable_message() = registration;
      break;
    }
    for (const auto& message : answers) {
      kedge::testing::Answer& answer = *script.add_events()->mutable_answer();
      answer.set_call(0);
      *answer.mutable_message() = message;
    }
    seeds.push_back(script.SerializeAsString());
    script.add_events()->set_pass_ms(700);
    script.add_events()->mutable_answer()->set_ends(true);
    seeds.push_back(script.SerializeAsString());
  }
  return seeds;
}
