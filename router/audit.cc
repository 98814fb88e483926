// Tested by audit_test.cc and, inside whole clusters, by tests/simulation_test.cc.
#include "router/audit.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/rpc/ranges.h"
#include "router/cache_domain.h"
#include "router/placement_policy.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

bool IsIn(const std::string& id, const std::vector<std::string>& ids) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// Another decode node of the class and, if there is one, another prefill node.
std::optional<Placement> PlaceElsewhere(const ClusterSnapshot& cluster, const GivenAnswer& answer) {
  PlacementQuery query{.numerics_class = answer.numerics_class, .tokens = static_cast<uint32_t>(answer.ids.size())};
  for (const NodeSnapshot& node : cluster.nodes) {
    if (IsIn(node.node_id, answer.decode_nodes)) query.tried.push_back(node.registration);
  }
  std::optional<Placement> placement = Place(cluster, query);
  if (!placement.has_value() || placement->decode.numerics_class != answer.numerics_class) return std::nullopt;
  std::erase_if(placement->prefill, [&](const NodeSnapshot& node) { return IsIn(node.node_id, answer.prefill_nodes); });
  return placement;
}

}  // namespace

struct Audit::Comparison {
  uint64_t number = 0;
  GivenAnswer given;
  std::string decode_node;
  std::string prefill_node;
  std::string difference;  // the first
  size_t same = 0;         // tokens so far
  bool has_ended = false;  // as the given answer did

  void Take(const node::v1::DecodeResponse& message);
};

// Tokens come in order here; whatever is wrong with their order is a difference like any other.
void Audit::Comparison::Take(const node::v1::DecodeResponse& message) {
  if (message.has_prefilled()) {
    prefill_node = message.prefilled().prefill_node();
    const bool same_choice =
        !given.salient.has_value() || AreSameRanges(message.prefilled().salient().ranges(), given.salient->ranges());
    if (!same_choice) difference = "other sequences of the prompt are chosen there";
  }
  for (const node::v1::Token& token : message.tokens()) {
    if (!difference.empty()) return;
    if (same < given.ids.size() && token.id() == given.ids[same]) {
      ++same;
      continue;
    }
    difference = same < given.ids.size()
                     ? absl::StrCat("token ", same, " was ", given.ids[same], ", and is ", token.id(), " there")
                     : absl::StrCat("the answer ended after ", same, " tokens, and goes on there");
  }
  if (!message.has_finished() || !difference.empty()) return;
  const bool at_end_id = message.finished().reason() == node::v1::END_REASON_END_ID;
  const std::optional<uint32_t> end_id =
      at_end_id ? std::optional<uint32_t>(message.finished().end_id()) : std::nullopt;
  const bool same_end = given.was_cut || end_id == given.end_id;
  has_ended = same == given.ids.size() && same_end;
  if (!has_ended) difference = absl::StrCat("it ends there after ", same, " tokens of ", given.ids.size());
}

Audit::Audit(double share, const Clock* clock, NodeRegistry* registry, DecodeCaller* caller,
             std::function<uint64_t()> draw)
    : share_(share), clock_(clock), registry_(registry), caller_(caller), draw_(std::move(draw)) {}

bool Audit::Wants() {
  if (share_ <= 0 || static_cast<double>(draw_() >> 11) * 0x1p-53 >= share_) return false;
  absl::MutexLock lock(&mutex_);
  return !stopped_ && live_.size() < kMostAtOnce;
}

void Audit::Start(GivenAnswer answer) {
  const std::optional<Placement> placement = PlaceElsewhere(registry_->Snapshot(), answer);
  if (!placement.has_value()) return;
  auto comparison = std::make_shared<Comparison>();
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    comparison->number = next_++;
    live_[comparison->number] = nullptr;
  }
  comparison->decode_node = placement->decode.node_id;
  node::v1::DecodeRequest request = answer.request;
  request.mutable_content()->set_cache_domain(CacheDomain("", absl::StrCat("audit ", draw_())));  // nobody else's
  if (answer.was_cut) request.mutable_sampling()->set_max_tokens(static_cast<uint32_t>(answer.ids.size()));
  SetPrefillCandidates(placement->prefill, &request);
  comparison->given = std::move(answer);
  DecodeEvents events;
  events.on_message = [comparison](const node::v1::DecodeResponse& message) { comparison->Take(message); };
  events.on_done = [this, comparison](const absl::Status& status) { End(comparison, status); };
  const std::shared_ptr<DecodeCall> call =
      caller_->Start(placement->decode, std::move(request), clock_->Now() + kTimeout, std::move(events));
  absl::MutexLock lock(&mutex_);
  const auto found = live_.find(comparison->number);
  if (found == live_.end()) return;  // it has ended
  found->second = call;
  if (stopped_) call->Cancel();
}

// A node that was lost, or had no room, has said nothing.
void Audit::End(const std::shared_ptr<Comparison>& comparison, const absl::Status& status) {
  const bool differs = !comparison->difference.empty();
  if (differs) Convict(*comparison, comparison->difference);
  if (!differs && !comparison->has_ended) {
    spdlog::info("audit of request {}: {} did not get through: {}", comparison->given.request.request_id(),
                 comparison->decode_node, status.ToString());
  }
  absl::MutexLock lock(&mutex_);
  live_.erase(comparison->number);
  compared_ += differs || comparison->has_ended;
  different_ += differs;
}

void Audit::Convict(const Comparison& comparison, const std::string& what) {
  std::vector<std::string> nodes = comparison.given.decode_nodes;
  nodes.insert(nodes.end(), comparison.given.prefill_nodes.begin(), comparison.given.prefill_nodes.end());
  nodes.push_back(comparison.decode_node);
  if (!comparison.prefill_node.empty()) nodes.push_back(comparison.prefill_node);
  const std::string why = absl::StrCat("an audit: one of ", absl::StrJoin(nodes, ", "), " computes something else (",
                                       comparison.decode_node, ": ", what, ")");
  spdlog::error("request {}: {}; they are out of placement", comparison.given.request.request_id(), why);
  for (const NodeSnapshot& node : registry_->Snapshot().nodes) {
    if (IsIn(node.node_id, nodes)) registry_->SetOut(node.registration, OutBy::kAudit, why);
  }
}

void Audit::Stop() {
  std::vector<std::shared_ptr<DecodeCall>> calls;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& [number, call] : live_) {
      if (call != nullptr) calls.push_back(call);
    }
  }
  for (const std::shared_ptr<DecodeCall>& call : calls) call->Cancel();
}

uint64_t Audit::num_compared() const {
  absl::MutexLock lock(&mutex_);
  return compared_;
}

uint64_t Audit::num_different() const {
  absl::MutexLock lock(&mutex_);
  return different_;
}

}  // namespace kedge
