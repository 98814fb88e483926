// The life of one request in the router.
#ifndef KEDGE_ROUTER_REQUEST_FLOW_H_
#define KEDGE_ROUTER_REQUEST_FLOW_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "common/tokenizer/tokenizer.h"
#include "kedge/inference/v1/inference.pb.h"
#include "kedge/node/v1/node.pb.h"
#include "router/answer_check.h"
#include "router/audit.h"
#include "router/completion.h"
#include "router/decode_caller.h"
#include "router/node_registry.h"
#include "router/placement_policy.h"
#include "router/prefix_memory.h"
#include "router/retry_budget.h"
#include "router/router_request.h"
#include "router/strand.h"

namespace kedge {

// Ids of the nodes that served a request, each once, in order of their first use.
struct ServedBy {
  std::vector<std::string> prefill_nodes;
  std::vector<std::string> decode_nodes;
};

// Where a request's answer goes. Calls come one at a time, on any thread.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void Message(inference::v1::GenerateStreamResponse message) = 0;
  // Exactly once; the flow does not touch the sink afterwards.
  virtual void Finish(const absl::Status& status, const ServedBy& served_by) = 0;
};

// What a flow stands on; all of it must outlive the flow.
struct FlowEnvironment {
  const Clock* clock = nullptr;
  const Tokenizer* tokenizer = nullptr;
  // A node's token ids are below this; more than the tokenizer's where the model's embedding is padded. 0: as many.
  uint32_t vocab_size = 0;
  NodeRegistry* registry = nullptr;
  PrefixMemory* prefixes = nullptr;
  DecodeCaller* caller = nullptr;
  Audit* audit = nullptr;          // null: no answer is computed again
  RetryBudget* retries = nullptr;  // null: calls are made again as often as one request may
  std::function<void(absl::Duration, std::function<void()>)> run_after;
  std::function<uint64_t()> draw_seed;
};

// n completions are n Decode calls. A call that fails because of its node is made again, with the ids so far, at
// another node: the one path for node loss, drain and full nodes, and for answers whose node has no memory left for
// them, which may come back to it and wait if no other one has. It ends: a failed call has brought a token, or is one
// of kMaxAttempts, or was refused by a full node, which is not asked again. No more than kMostRefusals full nodes are
// asked: then, or when all are known to be full, the client hears when the first of them has room. All calls made again
// for answers that have not begun together are bounded (RetryBudget). A stop string ends its call. Events come
// from the threads of gRPC and from run_after, and run one after another through a Strand; actions (calls, messages)
// happen there too, with no lock held. A choice of salient sequences is made once for a request: the first call that
// tells one decides for the others, which wait for it, and for every call made again. Start and Cancel are thread-safe.
// Held by shared_ptr: a call under way keeps its flow.
class RequestFlow : public std::enable_shared_from_this<RequestFlow> {
 public:
  // Calls of one completion that may fail in a row without a token. Refusals of full nodes do not count.
  static constexpr int kMaxAttempts = 3;
  // Full nodes that may be asked for one completion that has not begun. More would multiply the load that filled them.
  static constexpr int kMostRefusals = 2;
  // How long a request waits for a decode node to become ready, and how often it looks.
  static constexpr absl::Duration kNodeWait = absl::Seconds(2);
  static constexpr absl::Duration kNodePoll = absl::Milliseconds(50);
  // How often a call looks whether its node hangs.
  static constexpr absl::Duration kWatchInterval = absl::Milliseconds(500);

  // `arrival`: when the request came; timings count from there. `deadline` is passed on to the calls.
  static std::shared_ptr<RequestFlow> Create(const FlowEnvironment* environment, RouterRequest request,
                                             absl::Time arrival, absl::Time deadline, ResponseSink* sink);

  void Start();
  // Ends all calls at once and finishes with `reason`, unless the flow has finished.
  void Cancel(const absl::Status& reason);

 private:
  // One completion.
  struct Run {
    Run(uint32_t index, const RouterRequest* request, const Tokenizer* tokenizer)
        : index(index), assembler(index, request, tokenizer) {}

