// Which nodes serve a completion.
#ifndef KEDGE_ROUTER_PLACEMENT_POLICY_H_
#define KEDGE_ROUTER_PLACEMENT_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "router/cluster_snapshot.h"

namespace kedge {

// A node that may still have rows of a text's first tokens.
struct HeldPrefix {
  uint64_t registration = 0;
  uint32_t tokens = 0;
};

struct PlacementQuery {
  // Registrations of nodes that have been tried.
  std::vector<uint64_t> tried;
  // Nodes of this class go on bit for bit where one of the same class ended. Empty: any.
  std::string numerics_class;
  uint32_t tokens = 0;                                  // of the text so far
  std::vector<HeldPrefix> held;                         // each node once
  absl::Duration time_left = absl::InfiniteDuration();  // until the request's deadline
  bool has_begun = false;                               // the client has seen a part of the answer
  // Tokens that the node would have to compute.
  uint32_t Missing(uint64_t registration) const;
};

struct Placement {
  NodeSnapshot decode;
  std::vector<NodeSnapshot> prefill;       // best first, at most kMaxPrefillCandidates; may be empty
  std::optional<NodeSnapshot> moved_from;  // the answer's rows are there for a moment
};

inline constexpr size_t kMaxPrefillCandidates = 4;

// Pure. The least-loaded decode node that is ready and was not tried, of the wanted class if there is one, and the
// ready prefill nodes of that node's class by load (rows of another class it would refuse); of equal loads to whom this
// router sent nothing for the longest time, so that idle nodes take turns, and then by node id.
// A node that is known to be full is left out, of either role; an answer that has begun takes it if no other of the
// class is there, and if all prefill nodes are full they are named all the same, to say when they have room. A decode
// node that leaves takes only what has begun, and that if no other of the class is there. One at which requests wait a
// second longer comes behind the others.
// Rows that a node has of the text count against its load: on a decode node the whole text as much as one request, on a
// prefill node each token twice, because the request need not wait for it and nobody need compute it.
// Returns nullopt when no decode node can take the call now.
std::optional<Placement> Place(const ClusterSnapshot& cluster, const PlacementQuery& query);

// Pure. Where an answer goes on whose node `from` has no memory left for it: at another one that writes the same bits,
// has as much memory, and at which nobody waits; if there is none, as Place says: `from` will have room sooner. Names
// that node as the one that has the rows, if it is there and they are of the right class.
std::optional<Placement> PlaceMoved(const ClusterSnapshot& cluster, const PlacementQuery& query, uint64_t from);

// Whether a decode node is registered, ready or not, that was not tried and will take it: waiting for it makes sense.
bool MayComeToPlace(const ClusterSnapshot& cluster, const PlacementQuery& query);

// Requests there, plus the share of its rows that is taken: the number of requests decides how fast each of them is,
// and among equals the one with more room is better.
double DecodeLoad(const NodeSnapshot& node);
// Tokens to be computed before a new request's.
uint64_t PrefillLoad(const NodeSnapshot& node);

// How long the node would refuse such a call, as far as is known; zero: it may have room.
absl::Duration FullFor(const ClusterSnapshot& cluster, const NodeSnapshot& node, const PlacementQuery& query);
// The least FullFor of decode nodes that are ready, were not tried and stay; nullopt if there are none, or one may have
// room.
std::optional<absl::Duration> AllFullFor(const ClusterSnapshot& cluster, const PlacementQuery& query);

}  // namespace kedge

#endif  // KEDGE_ROUTER_PLACEMENT_POLICY_H_
