// A whole cluster in one thread: the router's request flow, prefill and decode engines on HashDevices, a clock that
// moves by hand, and a network that loses, damages, delays and repeats as it is told. Everything but sockets is the
// real code, and a run is a function of its seed.
#ifndef KEDGE_TESTS_SIMULATED_CLUSTER_H_
#define KEDGE_TESTS_SIMULATED_CLUSTER_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/kernels/step.h"
#include "common/tokenizer/tokenizer.h"
#include "common/transfer/state_source.h"
#include "decode/decode_engine.h"
#include "prefill/prefill_engine.h"
#include "router/decode_caller.h"
#include "router/node_registry.h"
#include "router/request_flow.h"
#include "tests/simulated_device.h"

namespace kedge {

inline constexpr char kSimulatedModel[] = "simulated";
inline constexpr uint32_t kSimulatedContext = 2000;

// Odds, one in so many messages (0: never).
struct Faults {
  uint32_t drop_frame = 0;
  uint32_t double_frame = 0;
  uint32_t flip_bit = 0;
  uint32_t truncate_frame = 0;
  uint32_t silence = 0;      // of states: nothing comes any more
  uint32_t break_state = 0;  // of states: ends with kUnavailable after a random message
};

struct SimulationOptions {
  uint32_t seed = 0;
  int prefill_nodes = 2;
  int decode_nodes = 2;
  uint32_t pages = 512;        // of each node
  uint32_t decode_pages = 0;   // of decode nodes, where they have not as many
  uint32_t cache_pages = 200;  // of these, that the node's cache may hold
  uint64_t held_bytes = 0;     // of received rows, that each decode node may hold
  uint64_t offered_bytes = 0;  // of states of answers that it has given up, that it may keep
  uint32_t vocab_size = 0;
  // Of the devices: whether steps are launched ahead of those that were waited for; whether they do nothing before
  // somebody waits; how often they leave a choice to the host (HashDeviceOptions).
  bool runs_ahead = false;
  bool deferred = false;
  uint32_t undecided = 0;
  // Nodes whose weights are others than they say, by number; -1: none.
  int wrong_prefill = -1;
  int wrong_decode = -1;
  double audit = 0;  // share of the answers (router/audit.h)
  StepPrice prefill_price;
  StepPrice decode_price;
  absl::Duration heartbeat_interval;  // zero: one before each turn
  absl::Duration turn_time = absl::Milliseconds(10);
  bool is_prompt = false;             // the network brings everything before the next engine's turn, not a random part
  Faults faults;
  // Sees what its processes say to one another, as it would go over the wire; may be null.
  std::function<void(const google::protobuf::Message&)> on_message;
};

// What one request's client saw.
struct SimulatedAnswer : public ResponseSink {
  std::vector<uint32_t> token_ids;
  inference::v1::Usage usage;
  inference::v1::Provenance provenance;
  inference::v1::FinishReason reason = inference::v1::FINISH_REASON_UNSPECIFIED;
  bool finished = false;
  absl::Status status;
  ServedBy served_by;
  void Message(inference::v1::GenerateStreamResponse message) override;
  void Finish(const absl::Status& end, const ServedBy& nodes) override;
};

class SimulatedCluster {
 public:
  SimulatedCluster(const SimulationOptions& options, const Tokenizer* tokenizer);
  ~SimulatedCluster();

  // `deadline`: when the client, and its calls, end.
  std::shared_ptr<RequestFlow> Start(RouterRequest request, SimulatedAnswer* answer,
                                     absl::Duration deadline = absl::InfiniteDuration());

  // One turn of everything, in an order drawn from the seed; time moves on.
  void Turn();
  // Turns until all answers are finished; false after `most` turns.
  bool RunUntilFinished(const std::vector<SimulatedAnswer*>& answers, int most = 20000);

  // The process dies: calls to it end with kUnavailable, its memory is gone.
  void KillPrefill(int index);
  void KillDecode(int index);
  // It was told to end, and has answers: it is there for these alone, and says so (StatsBoard).
  void LeaveDecode(int index);
  // The engine hangs: its turns do nothing and nothing comes from it.
  void FreezePrefill(int index, bool frozen);
  void FreezeDecode(int index);

  // Rows reserved on all live nodes, stored by their caches, held as they came, and reads of rows whose copies
  // disagreed. A node whose pages have holders when it goes does not go: PagePool checks.
  uint64_t reserved_rows() const;
  uint64_t cached_rows() const;
  uint64_t held_rows() const;
  uint64_t torn_rows() const;
  // States that came from decode nodes which had given the answer up.
  int offered_states() const { return offered_states_; }
  // Rows that were computed with a token that the step before chose.
  uint64_t rows_ahead() const;
  absl::Duration now() const { return clock_.Now() - start_; }
  // Decode calls that the router has made, by request id.
  const std::map<std::string, int>& calls() const { return calls_; }
  const Audit& audit() const { return *audit_; }
  // Nodes that are out of placement.
  std::vector<std::string> out() const;
  // Asks all live nodes for their known answers to these ids; they come in later turns.
  void Ask(const std::vector<uint32_t>& ids, std::vector<std::string>* answers);

 private:
  struct PrefillNode;
  struct DecodeNode;
  class Source;
  class Caller;

  void Post(std::function<void()> closure) { queue_.push_back(std::move(closure)); }
  void Heartbeats();
  void Heartbeat(uint64_t registration, const node::v1::Heartbeat& heartbeat);
  uint64_t Register(const node::v1::NodeInfo& info);
  bool Odds(uint32_t one_in) { return one_in > 0 && random_() % one_in == 0; }

  const SimulationOptions options_;
  std::mt19937 random_;
  SimulatedClock clock_;
  const absl::Time start_;
  std::deque<std::function<void()>> queue_;  // what is under way; runs in order
  std::multimap<absl::Time, std::function<void()>> timers_;
  NodeRegistry registry_;
  PrefixMemory prefixes_;
  RetryBudget retries_;
  int next_call_ = 1;
  int offered_states_ = 0;
  std::map<std::string, int> calls_;
  absl::Time next_heartbeat_ = absl::InfinitePast();
  std::unique_ptr<Source> source_;
  std::unique_ptr<Caller> caller_;
  std::unique_ptr<Audit> audit_;
  FlowEnvironment environment_;
  std::vector<std::unique_ptr<PrefillNode>> prefill_;
  std::vector<std::unique_ptr<DecodeNode>> decode_;
};

// The heads by which its nodes choose salient sequences.
const SalienceHeads& SimulatedHeads();

// The tokens of an answer computed by one device alone, row by row: what every cluster must give.
std::vector<uint32_t> GenerateAlone(const Content& prompt, const SamplingParams& sampling, uint32_t context_length,
                                    StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_TESTS_SIMULATED_CLUSTER_H_