    const uint32_t index;
    CompletionAssembler assembler;
    // Over all calls.
    int failures = 0;             // since the last token
    std::vector<uint64_t> tried;  // registrations: of the node that made it and failed, and of those after it
    uint64_t moved_from = 0;      // registration of the node that had no memory left for it; 0: none, or it went on since
    int refusals = 0;
    absl::Duration room = absl::InfiniteDuration();  // the least time after which a node that refused has room
    absl::Status last_error;
    absl::Time waiting_since;    // for a node
    std::string numerics_class;  // of the node that made the last token
    ServedBy served_by;
    // Of the present call; call_number 0: there is none. Events of other calls are late and ignored.
    uint64_t call_number = 0;
    std::shared_ptr<DecodeCall> call;
    std::string node_id;
    std::string call_numerics_class;
    uint64_t registration = 0;
    absl::Time call_start;
    size_t ids_at_start = 0;
    bool has_prefilled = false;
    NodeRegistry::Assignment decode_assignment;
    NodeRegistry::Assignment prefill_assignment;  // of the prompt, at the first candidate
  };

  RequestFlow(const FlowEnvironment* environment, RouterRequest request, absl::Time arrival, absl::Time deadline,
              ResponseSink* sink);

  // All of these run on the strand.
  void PlaceCall(Run& run);
  void WatchCall(Run& run, uint64_t call_number);
  // `prefixes`: of the text so far.
  void StartCall(Run& run, const Placement& placement, const PlacementQuery& query,
                 absl::Span<const uint64_t> prefixes);
  void OnMessage(Run& run, uint64_t call_number, const node::v1::DecodeResponse& message);
  void OnDone(Run& run, uint64_t call_number, const absl::Status& status);
  void TakePrefilled(Run& run, const node::v1::Prefilled& prefilled);
  void PlaceAll();
  // REQUIRES: CheckAnswer found nothing wrong.
  void TakeTokens(Run& run, const node::v1::DecodeResponse& message);
  void TakeFinished(Run& run, const node::v1::Finished& finished);
  AskedFor AskedOf(const Run& run) const;
  void CallFailed(Run& run, const absl::Status& status);
  // Notes what a full node said.
  void TakeRefusal(Run& run, const absl::Status& status);
  // Nobody can take it now: `last_error`, or what is known of nodes that were not asked; with the least time after which
  // there is room.
  void FinishFull(Run& run);
  PlacementQuery QueryFor(const Run& run, absl::Span<const uint64_t> prefixes) const;
  void EndCall(Run& run, bool cancel);
  void OfferToAudit(const Run& run, const node::v1::DecodeResponse& last, bool was_cut);
  void Emit(Run& run);
  void Finish(const absl::Status& status);
  bool AllFinished() const;

  // Of the text so far.
  std::vector<uint64_t> Prefixes(const Run& run) const;
  node::v1::DecodeRequest MakeDecodeRequest(const Run& run, const Placement& placement) const;
  void FillPromptUsage(inference::v1::Usage* usage) const;
  void FillSummary(inference::v1::GenerateStreamResponse* message) const;
  void FillPromptPieces(inference::v1::GenerateStreamResponse* message) const;

  const FlowEnvironment* const environment_;
  const RouterRequest request_;
  const bool decode_has_answers_;  // an answer's rows serve others: they do not stand on a reduced prompt
  const uint64_t seed_;
  const absl::Time arrival_;
  const absl::Time deadline_;
  ResponseSink* sink_;  // null once finished
  Strand strand_;

  // Owned by the strand.
  std::vector<std::unique_ptr<Run>> runs_;
  uint64_t next_call_number_ = 1;
  bool first_message_sent_ = false;
  ServedBy served_by_;
  // What the last message reports.
  std::optional<node::v1::SalientChoice> salient_;
  std::vector<PositionRange> kept_ranges_;
  bool prompt_counted_ = false;
  uint32_t kept_rows_ = 0;
  uint32_t held_rows_ = 0;
  uint32_t adaptive_rows_ = 0;
  uint64_t full_bytes_ = 0;
  uint64_t segment_bytes_ = 0;
  std::optional<uint32_t> cached_tokens_;
  uint32_t failovers_ = 0;
  uint32_t moves_ = 0;
  bool numerics_changed_ = false;
  bool prefill_timed_ = false;  // the four below: of completion 0
  absl::Duration queue_duration_;
  absl::Duration prefill_duration_;
  absl::Time first_token_time_ = absl::InfiniteFuture();
  absl::Time last_token_time_ = absl::InfiniteFuture();
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_REQUEST_FLOW_H_
