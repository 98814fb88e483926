// Fuzz target of the two nodes: messages of routers and peers -> engines on HashDevice. An input is a NodeScript: a
// prefill and a decode engine take its messages, the decode engine asks the prefill engine, whose answers the script
// may damage, and 20 turns pass; the state of an answer that moved lies there to be asked for. Whatever came, when it
// is over no row is reserved, and none was read half written.
#include <xxhash.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/anchor/policy.h"
#include "common/anchor/segment.h"
#include "common/base/check.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/kernels/hash_device.h"
#include "common/kv/page_pool.h"
#include "common/testing/fuzz_driver.h"
#include "common/transfer/state_message.h"
#include "common/transfer/state_request.h"
#include "decode/decode_messages.h"
#include "decode/offered_states.h"
#include "google/protobuf/stubs/logging.h"
#include "kedge/testing/script.pb.h"
#include "prefill/prefill_engine.h"
#include "spdlog/spdlog.h"
#include "tests/message_mutator.h"
#include "tests/recorded_messages.h"
#include "tests/simulated_cluster.h"

namespace kedge {
namespace {

using testing::Damage;
using testing::NodeEvent;
using testing::NodeScript;

constexpr int kTurns = 20;
constexpr int kMostEvents = 32;

// Header and frames have their lengths and checksums where FORMAT.md says.
void Repair(bool is_header, const ChainKey& chain, std::vector<uint8_t>* bytes) {
  if (is_header && bytes->size() >= 24) {
    const uint64_t sum = XXH3_64bits(bytes->data(), bytes->size() - 8);
    for (int i = 0; i < 8; ++i) (*bytes)[bytes->size() - 8 + i] = static_cast<uint8_t>(sum >> (8 * i));
  } else if (!is_header && bytes->size() >= kFrameHeaderBytes) {
    const uint64_t sum = FrameChecksum(*bytes, chain);
    for (int i = 0; i < 8; ++i) (*bytes)[16 + i] = static_cast<uint8_t>(sum >> (8 * i));
  }
}

// Both engines, and the wire between them.
class Nodes : public StateSource {
 public:
  Nodes() : prefill_device_(kDevice), decode_device_(kDevice), moved_device_(kDevice), moved_pages_(kDevice.num_pages) {
    const Content moved{.ids = {1, 2, 3, 4}, .prompt_length = 3, .policy = ParsePolicy("full", {}).value()};
    Sequence sequence(moved, moved_pages_.Reserve(PagesFor(moved, 0, kDevice.max_rows, 1)).value());
    const Slice slice{&sequence, sequence.ready()};
    KEDGE_CHECK(FinishStep({slice}, LaunchStep({slice}, &moved_device_).get(), &moved_device_).ok());
    offered_.Offer(sequence);
    prefill_ = std::make_unique<PrefillEngine>(
        PrefillOptions{.fingerprint = kSimulatedModel,
                       .context_length = kContext,
                       .salience_heads = SimulatedHeads(),
                       .cache_pages = 40},
        &prefill_device_, &clock_);
    decode_ = std::make_unique<DecodeEngine>(DecodeOptions{.fingerprint = kSimulatedModel,
                                                           .context_length = kContext,
                                                           .salience_heads = SimulatedHeads(),
                                                           .cache_pages = 40,
                                                           .held_bytes = 1 << 16,
                                                           .offered_bytes = 1 << 16,
                                                           .row_source = {.max_continued_tokens = 64},
                                                           .max_waiting = 4},
                                             &decode_device_, this, &clock_,
                                             [this](std::function<void()> closure) { Post(std::move(closure)); });
  }

  void Take(const NodeEvent& event) {
    switch (event.event_case()) {
      case NodeEvent::kDecode: {
        absl::StatusOr<DecodeJob> job = DecodeJobFromProto(event.decode(), absl::InfiniteFuture());
        if (!job.ok()) return Expect(job.status());
        auto sink = std::make_shared<DecodeMessageSink>(
            DecodeMessageSink::Output{.message = [](node::v1::DecodeResponse) {}, .end = Expect},
            decode_device_.numerics_class(), decode_device_.row_shape().row_bytes());
        decode_jobs_.push_back(decode_->Add(*std::move(job), sink));
        return;
      }
      case NodeEvent::kPrefill: {
        absl::StatusOr<StateRequest> request = StateRequestFromProto(event.prefill());
        if (!request.ok()) return Expect(request.status());
        offered_jobs_.push_back(
            offered_.Add(*request, std::make_shared<Sink>(this, nullptr), absl::InfiniteFuture()));
        prefill_jobs_.push_back(
            prefill_->Add(*std::move(request), std::make_shared<Sink>(this, nullptr), absl::InfiniteFuture()));
        return;
      }
      case NodeEvent::kDamage: damages_.push_back(event.damage()); return;
      case NodeEvent::kResponse: {
        const std::string bytes = event.response().SerializeAsString();
        const grpc::Slice slice(bytes);
        if (const auto link = latest_.lock()) Deliver(link, grpc::ByteBuffer(&slice, 1));
        return;
      }
      case NodeEvent::kCancel:
        for (const DecodeEngine::JobId id : decode_jobs_) {
          if (id % 4 == event.cancel() % 4) decode_->Cancel(id);
        }
        for (const PrefillEngine::JobId id : prefill_jobs_) {
          if (id % 4 == event.cancel() % 4) prefill_->Cancel(id);
        }
        for (const StateServer::JobId id : offered_jobs_) {
          if (id % 4 == event.cancel() % 4) offered_.Cancel(id);
        }
        return;
      case NodeEvent::kTurns: return Turns(static_cast<int>(std::min<uint32_t>(event.turns(), kTurns)));
      case NodeEvent::EVENT_NOT_SET: return;
    }
  }

