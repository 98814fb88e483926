// Whether nodes that promise the same bits compute the same bits.
#ifndef KEDGE_ROUTER_ANSWER_ROUNDS_H_
#define KEDGE_ROUTER_ANSWER_ROUNDS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "router/cluster_snapshot.h"
#include "router/node_registry.h"

namespace kedge {

struct NodeAnswer {
  std::string hash;
  bool confirmed = false;  // it has given the same answer as another node before
};

// Pure. The answer that most nodes gave, where one that was confirmed counts twice: a newcomer alone does not put such
// a node out. nullopt: undecided.
std::optional<std::string> RightAnswer(absl::Span<const NodeAnswer> answers);

// How a node is asked (KnownAnswerService): an interface, so that a test can be all of the nodes. Thread-safe.
class NodeAsker {
 public:
  using Answered = std::function<void(absl::StatusOr<std::string>)>;
  virtual ~NodeAsker() = default;
  // `answered` runs once, on any thread.
  virtual void Ask(const NodeSnapshot& node, const std::vector<uint32_t>& ids, Answered answered) = 0;
};

struct AnswerRoundsOptions {
  uint32_t vocab_size = 0;
  absl::Duration period = absl::Minutes(10);  // between rounds
  absl::Duration retry = absl::Seconds(1);    // after a node that was asked did not answer
};

// Asks every node, when it has registered and again in every round, for its answer to the same random ids. Nodes of one
// numerics class must agree; one whose answer is not the others' is out of placement (NodeRegistry::SetOut) until it
// registers again; where it is undecided who is right, all who disagree are. A node that has not answered yet is not
// used; one that has and later does not is. Thread-safe.
class AnswerRounds {
 public:
  static constexpr uint32_t kIds = 64;
  // What the registry says of a node that has just come.
  static constexpr char kNotYet[] = "its known answer has not come yet";

  // All must outlive this; `asker` must not answer after its destruction. `draw`: random numbers.
  AnswerRounds(const AnswerRoundsOptions& options, const Clock* clock, NodeRegistry* registry, NodeAsker* asker,
               std::function<uint64_t()> draw);

  // Asks who is to be asked. Call it often, on one thread.
  void Turn() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Node {
    std::string node_id;
    std::string numerics_class;
    bool asking = false;
    bool has_answered = false;  // in any round
    bool out = false;           // its answer was not the others'
    absl::Time retry_at = absl::InfinitePast();
    NodeAnswer answer;  // in this round; no hash: none yet
  };

  void BeginRound(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(uint64_t registration, uint64_t round, const absl::StatusOr<std::string>& answer)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Judge(const std::string& numerics_class) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AnswerRoundsOptions options_;
  const Clock* const clock_;
  NodeRegistry* const registry_;
  NodeAsker* const asker_;
  const std::function<uint64_t()> draw_;
  absl::Mutex mutex_;
  uint64_t round_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time round_began_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::vector<uint32_t> ids_ ABSL_GUARDED_BY(mutex_);       // of the round
  std::map<uint64_t, Node> nodes_ ABSL_GUARDED_BY(mutex_);  // by registration
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_ANSWER_ROUNDS_H_
