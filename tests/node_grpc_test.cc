// Prefill and decode nodes over real gRPC on loopback, with HashDevices: what the simulation leaves out.
#include <atomic>
#include <deque>
#include <future>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/engine/testing.h"
#include "common/kernels/hash_device.h"
#include "common/rpc/channel.h"
#include "common/rpc/convert.h"
#include "common/rpc/server.h"
#include "common/transfer/prefill_service.h"
#include "common/transfer/state_source_grpc.h"
#include "decode/decode_service.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "prefill/prefill_engine.h"
#include "tests/simulated_cluster.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 90;

HashDeviceOptions Device() { return {.num_pages = 256, .max_rows = 64, .vocab_size = kVocabulary}; }

class PrefillServer {
 public:
  explicit PrefillServer(const std::string& fingerprint = "model")
      : device_(Device()),
        engine_({.fingerprint = fingerprint,
                 .context_length = 4000,
                 .salience_heads = SimulatedHeads(),
                 .run_step = [this](absl::FunctionRef<void()> step) { loop_.Open(step); }},
                &device_, &clock_),
        service_(&loop_, &engine_, &clock_) {
    server_ = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service_}}).value();
    loop_.Start([this] {
      const bool busy = !paused && engine_.Turn();
      reserved_rows = engine_.stats().reserved_rows;
      return busy;
    });
  }
  ~PrefillServer() {
    server_->Shutdown(absl::ZeroDuration());
    loop_.Stop();
  }
  const std::string& address() const { return server_->address(); }
  void Kill() { server_->Shutdown(absl::ZeroDuration()); }

  std::atomic<bool> paused{false};
  std::atomic<uint64_t> reserved_rows{0};

 private:
  RealClock clock_;
  EventLoop loop_{absl::Milliseconds(5)};
  HashDevice device_;
  PrefillEngine engine_;
  PrefillServiceImpl service_;
  std::unique_ptr<RpcServer> server_;
};

class DecodeServer {
 public:
  explicit DecodeServer(const HashDeviceOptions& device = Device())
      : device_(device),
        engine_(
            {.fingerprint = "model",
             .context_length = 4000,
             .salience_heads = SimulatedHeads(),
             .offered_bytes = 1 << 20,
             .silence_limit = absl::Milliseconds(500),
             .run_step = [this](absl::FunctionRef<void()> step) { loop_.Open(step); }},
            &device_, &source_, &clock_, [this](std::function<void()> closure) { loop_.Post(std::move(closure)); },
            [this](std::function<void()> closure) { loop_.Enter(std::move(closure)); }),
        service_(&loop_, &engine_, &clock_, /*member=*/nullptr, device_.numerics_class(),
                 device_.row_shape().row_bytes()),
        offers_(&loop_, engine_.offered_states(), &clock_) {
    server_ = RpcServer::Start({.listen = "127.0.0.1:0", .services = {&service_, &offers_}}).value();
    loop_.Start([this] {
      const bool busy = !paused && engine_.Turn();
      const NodeStats stats = engine_.stats();
      reserved_rows = stats.reserved_rows;
      requests = stats.running + stats.waiting;
      return busy;
    });
    stub = node::v1::DecodeService::NewStub(NewChannel(server_->address()));
  }
  ~DecodeServer() {
    server_->Shutdown(absl::ZeroDuration());
    loop_.Stop();
  }

  const std::string& address() const { return server_->address(); }

  std::atomic<bool> paused{false};
  std::atomic<uint64_t> reserved_rows{0};
  std::atomic<uint32_t> requests{0};
  std::unique_ptr<node::v1::DecodeService::Stub> stub;

 private:
  RealClock clock_;
  EventLoop loop_{absl::Milliseconds(5)};
  HashDevice device_;
  GrpcStateSource source_{&clock_, nullptr};
  DecodeEngine engine_;
  DecodeServiceImpl service_;
  PrefillServiceImpl offers_;
  std::unique_ptr<RpcServer> server_;
};

bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500 && !condition(); ++i) absl::SleepFor(absl::Milliseconds(10));
  return condition();
}

// What came of one Fetch.
struct Fetched {
  std::shared_ptr<absl::Notification> ended = std::make_shared<absl::Notification>();
  std::shared_ptr<std::vector<StateEvent>> events = std::make_shared<std::vector<StateEvent>>();
  std::unique_ptr<StateCall> call;