  void Turns(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.Advance(absl::Milliseconds(200));
      prefill_->Turn();
      decode_->Turn();
      offered_.Turn(/*wait=*/true);
      for (size_t left = posted_.size(); left > 0; --left) {
        const std::function<void()> closure = std::move(posted_.front());
        posted_.pop_front();
        closure();
      }
    }
  }

  void End() {
    for (const DecodeEngine::JobId id : decode_jobs_) decode_->Cancel(id);
    for (const PrefillEngine::JobId id : prefill_jobs_) prefill_->Cancel(id);
    Turns(3);  // what steps were under way
    KEDGE_CHECK(prefill_->stats().reserved_rows == 0 && decode_->stats().reserved_rows == 0);
    KEDGE_CHECK(prefill_device_.torn_rows() == 0);
    decode_.reset();  // before what it calls
  }

  std::unique_ptr<StateCall> Fetch(const PrefillCandidate&, const StateRequest& request, absl::Time,
                                   OnEvent on_event) override {
    auto link = std::make_shared<Link>(Link{.on_event = std::move(on_event)});
    latest_ = link;
    // Over the wire and back, as between processes.
    absl::StatusOr<StateRequest> again = StateRequestFromProto(StateRequestToProto(request));
    KEDGE_CHECK(again.ok());
    link->job = prefill_->Add(*std::move(again), std::make_shared<Sink>(this, link), absl::InfiniteFuture());
    return std::make_unique<Call>(this, link);
  }

 private:
  static constexpr uint32_t kContext = 400;
  static constexpr HashDeviceOptions kDevice{.num_pages = 96, .max_rows = 64, .vocab_size = 512};

  struct Link {
    OnEvent on_event;
    PrefillEngine::JobId job = 0;
    std::optional<ChainKey> chain;
    bool open = true;
  };

  class Sink : public StateSink {
   public:
    // `link`: null where nobody listens.
    Sink(Nodes* nodes, std::shared_ptr<Link> link) : nodes_(nodes), link_(std::move(link)) {}
    void Send(StateEvent event) override {
      if (link_ == nullptr) {
        if (const auto* ended = std::get_if<StateEnded>(&event.event)) Expect(ended->status);
        return;
      }
      if (const auto* ended = std::get_if<StateEnded>(&event.event); ended != nullptr && !ended->status.ok()) {
        return nodes_->Post([link = link_, event] { Tell(link, event); });
      }
      nodes_->Harm(&event, link_.get());
      nodes_->Deliver(link_, EncodeStateEvent(event));
    }
    bool Congested() const override { return false; }

   private:
    Nodes* nodes_;
    std::shared_ptr<Link> link_;
  };

  class Call : public StateCall {
   public:
    Call(Nodes* nodes, std::shared_ptr<Link> link) : nodes_(nodes), link_(std::move(link)) {}
    ~Call() override {
      link_->open = false;
      nodes_->prefill_->Cancel(link_->job);
    }

   private:
    Nodes* nodes_;
    std::shared_ptr<Link> link_;
  };

  static void Tell(const std::shared_ptr<Link>& link, StateEvent event) {
    if (!link->open) return;
    if (std::holds_alternative<StateEnded>(event.event)) link->open = false;
    link->on_event(std::move(event));
  }

  // What a client may be told: nothing of ours has gone wrong.
  static void Expect(const absl::Status& status) { KEDGE_CHECK(status.code() != absl::StatusCode::kUnknown); }

  void Post(std::function<void()> closure) { posted_.push_back(std::move(closure)); }

  void Deliver(const std::shared_ptr<Link>& link, grpc::ByteBuffer bytes) {
    absl::StatusOr<StateEvent> event = DecodeStateEvent(std::move(bytes));
    StateEvent told = event.ok() ? *std::move(event) : StateEvent{StateEnded{event.status()}};
    Post([link, told = std::move(told)] { Tell(link, told); });
  }

