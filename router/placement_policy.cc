// Heartbeats are up to 500 ms old, so a burst of requests would all go to one node. The router therefore adds what it
// sent itself: of the two counts the larger one, since each request is in both as soon as a heartbeat has seen it.
//
// Tested by placement_policy_test.cc.
#include "router/placement_policy.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/types/span.h"

namespace kedge {
namespace {

bool WasTried(const NodeSnapshot& node, const PlacementQuery& query) {
  return std::count(query.tried.begin(), query.tried.end(), node.registration) > 0;
}

// Ready or not.
bool IsDecodeNodeFor(const NodeSnapshot& node, const PlacementQuery& query) {
  return node.role == NodeRole::kDecode && !WasTried(node, query) && (query.has_begun || !node.leaves);
}

bool MayServe(const NodeSnapshot& node, const PlacementQuery& query) {
  return node.ready && IsDecodeNodeFor(node, query);
}

// What a token costs a node that has not measured it: as much as the others on average.
absl::Duration UsualTokenTime(absl::Span<const NodeSnapshot> nodes) {
  absl::Duration sum;
  int64_t known = 0;
  for (const NodeSnapshot& node : nodes) {
    sum += node.token_time;
    known += node.token_time > absl::ZeroDuration();
  }
  return known > 0 ? sum / known : absl::Milliseconds(1);
}

// Of a time beside the least, in steps of a fifth of that: like machines never measure quite the same, and are to take
// turns all the same.
double InSteps(double ratio) {
  constexpr double kStep = 0.2;
  return 1 + kStep * std::floor((ratio - 1) / kStep);
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

absl::Duration FullFor(const ClusterSnapshot& cluster, const NodeSnapshot& node, const PlacementQuery& query) {
  absl::Duration full = std::max(node.full_until - cluster.now, absl::ZeroDuration());
  if (node.refused.Covers(cluster.now, query.time_left, query.tokens)) {
    full = std::max(full, node.refused.until - cluster.now);
  }
  // Decode nodes serve in order of arrival; at a prefill node a shorter prompt goes first.
  if (node.role == NodeRole::kDecode) full = std::max(full, node.work_ahead - query.time_left);
  return full;
}

std::optional<absl::Duration> AllFullFor(const ClusterSnapshot& cluster, const PlacementQuery& query) {
  absl::Duration least = absl::InfiniteDuration();
  for (const NodeSnapshot& node : cluster.nodes) {
    if (MayServe(node, query)) least = std::min(least, FullFor(cluster, node, query));
  }
  if (least == absl::InfiniteDuration() || least == absl::ZeroDuration()) return std::nullopt;
  return least;
}

std::optional<Placement> Place(const ClusterSnapshot& cluster, const PlacementQuery& query) {
  const NodeSnapshot* best = nullptr;
  const auto rank = [&](const NodeSnapshot& node) {
    const bool other_class = !query.numerics_class.empty() && node.numerics_class != query.numerics_class;
    const double missing =
        query.tokens == 0 ? 0.0 : static_cast<double>(query.Missing(node.registration)) / query.tokens;
    const bool is_full = FullFor(cluster, node, query) > absl::ZeroDuration();
    const int64_t wait = absl::ToInt64Seconds(node.work_ahead);
    return std::make_tuple(other_class, node.leaves, is_full, wait, DecodeLoad(node) + missing, DecodeLoad(node),
                           node.last_assigned, node.node_id);
  };
  for (const NodeSnapshot& node : cluster.nodes) {
    if (!MayServe(node, query)) continue;
    if (!query.has_begun && FullFor(cluster, node, query) > absl::ZeroDuration()) continue;
    if (best == nullptr || rank(node) < rank(*best)) best = &node;
  }
  if (best == nullptr) return std::nullopt;
  Placement placement;
  placement.decode = *best;
  std::vector<NodeSnapshot> full;
  for (const NodeSnapshot& node : cluster.nodes) {
    if (!node.ready || node.role != NodeRole::kPrefill || node.numerics_class != best->numerics_class) continue;
    (FullFor(cluster, node, query) > absl::ZeroDuration() ? full : placement.prefill).push_back(node);
  }
  if (placement.prefill.empty()) placement.prefill = std::move(full);
  const absl::Duration usual = UsualTokenTime(placement.prefill);
  const auto token_time = [&](const NodeSnapshot& node) {
    return node.token_time > absl::ZeroDuration() ? node.token_time : usual;
  };
  absl::Duration fastest = absl::InfiniteDuration();
  for (const NodeSnapshot& node : placement.prefill) fastest = std::min(fastest, token_time(node));
  const auto cost = [&](const NodeSnapshot& node) {
    const double tokens = static_cast<double>(PrefillLoad(node) + 2 * uint64_t{query.Missing(node.registration)});
    return std::make_tuple(tokens * InSteps(absl::FDivDuration(token_time(node), fastest)), node.last_assigned,
                           node.node_id);
  };
  std::sort(placement.prefill.begin(), placement.prefill.end(),
            [&](const NodeSnapshot& a, const NodeSnapshot& b) { return cost(a) < cost(b); });
  if (placement.prefill.size() > kMaxPrefillCandidates) placement.prefill.resize(kMaxPrefillCandidates);
  return placement;
}

std::optional<Placement> PlaceMoved(const ClusterSnapshot& cluster, const PlacementQuery& query, uint64_t from) {
  const auto home = std::find_if(cluster.nodes.begin(), cluster.nodes.end(),
                                 [from](const NodeSnapshot& node) { return node.registration == from; });
  if (home == cluster.nodes.end()) return Place(cluster, query);
  PlacementQuery elsewhere = query;
  elsewhere.tried.push_back(from);
  std::optional<Placement> placement = Place(cluster, elsewhere);
  const auto has_room = [&](const NodeSnapshot& node) {
    return !node.leaves && node.waiting_requests == 0 && node.total_rows >= home->total_rows &&
           node.numerics_class == home->numerics_class && FullFor(cluster, node, query) == absl::ZeroDuration();
  };
  if (!placement.has_value() || !has_room(placement->decode)) placement = Place(cluster, query);
  if (placement.has_value() && home->ready && home->numerics_class == placement->decode.numerics_class) {
    placement->moved_from = *home;
  }
  return placement;
}

bool MayComeToPlace(const ClusterSnapshot& cluster, const PlacementQuery& query) {
  return std::any_of(cluster.nodes.begin(), cluster.nodes.end(),
                     [&](const NodeSnapshot& node) { return IsDecodeNodeFor(node, query); });
}

}  // namespace kedge