  absl::Status status() const { return std::get<StateEnded>(events->back().event).status; }
  uint64_t wire_bytes() const {
    uint64_t bytes = 0;
    for (const StateEvent& event : *events) bytes += event.wire_bytes;
    return bytes;
  }
};

Fetched Fetch(StateSource& source, const std::string& address, const Content& content,
              absl::Time deadline = absl::InfiniteFuture()) {
  Fetched fetched;
  fetched.call =
      source.Fetch({"node", address}, {.request_id = "r", .content = content, .fingerprint = "model", .kv_type = "f32"},
                   deadline, [ended = fetched.ended, events = fetched.events](StateEvent event) {
                     const bool last = std::holds_alternative<StateEnded>(event.event);
                     events->push_back(std::move(event));
                     if (last) ended->Notify();
                   });
  return fetched;
}

Content FullContent(uint32_t tokens) {
  return {.ids = std::vector<uint32_t>(tokens, 5), .prompt_length = tokens, .policy = {.recent = Policy::kAll}};
}

TEST(NodeGrpcTest, BytesAtTheTransportAreTheRowsAndHeaders) {
  PrefillServer server;
  const RealClock clock;
  GrpcStateSource source(&clock, nullptr);
  const Fetched fetched = Fetch(source, server.address(), FullContent(1000));
  fetched.ended->WaitForNotification();
  EXPECT_TRUE(fetched.status().ok()) << fetched.status();
  const uint64_t rows = 1000 * HashDevice(Device()).row_shape().row_bytes();
  EXPECT_GE(fetched.wire_bytes(), rows);
  EXPECT_LE(fetched.wire_bytes(), rows + 1000 + 1000 + 60 * fetched.events->size());  // positions take a byte each
  EXPECT_TRUE(Eventually([&] { return server.reserved_rows == 0; }));
}

TEST(NodeGrpcTest, LettingGoOfACallCancelsItAndFreesTheRows) {
  PrefillServer server;
  const RealClock clock;
  GrpcStateSource source(&clock, nullptr);
  Fetched fetched = Fetch(source, server.address(), FullContent(3000));
  EXPECT_TRUE(Eventually([&] { return server.reserved_rows > 0; }));
  fetched.call.reset();
  fetched.ended->WaitForNotification();
  EXPECT_TRUE(Eventually([&] { return server.reserved_rows == 0; }));
}

// Takes events when it is told to.
struct SlowTaker {
  absl::Mutex mutex;
  std::deque<StateEvent> events ABSL_GUARDED_BY(mutex);  // that were not taken

  StateSource::OnEvent OnEvent() {
    return [this](StateEvent event) {
      absl::MutexLock lock(&mutex);
      events.push_back(std::move(event));
    };
  }
  size_t waiting() {
    absl::MutexLock lock(&mutex);
    return events.size();
  }
  // nullopt: none came in time.
  std::optional<StateEvent> Take() {
    if (!Eventually([this] { return waiting() > 0; })) return std::nullopt;
    absl::MutexLock lock(&mutex);
    StateEvent event = std::move(events.front());
    events.pop_front();
    return event;
  }
};

TEST(NodeGrpcTest, WhatIsNotTakenIsNotReadFromTheSender) {
  PrefillServer server;
  const RealClock clock;
  GrpcStateSource source(&clock, nullptr, /*in_flight_bytes=*/1);  // so each call may have one message
  const StateRequest request{.request_id = "r", .content = FullContent(1000), .fingerprint = "model", .kv_type = "f32"};
  SlowTaker slow, gone;
  const std::unique_ptr<StateCall> call =
      source.Fetch({"node", server.address()}, request, absl::InfiniteFuture(), slow.OnEvent());
  std::unique_ptr<StateCall> other =
      source.Fetch({"node", server.address()}, request, absl::InfiniteFuture(), gone.OnEvent());
  uint64_t bytes = 0;
  for (bool ended = false; !ended;) {
    absl::SleepFor(absl::Milliseconds(30));
    EXPECT_LE(slow.waiting(), 1u);
    const std::optional<StateEvent> event = slow.Take();
    ASSERT_TRUE(event.has_value());
    bytes += event->wire_bytes;
    ended = std::holds_alternative<StateEnded>(event->event);
    if (ended) {
      EXPECT_TRUE(std::get<StateEnded>(event->event).status.ok());
    }
  }
  EXPECT_GE(bytes, 1000 * HashDevice(Device()).row_shape().row_bytes());
  // Who lets go hears of the end, whatever it has not taken.
  EXPECT_EQ(gone.waiting(), 1u);
  other.reset();
  EXPECT_TRUE(Eventually([&] { return gone.waiting() == 2; }));
  absl::MutexLock lock(&gone.mutex);
  EXPECT_TRUE(std::holds_alternative<StateEnded>(gone.events.back().event));
}