  void Harm(StateEvent* event, Link* link) {
    auto* const head = std::get_if<StateHead>(&event->event);
    auto* const frame = std::get_if<StateFrame>(&event->event);
    if (head == nullptr && frame == nullptr) return;
    Payload* const payload = head != nullptr ? &head->header : &frame->frame;
    if (head != nullptr) {
      if (const auto header = ParseSegmentHeader(payload->bytes); header.ok()) link->chain = header->chain;
    }
    if (damages_.empty()) return;
    Damage& damage = damages_.front();
    if (damage.after() > 0) return damage.set_after(damage.after() - 1);
    std::vector<uint8_t> bytes(payload->bytes.begin(), payload->bytes.end());
    for (size_t i = 0; i < damage.bytes().size() && !bytes.empty(); ++i) {
      bytes[(damage.offset() + i) % bytes.size()] = static_cast<uint8_t>(damage.bytes()[i]);
    }
    if (damage.repaired()) Repair(head != nullptr, link->chain.value_or(ChainKey{}), &bytes);
    *payload = Payload::Own(std::move(bytes));
    damages_.pop_front();
  }

  SimulatedClock clock_;
  HashDevice prefill_device_;
  HashDevice decode_device_;
  HashDevice moved_device_;
  PagePool moved_pages_;
  OfferedStates offered_{{.fingerprint = kSimulatedModel, .context_length = kContext, .max_bytes = 1 << 16},
                         &moved_device_,
                         &clock_};
  std::deque<std::function<void()>> posted_;
  std::deque<Damage> damages_;
  std::weak_ptr<Link> latest_;
  std::vector<DecodeEngine::JobId> decode_jobs_;
  std::vector<PrefillEngine::JobId> prefill_jobs_;
  std::vector<StateServer::JobId> offered_jobs_;
  std::unique_ptr<PrefillEngine> prefill_;
  std::unique_ptr<DecodeEngine> decode_;
};

}  // namespace
}  // namespace kedge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spdlog::set_level(spdlog::level::off);
  google::protobuf::SetLogHandler(nullptr);
  kedge::testing::NodeScript script;
  if (!script.ParseFromArray(data, static_cast<int>(size))) return 0;
  kedge::Nodes nodes;
  for (int i = 0; i < std::min(script.events_size(), kedge::kMostEvents); ++i) nodes.Take(script.events(i));
  nodes.Turns(kedge::kTurns);
  nodes.End();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  kedge::testing::NodeScript script;
  return kedge::MutateSerialized(&script, data, size, max_size, seed);
}

// Little ones, in which few changes make whatever a field can break.
std::vector<kedge::testing::NodeEvent> SmallEvents() {
  std::vector<kedge::testing::NodeEvent> events;
  for (const char* policy : {"full", "salient", "anchors=2,longest=3,sinks=1,recent=2,prefill=full,salient=0.5",
                             "anchors=2,longest=3,keep=none", "recent=3,sinks=2,prefill=full,write=full"}) {
    for (const bool is_chosen : {false, true}) {
      kedge::node::v1::DecodeRequest decode;
      decode.set_request_id("small");
      auto& content = *decode.mutable_content();
      for (uint32_t id = 1; id <= 4; ++id) content.add_ids(id);
      content.set_prompt_length(3);
      content.set_policy(policy);
      content.set_fingerprint(kedge::kSimulatedModel);
      if (is_chosen) content.mutable_salient();
      auto& sampling = *decode.mutable_sampling();
      sampling.set_top_p(1);
      sampling.set_repetition_penalty(1);
      sampling.set_max_tokens(4);
      kedge::node::v1::PrefillRequest prefill;
      prefill.set_request_id("small");
      *prefill.mutable_content() = content;
      prefill.set_kv_type("f32");
      *events.emplace_back().mutable_decode() = decode;
      *events.emplace_back().mutable_prefill() = prefill;
    }
  }
  return events;
}

// A request alone, the same twice with turns between, one beside the other kind, and one whose state is damaged.
std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  std::vector<kedge::testing::NodeEvent> events = SmallEvents();
  for (const auto& message : kedge::ReadRecordedMessages<kedge::node::v1::DecodeRequest>()) {
    *events.emplace_back().mutable_decode() = message;
  }
  for (const auto& message : kedge::ReadRecordedMessages<kedge::node::v1::PrefillRequest>()) {
    *events.emplace_back().mutable_prefill() = message;
  }
  for (size_t i = 0; i < events.size(); ++i) {
    kedge::testing::NodeScript script;
    *script.add_events() = events[i];
    seeds.push_back(script.SerializeAsString());
    script.add_events()->set_turns(3);
    *script.add_events() = events[i];
    *script.add_events() = events[(i + events.size() / 2) % events.size()];
    seeds.push_back(script.SerializeAsString());
    kedge::testing::NodeScript damaged;
    kedge::testing::Damage* const damage = damaged.add_events()->mutable_damage();
    damage->set_after(i % 3);
    damage->set_offset(static_cast<uint32_t>(16 + 9 * i));
    damage->set_bytes("\x01");
    damage->set_repaired(true);
    *damaged.add_events() = events[i];
    damaged.add_events()->set_turns(2);
    damaged.add_events()->mutable_response()->mutable_progress();
    seeds.push_back(damaged.SerializeAsString());
  }
  return seeds;
}
