#include "tests/simulated_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/kernels/hash_device.h"
#include "common/kv/page_pool.h"
#include "common/rpc/convert.h"
#include "common/rpc/protocol.h"
#include "common/transfer/state_request.h"
#include "decode/decode_messages.h"
#include "spdlog/spdlog.h"

namespace kedge {

void SimulatedAnswer::Message(inference::v1::GenerateStreamResponse message) {
  for (const inference::v1::Completion& completion : message.completions()) {
    token_ids.insert(token_ids.end(), completion.token_ids().begin(), completion.token_ids().end());
    if (completion.finish_reason() != inference::v1::FINISH_REASON_UNSPECIFIED) reason = completion.finish_reason();
  }
  if (message.has_usage()) usage = message.usage();
  if (message.has_provenance()) provenance = message.provenance();
}

void SimulatedAnswer::Finish(const absl::Status& end, const ServedBy& nodes) {
  KEDGE_CHECK(!finished);
  finished = true;
  status = end;
  served_by = nodes;
}

struct SimulatedCluster::PrefillNode {
  std::string address;
  SimulatedDevice device;
  std::unique_ptr<PrefillEngine> engine;  // null: dead
  bool frozen = false;
  uint64_t registration = 0;
  uint64_t turns = 0;
  std::map<int, std::function<void(absl::Status)>> on_death;  // by call
};

struct SimulatedCluster::DecodeNode {
  std::string address;
  SimulatedDevice device;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);  // events for a dead engine are lost
  std::unique_ptr<DecodeEngine> engine;                        // null: dead
  bool frozen = false;
  bool leaves = false;
  uint64_t registration = 0;
  uint64_t turns = 0;
  std::map<int, std::function<void(absl::Status)>> on_death;  // by call
  std::vector<std::function<void()>> arrivals;                // what comes while a step is computed

  void Arrive() {
    for (auto& arrival : std::exchange(arrivals, {})) arrival();
  }
};

// Frames cross here, and here they are dropped, doubled, damaged and cut.
class SimulatedCluster::Source : public StateSource {
 public:
  explicit Source(SimulatedCluster* cluster) : cluster_(cluster) {}

  std::unique_ptr<StateCall> Fetch(const PrefillCandidate& candidate, const StateRequest& request,
                                   absl::Time deadline, OnEvent on_event) override {
    const std::string& address = candidate.address;
    auto link = std::make_shared<Link>();
    link->on_event = std::move(on_event);
    link->silent = cluster_->Odds(cluster_->options_.faults.silence);
    link->breaks_after = cluster_->Odds(cluster_->options_.faults.break_state) ? cluster_->random_() % 6 : -1;
    const Node node = Find(address);
    if (node.server == nullptr) {
      cluster_->Post([link] { link->Deliver({StateEnded{absl::UnavailableError("connection refused")}}); });
      return std::make_unique<Call>(this, link, address, 0, 0);
    }
    link->offered = node.is_decode ? &cluster_->offered_states_ : nullptr;
    if (cluster_->options_.on_message != nullptr) cluster_->options_.on_message(StateRequestToProto(request));
    const int call = cluster_->next_call_++;
    (*node.on_death)[call] = [link](absl::Status status) { link->Deliver({StateEnded{std::move(status)}}); };
    const StateServer::JobId job = node.server->Add(request, std::make_shared<Sink>(cluster_, link), deadline);
    return std::make_unique<Call>(this, link, address, job, call);
  }

 private:
  struct Node {
    StateServer* server = nullptr;  // null: there is none, or it is dead
    std::map<int, std::function<void(absl::Status)>>* on_death = nullptr;
    bool is_decode = false;
  };

  Node Find(const std::string& address) {
    for (auto& node : cluster_->prefill_) {
      if (node->address == address) return {node->engine.get(), &node->on_death};
    }
    for (auto& node : cluster_->decode_) {
      if (node->address != address || node->engine == nullptr) continue;
      return {node->engine->offered_states(), &node->on_death, /*is_decode=*/true};
    }
    return {};
  }

  struct Link {
    OnEvent on_event;
    bool open = true;
    bool silent = false;
    int breaks_after = -1;
    int* offered = nullptr;  // counts whole states
    void Deliver(StateEvent event) {
      if (!open) return;
      if (const auto* ended = std::get_if<StateEnded>(&event.event)) {
        open = false;
        if (offered != nullptr) *offered += ended->status.ok();
      }
      on_event(std::move(event));
    }
  };