TEST(NodeGrpcTest, ErrorsArriveWithTheirCode) {
  PrefillServer server, stranger("other");
  const RealClock clock;
  GrpcStateSource source(&clock, nullptr);
  Content content = FullContent(10);
  content.ids[4] = 1000;
  const Fetched bad_id = Fetch(source, server.address(), content);
  bad_id.ended->WaitForNotification();
  EXPECT_EQ(bad_id.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(bad_id.status().message().find("ids[4]"), std::string::npos);
  const Fetched wrong_model = Fetch(source, stranger.address(), FullContent(10));
  wrong_model.ended->WaitForNotification();
  EXPECT_EQ(wrong_model.status().code(), absl::StatusCode::kFailedPrecondition);
  const Fetched nobody = Fetch(source, "127.0.0.1:1", FullContent(10));
  nobody.ended->WaitForNotification();
  EXPECT_EQ(nobody.status().code(), absl::StatusCode::kUnavailable);
}

TEST(NodeGrpcTest, DeadlinePasses) {
  PrefillServer server;
  server.paused = true;
  const RealClock clock;
  GrpcStateSource source(&clock, nullptr);
  const Fetched fetched = Fetch(source, server.address(), FullContent(500), absl::Now() + absl::Milliseconds(200));
  fetched.ended->WaitForNotification();
  EXPECT_EQ(fetched.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(NodeGrpcTest, GarbageIsAStatusAndTheServerGoesOn) {
  PrefillServer server;
  grpc::GenericStub stub(NewChannel(server.address()));
  for (const std::string& garbage : {std::string(), std::string("\xff\xff\xff"), std::string("\x12\x04\x0a\x02\xff")}) {
    struct Reactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
      void OnDone(const grpc::Status& end) override {
        status = end;
        done.Notify();
      }
      grpc::Status status;
      absl::Notification done;
    } reactor;
    grpc::ClientContext context;
    const grpc::Slice slice(garbage);
    const grpc::ByteBuffer request(&slice, 1);
    stub.PrepareBidiStreamingCall(&context, "/kedge.node.v1.PrefillService/Prefill", {}, &reactor);
    reactor.StartWriteLast(&request, grpc::WriteOptions());
    reactor.StartCall();
    reactor.done.WaitForNotification();
    EXPECT_FALSE(reactor.status.ok());
  }
  const RealClock clock;
  GrpcStateSource source(&clock, nullptr);
  const Fetched fetched = Fetch(source, server.address(), FullContent(10));
  fetched.ended->WaitForNotification();
  EXPECT_TRUE(fetched.status().ok());
}

struct Answer {
  std::vector<uint32_t> ids;
  node::v1::Prefilled prefilled;
  grpc::Status status;
};

void SetCandidates(const std::vector<std::string>& prefill, node::v1::DecodeRequest* request) {
  for (const std::string& address : prefill) {
    auto* candidate = request->add_prefill_candidates();
    candidate->set_node_id("node-" + address);
    candidate->set_address(address);
  }
}

node::v1::DecodeRequest Request(const Content& content, const std::vector<std::string>& prefill) {
  node::v1::DecodeRequest request;
  request.set_request_id("r");
  *request.mutable_content() = ContentToProto(content, "model");
  request.mutable_sampling()->set_max_tokens(20);
  request.mutable_sampling()->set_top_p(1);
  request.mutable_sampling()->set_repetition_penalty(1);
  SetCandidates(prefill, &request);
  return request;
}

Answer Decode(DecodeServer& server, const node::v1::DecodeRequest& request) {
  Answer answer;
  const size_t given = static_cast<size_t>(request.content().ids_size()) - request.content().prompt_length();
  grpc::ClientContext context;
  auto reader = server.stub->Decode(&context, request);
  node::v1::DecodeResponse response;
  while (reader->Read(&response)) {
    if (response.tokens_size() > 0) {
      EXPECT_EQ(response.first_index(), given + answer.ids.size());
    }
    for (const auto& token : response.tokens()) answer.ids.push_back(token.id());
    if (response.has_prefilled()) answer.prefilled = response.prefilled();
  }
  answer.status = reader->Finish();
  return answer;
}

TEST(NodeGrpcTest, TextThroughTwoNodesIsThatOfOneDevice) {
  PrefillServer prefill;
  DecodeServer decode;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Content content = RandomContent(kVocabulary, 300, random);
    content.prompt_length = static_cast<uint32_t>(content.ids.size());
    const Answer answer = Decode(decode, Request(content, {prefill.address()}));
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    HashDevice device(Device());
    EXPECT_EQ(answer.ids, GenerateAlone(content, {.temperature = 0, .max_tokens = 20}, 4000, &device));
    EXPECT_EQ(answer.prefilled.prefill_node(), content.ids.size() > 1 ? "node-" + prefill.address() : "");
  }
  EXPECT_TRUE(Eventually([&] { return decode.reserved_rows == 0 && prefill.reserved_rows == 0; }));
}

TEST(NodeGrpcTest, AnAnswerWithoutMemoryTakesItsRowsAlong) {
  HashDeviceOptions small = Device();
  small.num_pages = 20;
  DecodeServer full(small), other;
  node::v1::DecodeRequest request = Request(FullContent(50), {});
  request.mutable_sampling()->set_max_tokens(400);  // 15 pages in the end
  full.paused = true;  // until both are there
  grpc::ClientContext context;
  auto older = full.stub->Decode(&context, request);
  ASSERT_TRUE(Eventually([&] { return full.requests == 1; }));
  request.mutable_content()->set_ids(0, 6);
  std::future<Answer> younger = std::async(std::launch::async, [&] { return Decode(full, request); });
  ASSERT_TRUE(Eventually([&] { return full.requests == 2; }));
  full.paused = false;
  const Answer moved = younger.get();
  ASSERT_EQ(moved.status.error_code(), grpc::StatusCode::ABORTED);
  ASSERT_FALSE(moved.ids.empty());
  context.TryCancel();
  for (const uint32_t id : moved.ids) request.mutable_content()->add_ids(id);
  SetCandidates({full.address(), "127.0.0.1:1"}, &request);
  const Answer rest = Decode(other, request);
  ASSERT_TRUE(rest.status.ok()) << rest.status.error_message();
  EXPECT_EQ(rest.prefilled.prefill_node(), "node-" + full.address());
  std::vector<uint32_t> all = moved.ids;
  all.insert(all.end(), rest.ids.begin(), rest.ids.end());
  Content content = FullContent(50);
  content.ids[0] = 6;
  HashDevice device(Device());
  EXPECT_EQ(all, GenerateAlone(content, {.temperature = 0, .max_tokens = 400}, 4000, &device));
}

TEST(NodeGrpcTest, DeadAndSilentPrefillNodesAreGoneAround) {
  auto dead = std::make_unique<PrefillServer>();
  PrefillServer silent, good;
  silent.paused = true;
  dead->Kill();
  DecodeServer decode;
  const Content content = FullContent(200);
  const Answer answer = Decode(decode, Request(content, {dead->address(), silent.address(), good.address()}));
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.prefilled.prefill_node(), "node-" + good.address());
  HashDevice device(Device());
  EXPECT_EQ(answer.ids, GenerateAlone(content, {.temperature = 0, .max_tokens = 20}, 4000, &device));
}

TEST(NodeGrpcTest, ClientThatGoesAwayFreesBothNodes) {
  PrefillServer prefill;
  DecodeServer decode;
  prefill.paused = true;  // the state never comes
  grpc::ClientContext context;
  auto reader = decode.stub->Decode(&context, Request(FullContent(500), {prefill.address()}));
  EXPECT_TRUE(Eventually([&] { return decode.reserved_rows > 0; }));
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return decode.reserved_rows == 0; }));
}

}  // namespace
}  // namespace kedge
