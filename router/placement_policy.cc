// Heartbeats are up to 500 ms old, so a burst of requests would all go to one node. The router therefore adds what it
// sent itself: of the two counts the larger one, since each request is in both as soon as a heartbeat has seen it.
//
// Tested by placement_policy_test.cc.
#include "router/placement_policy.h"

#include <algorithm>
#include <tuple>

namespace kedge {
namespace {

bool WasTried(const NodeSnapshot& node, const PlacementQuery& query) {
  return std::count(query.tried.begin(), query.tried.end(), node.registration) > 0;
}

}  // namespace

uint32_t PlacementQuery::Missing(uint64_t registration) const {
  const auto it = std::find_if(held.begin(), held.end(),
                               [&](const HeldPrefix& prefix) { return prefix.registration == registration; });
  return tokens - (it == held.end() ? 0 : std::min(it->tokens, tokens));
}

double DecodeLoad(const NodeSnapshot& node) {
  const uint32_t requests = std::max(node.running_requests + node.waiting_requests, node.assigned_requests);
  const double share =
      node.total_rows == 0 ? 0.0 : static_cast<double>(node.reserved_rows) / static_cast<double>(node.total_rows);
  return requests + std::min(share, 0.999);
}

uint64_t PrefillLoad(const NodeSnapshot& node) { return std::max(node.waiting_tokens, node.assigned_tokens); }

std::optional<Placement> Place(const ClusterSnapshot& cluster, const PlacementQuery& query) {
  const NodeSnapshot* best = nullptr;
  const auto rank = [&](const NodeSnapshot& node) {
    const bool other_class = !query.numerics_class.empty() && node.numerics_class != query.numerics_class;
    const double missing =
        query.tokens == 0 ? 0.0 : static_cast<double>(query.Missing(node.registration)) / query.tokens;
    return std::make_tuple(other_class, DecodeLoad(node) + missing, DecodeLoad(node), node.node_id);
  };
  for (const NodeSnapshot& node : cluster.nodes) {
    if (!node.ready || node.role != NodeRole::kDecode || WasTried(node, query)) continue;
    if (best == nullptr || rank(node) < rank(*best)) best = &node;
  }
  if (best == nullptr) return std::nullopt;
  Placement placement;
  placement.decode = *best;
  for (const NodeSnapshot& node : cluster.nodes) {
    if (node.ready && node.role == NodeRole::kPrefill && node.numerics_class == best->numerics_class) {
      placement.prefill.push_back(node);
    }
  }
  const auto cost = [&](const NodeSnapshot& node) {
    return std::make_tuple(PrefillLoad(node) + 2 * uint64_t{query.Missing(node.registration)}, node.node_id);
  };
  std::sort(placement.prefill.begin(), placement.prefill.end(),
            [&](const NodeSnapshot& a, const NodeSnapshot& b) { return cost(a) < cost(b); });
  if (placement.prefill.size() > kMaxPrefillCandidates) placement.prefill.resize(kMaxPrefillCandidates);
  return placement;
}

bool MayComeToPlace(const ClusterSnapshot& cluster, const PlacementQuery& query) {
  return std::any_of(cluster.nodes.begin(), cluster.nodes.end(), [&](const NodeSnapshot& node) {
    return node.role == NodeRole::kDecode && !WasTried(node, query);
  });
}

}  // namespace kedge