  class Sink : public StateSink {
   public:
    Sink(SimulatedCluster* cluster, std::shared_ptr<Link> link) : cluster_(cluster), link_(std::move(link)) {}
    void Send(StateEvent event) override {
      if (link_->silent) return;
      const Faults& faults = cluster_->options_.faults;
      if (link_->breaks_after >= 0 && link_->breaks_after-- == 0) {
        event = {StateEnded{absl::UnavailableError("connection reset")}};
      }
      auto* frame = std::get_if<StateFrame>(&event.event);
      if (frame != nullptr) {
        if (cluster_->Odds(faults.drop_frame)) return;
        if (cluster_->Odds(faults.double_frame)) Post(event);
        std::vector<uint8_t> bytes(frame->frame.bytes.begin(), frame->frame.bytes.end());
        if (cluster_->Odds(faults.flip_bit)) bytes[cluster_->random_() % bytes.size()] ^= 1 << cluster_->random_() % 8;
        if (cluster_->Odds(faults.truncate_frame)) bytes.resize(cluster_->random_() % bytes.size());
        frame->frame = Payload::Own(std::move(bytes));
        event.wire_bytes = frame->frame.bytes.size();
      }
      Post(std::move(event));
    }

    bool Congested() const override { return false; }

   private:
    void Post(StateEvent event) {
      cluster_->Post([link = link_, event = std::move(event)] { link->Deliver(event); });
    }
    SimulatedCluster* cluster_;
    std::shared_ptr<Link> link_;
  };

  class Call : public StateCall {
   public:
    Call(Source* source, std::shared_ptr<Link> link, std::string address, StateServer::JobId job, int call)
        : source_(source), link_(std::move(link)), address_(std::move(address)), job_(job), call_(call) {}
    ~Call() override {
      link_->open = false;
      const Node node = source_->Find(address_);
      if (node.on_death != nullptr) node.on_death->erase(call_);
      if (node.server != nullptr) node.server->Cancel(job_);
    }

   private:
    Source* source_;
    std::shared_ptr<Link> link_;
    std::string address_;
    StateServer::JobId job_;
    int call_;
  };

  SimulatedCluster* cluster_;
};

class SimulatedCluster::Caller : public DecodeCaller {
 public:
  explicit Caller(SimulatedCluster* cluster) : cluster_(cluster) {}

  std::shared_ptr<DecodeCall> Start(const NodeSnapshot& target, node::v1::DecodeRequest request, absl::Time deadline,
                                    DecodeEvents events) override {
    auto link = std::make_shared<Link>();
    link->events = std::move(events);
    ++cluster_->calls_[request.request_id()];
    DecodeNode* node = Find(target.address);
    if (node == nullptr || node->engine == nullptr) {
      cluster_->Post([link] { link->Done(absl::UnavailableError("connection refused")); });
      return std::make_shared<Call>(this, link, target.address, std::make_shared<DecodeEngine::JobId>(0));
    }
    const int call = cluster_->next_call_++;
    node->on_death[call] = [link](absl::Status status) { link->Done(status); };
    if (cluster_->options_.on_message != nullptr) cluster_->options_.on_message(request);
    absl::StatusOr<DecodeJob> job = DecodeJobFromProto(request, deadline);
    KEDGE_CHECK(job.ok());
    auto sink = std::make_shared<DecodeMessageSink>(
        DecodeMessageSink::Output{
            .message =
                [this, link](node::v1::DecodeResponse response) {
                  if (cluster_->options_.on_message != nullptr) cluster_->options_.on_message(response);
                  cluster_->Post([link, response = std::move(response)] {
                    if (link->open) link->events.on_message(response);
                  });
                },
            .end = [this,
                    link](const absl::Status& status) { cluster_->Post([link, status] { link->Done(status); }); }},
        node->device.get()->numerics_class(), node->device.get()->row_shape().row_bytes());
    auto id = std::make_shared<DecodeEngine::JobId>(0);  // 0: it has not arrived
    auto add = [node, id, job = std::make_shared<DecodeJob>(*std::move(job)), sink = std::move(sink)] {
      *id = node->engine->Add(std::move(*job), sink);
    };
    if (node->device.clock().is_busy() || cluster_->random_() % 2 == 0) {
      add();
    } else {
      node->arrivals.push_back(std::move(add));
    }
    return std::make_shared<Call>(this, link, target.address, std::move(id));
  }

