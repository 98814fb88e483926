// A share of the answers is computed a second time, by other nodes, and compared.
#ifndef KEDGE_ROUTER_AUDIT_H_
#define KEDGE_ROUTER_AUDIT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "kedge/node/v1/node.pb.h"
#include "router/decode_caller.h"
#include "router/node_registry.h"

namespace kedge {

// A completion that has ended, and what it is a function of.
struct GivenAnswer {
  node::v1::DecodeRequest request;  // of the prompt alone; a choice of sequences is left to who computes it again
  std::optional<node::v1::SalientChoice> salient;  // the one that was made, if any
  std::vector<uint32_t> ids;                       // all of it
  std::optional<uint32_t> end_id;                  // that ended it
  bool was_cut = false;                            // by a stop string: the nodes would have gone on
  std::string numerics_class;                      // of the nodes that made it
  std::vector<std::string> decode_nodes, prefill_nodes;  // these, by id
};

// Every answer is a function of its request: of ids, policy, choice and seed, on nodes of one numerics class. So
// another decode node, with another prefill node or none, and with no row of a cache, gives the same tokens; if it does
// not, one of the nodes that took part in either is wrong, and all of them go out of placement (NodeRegistry::SetOut)
// until they register again: wrong text is worse than none. Thread-safe.
class Audit {
 public:
  static constexpr size_t kMostAtOnce = 4;
  static constexpr absl::Duration kTimeout = absl::Minutes(10);

  // `share`: of the answers that are looked at, in [0, 1]. All must outlive this. `draw`: random numbers.
  Audit(double share, const Clock* clock, NodeRegistry* registry, DecodeCaller* caller, std::function<uint64_t()> draw);

  // Whether the next answer is to be looked at.
  bool Wants() ABSL_LOCKS_EXCLUDED(mutex_);
  // Has it computed again; nothing, where there is no other decode node of the class.
  void Start(GivenAnswer answer) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends those under way, and takes no more.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  // Since the start: that came to an end, and that found a difference.
  uint64_t num_compared() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t num_different() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // One, in the order of its events.
  struct Comparison;

  void End(const std::shared_ptr<Comparison>& comparison, const absl::Status& status);
  void Convict(const Comparison& comparison, const std::string& what);

  const double share_;
  const Clock* const clock_;
  NodeRegistry* const registry_;
  DecodeCaller* const caller_;
  const std::function<uint64_t()> draw_;
  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t compared_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t different_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::shared_ptr<DecodeCall>> live_ ABSL_GUARDED_BY(mutex_);  // null: is just being started
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_AUDIT_H_