  DecodeNode* Find(const std::string& address) {
    for (auto& node : cluster_->decode_) {
      if (node->address == address) return node.get();
    }
    return nullptr;
  }

 private:
  struct Link {
    DecodeEvents events;
    bool open = true;
    void Done(const absl::Status& status) {
      if (!std::exchange(open, false)) return;
      events.on_done(status);
    }
  };

  class Call : public DecodeCall {
   public:
    Call(Caller* caller, std::shared_ptr<Link> link, std::string address, std::shared_ptr<DecodeEngine::JobId> id)
        : caller_(caller), link_(std::move(link)), address_(std::move(address)), id_(std::move(id)) {}
    void Cancel() override {
      DecodeNode* node = caller_->Find(address_);
      if (node != nullptr && node->engine != nullptr) {
        node->Arrive();
        node->engine->Cancel(*id_);
      }
      caller_->cluster_->Post([link = link_] { link->Done(absl::CancelledError("cancelled")); });
    }

   private:
    Caller* caller_;
    std::shared_ptr<Link> link_;
    std::string address_;
    std::shared_ptr<DecodeEngine::JobId> id_;
  };

  SimulatedCluster* cluster_;
};

SimulatedCluster::SimulatedCluster(const SimulationOptions& options, const Tokenizer* tokenizer)
    : options_(options),
      random_(options.seed),
      start_(clock_.Now()),
      registry_(&clock_, kSimulatedModel, ""),
      source_(std::make_unique<Source>(this)),
      caller_(std::make_unique<Caller>(this)),
      audit_(std::make_unique<Audit>(options.audit, &clock_, &registry_, caller_.get(),
                                     [this] { return uint64_t{random_()} << 32 | random_(); })) {
  spdlog::set_level(spdlog::level::off);  // a warning for each of thousands of faults helps nobody
  environment_ = {
      .clock = &clock_,
      .tokenizer = tokenizer,
      .registry = &registry_,
      .prefixes = &prefixes_,
      .caller = caller_.get(),
      .audit = audit_.get(),
      .retries = &retries_,
      .run_after = [this](absl::Duration delay,
                          std::function<void()> closure) { timers_.emplace(clock_.Now() + delay, std::move(closure)); },
      .draw_seed = [this] { return uint64_t{random_()}; }};
  const HashDeviceOptions device{.num_pages = options.pages,
                                 .max_rows = 64,
                                 .vocab_size = options.vocab_size,
                                 .runs_ahead = options.runs_ahead,
                                 .undecided = options.undecided};
  HashDeviceOptions decode_device = device;
  if (options.decode_pages > 0) decode_device.num_pages = options.decode_pages;
  HashDeviceOptions wrong = device;
  wrong.model_seed = 2;
  node::v1::NodeInfo info;
  info.set_protocol_version(kProtocolVersion);
  info.set_fingerprint(kSimulatedModel);
  info.set_numerics_class(HashDevice(device).numerics_class());
  info.set_kv_type("f32");
  info.set_row_bytes(HashDevice(device).row_shape().row_bytes());
  info.set_total_rows(uint64_t{options.pages} * kPageRows);
  for (int i = 0; i < options.prefill_nodes; ++i) {
    auto node = std::unique_ptr<PrefillNode>(
        new PrefillNode{absl::StrCat("prefill:", i + 1),
                        SimulatedDevice(i == options.wrong_prefill ? wrong : device, options.deferred,
                                        options.prefill_price, &clock_)});
    node->engine = std::make_unique<PrefillEngine>(PrefillOptions{.fingerprint = kSimulatedModel,
                                                                  .context_length = kSimulatedContext,
                                                                  .salience_heads = SimulatedHeads(),
                                                                  .cache_pages = options.cache_pages},
                                                   node->device.get(), &node->device.clock());
    info.set_role(node::v1::ROLE_PREFILL);
    info.set_node_id(node->address);
    info.set_address(node->address);
    node->registration = Register(info);
    prefill_.push_back(std::move(node));
  }
  for (int i = 0; i < options.decode_nodes; ++i) {
    auto node = std::unique_ptr<DecodeNode>(
        new DecodeNode{absl::StrCat("decode:", i + 1),
                       SimulatedDevice(i == options.wrong_decode ? wrong : decode_device, options.deferred,
                                       options.decode_price, &clock_)});
    const DecodeOptions engine{.fingerprint = kSimulatedModel,
                               .context_length = kSimulatedContext,
                               .salience_heads = SimulatedHeads(),
                               .cache_pages = options.cache_pages,
                               .held_bytes = options.held_bytes,
                               .offered_bytes = options.offered_bytes,
                               .row_source = {.max_continued_tokens = 64},
                               .run_step = [node = node.get()](absl::FunctionRef<void()> step) {
                                 node->Arrive();
                                 step();
                               }};
    auto post = [this, alive = node->alive](std::function<void()> closure) {
      Post([alive, closure = std::move(closure)] {
        if (*alive) closure();
      });
    };
    auto enter = [node = node.get()](std::function<void()> closure) { node->arrivals.push_back(std::move(closure)); };
    node->engine = std::make_unique<DecodeEngine>(engine, node->device.get(), source_.get(), &node->device.clock(),
                                                  std::move(post), std::move(enter));
    info.set_role(node::v1::ROLE_DECODE);
    info.set_node_id(node->address);
    info.set_address(node->address);
    node->registration = Register(info);
    decode_.push_back(std::move(node));
  }
  Heartbeats();
}

SimulatedCluster::~SimulatedCluster() {
  for (auto& node : decode_) node->engine.reset();  // its calls refer to the prefill nodes
}

std::shared_ptr<RequestFlow> SimulatedCluster::Start(RouterRequest request, SimulatedAnswer* answer,
                                                     absl::Duration deadline) {
  const absl::Time end = clock_.Now() + deadline;
  std::shared_ptr<RequestFlow> flow =
      RequestFlow::Create(&environment_, std::move(request), clock_.Now(), end, answer);
  flow->Start();
  if (end != absl::InfiniteFuture()) {  // as gRPC does it
    timers_.emplace(end, [flow] { flow->Cancel(absl::DeadlineExceededError("the client's time is up")); });
  }
  return flow;
}

uint64_t SimulatedCluster::Register(const node::v1::NodeInfo& info) {
  if (options_.on_message != nullptr) {
    node::v1::RegisterRequest message;
    *message.mutable_info() = info;
    options_.on_message(message);
  }
  return registry_.Register(info).value();
}

void SimulatedCluster::Heartbeat(uint64_t registration, const node::v1::Heartbeat& heartbeat) {
  if (options_.on_message != nullptr) {
    node::v1::RegisterRequest message;
    *message.mutable_heartbeat() = heartbeat;
    options_.on_message(message);
  }
  KEDGE_CHECK(registry_.Heartbeat(registration, heartbeat).ok());
}

void SimulatedCluster::Heartbeats() {
  if (clock_.Now() < next_heartbeat_) return;
  next_heartbeat_ = clock_.Now() + options_.heartbeat_interval;
  for (auto& node : prefill_) {
    if (node->engine == nullptr) continue;
    Heartbeat(node->registration, HeartbeatFrom(node->engine->stats(), node->turns));
  }
  for (auto& node : decode_) {
    if (node->engine == nullptr) continue;
    node::v1::Heartbeat heartbeat = HeartbeatFrom(node->engine->stats(), node->turns);
    heartbeat.set_leaves(node->leaves);
    Heartbeat(node->registration, heartbeat);
  }
}

void SimulatedCluster::Turn() {
  clock_.Advance(options_.turn_time);
  Heartbeats();
  while (!timers_.empty() && timers_.begin()->first <= clock_.Now()) {
    Post(std::move(timers_.begin()->second));
    timers_.erase(timers_.begin());
  }
  // A part of what is under way arrives before each engine's turn, so that orders differ from seed to seed.
  auto deliver = [this] {
    const size_t most = options_.is_prompt ? queue_.size() : random_() % 30;
    for (size_t left = most; left > 0 && !queue_.empty(); --left) {
      const std::function<void()> closure = std::move(queue_.front());
      queue_.pop_front();
      closure();
    }
  };
  for (auto& node : prefill_) {
    deliver();
    if (node->engine == nullptr || node->frozen || node->device.clock().is_busy()) continue;
    ++node->turns;
    node->engine->Turn();
  }
  for (auto& node : decode_) {
    deliver();
    if (node->engine == nullptr || node->frozen || node->device.clock().is_busy()) continue;
    ++node->turns;
    node->engine->Turn();
    node->Arrive();  // where there was no step
  }
}

bool SimulatedCluster::RunUntilFinished(const std::vector<SimulatedAnswer*>& answers, int most) {
  for (int turn = 0; turn < most; ++turn) {
    Turn();
    if (queue_.empty() &&
        std::all_of(answers.begin(), answers.end(), [](const SimulatedAnswer* answer) { return answer->finished; })) {
      return true;
    }
  }
  return false;
}

void SimulatedCluster::KillPrefill(int index) {
  PrefillNode& node = *prefill_[index];
  node.engine.reset();
  registry_.Remove(node.registration);
  for (auto& [call, die] : std::exchange(node.on_death, {})) {
    Post([die = std::move(die)] { die(absl::UnavailableError("connection reset")); });
  }
}

void SimulatedCluster::KillDecode(int index) {
  DecodeNode& node = *decode_[index];
  *node.alive = false;
  node.arrivals.clear();
  node.engine.reset();
  registry_.Remove(node.registration);
  for (auto& [call, die] : std::exchange(node.on_death, {})) {
    Post([die = std::move(die)] { die(absl::UnavailableError("connection reset")); });
  }
}

void SimulatedCluster::LeaveDecode(int index) { decode_[index]->leaves = true; }

void SimulatedCluster::FreezePrefill(int index, bool frozen) { prefill_[index]->frozen = frozen; }

void SimulatedCluster::FreezeDecode(int index) { decode_[index]->frozen = true; }

std::vector<std::string> SimulatedCluster::out() const {
  std::vector<std::string> out;
  for (const NodeSnapshot& node : registry_.Snapshot().nodes) {
    if (!node.out.empty()) out.push_back(node.node_id);
  }
  return out;
}

void SimulatedCluster::Ask(const std::vector<uint32_t>& ids, std::vector<std::string>* answers) {
  const auto answered = [answers](absl::StatusOr<std::string> answer) { answers->push_back(answer.value()); };
  for (auto& node : prefill_) {
    if (node->engine != nullptr) node->engine->Answer(ids, answered);
  }
  for (auto& node : decode_) {
    if (node->engine != nullptr) node->engine->Answer(ids, answered);
  }
}

uint64_t SimulatedCluster::reserved_rows() const {
  uint64_t rows = 0;
  for (const auto& node : prefill_) rows += node->engine != nullptr ? node->engine->stats().reserved_rows : 0;
  for (const auto& node : decode_) rows += node->engine != nullptr ? node->engine->stats().reserved_rows : 0;
  return rows;
}

uint64_t SimulatedCluster::held_rows() const {
  uint64_t rows = 0;
  for (const auto& node : decode_) rows += node->engine != nullptr ? node->engine->stats().held_rows : 0;
  return rows;
}

uint64_t SimulatedCluster::cached_rows() const {
  uint64_t rows = 0;
  for (const auto& node : prefill_) rows += node->engine != nullptr ? node->engine->stats().cached_rows : 0;
  for (const auto& node : decode_) rows += node->engine != nullptr ? node->engine->stats().cached_rows : 0;
  return rows;
}

uint64_t SimulatedCluster::torn_rows() const {
  uint64_t rows = 0;
  for (const auto& node : prefill_) rows += node->device.torn_rows();
  for (const auto& node : decode_) rows += node->device.torn_rows();
  return rows;
}

uint64_t SimulatedCluster::rows_ahead() const {
  uint64_t rows = 0;
  for (const auto& node : decode_) rows += node->device.rows_ahead();
  return rows;
}

const SalienceHeads& SimulatedHeads() {
  static const auto* const heads = new SalienceHeads{.pointers = {{1, 0}}, .retrieval = {{0, 0}}};
  return *heads;
}

std::vector<uint32_t> GenerateAlone(const Content& prompt, const SamplingParams& sampling, uint32_t context_length,
                                    StepDevice* device) {
  PagePool pool(device->num_pages());
  Sequence sequence(prompt, pool.Reserve(PagesFor(prompt, 0, 1, sampling.max_tokens)).value(), &SimulatedHeads());
  std::vector<uint32_t> answer;
  while (answer.size() < sampling.max_tokens && sequence.content().ids.size() < context_length) {
    const Slice slice{&sequence, 1};
    const std::unique_ptr<StepFuture> step = LaunchStep({slice}, device);
    KEDGE_CHECK(FinishStep({slice}, step.get(), device).ok());
    sequence.DropUnseen();
    if (sequence.pending() > 0) continue;
    const uint32_t id = SampleToken(step->Logits(0), sampling, sequence.content().ids, prompt.prompt_length).id;
    if (sampling.IsEndId(id)) break;
    answer.push_back(id);
    sequence.Append(id);
  }
  return answer;
}

}  // namespace kedge
