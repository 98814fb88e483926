// Settings that nodes must share are checked here, once, when a node comes: afterwards any decode node can ask any
// prefill node. The numerics class is not among them: rows of another class are refused by their chain, and a request
// that moves says so.
//
// Tested by node_registry_test.cc.
#include "router/node_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "router/node_info.h"

namespace kedge {
namespace {

absl::Status CheckSame(absl::string_view setting, absl::string_view node, absl::string_view cluster) {
  if (node == cluster) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(setting, ": the node's is ", node, ", the cluster's is ", cluster));
}

}  // namespace

NodeRegistry::NodeRegistry(const Clock* clock, std::string fingerprint, std::string default_policy, std::string kv_type,
                           std::string out_at_first, size_t max_nodes)
    : clock_(clock),
      fingerprint_(std::move(fingerprint)),
      default_policy_(std::move(default_policy)),
      kv_type_(std::move(kv_type)),
      out_at_first_(std::move(out_at_first)),
      max_nodes_(max_nodes) {}

absl::Status NodeRegistry::CheckAgainstCluster(const node::v1::NodeInfo& info) const {
  if (!info.policy().empty()) KEDGE_RETURN_IF_ERROR(CheckSame("policy", info.policy(), default_policy_));
  if (!kv_type_.empty()) KEDGE_RETURN_IF_ERROR(CheckSame("kv_type", info.kv_type(), kv_type_));
  KEDGE_RETURN_IF_ERROR(CheckSame("fingerprint of model and adapter", info.fingerprint(), fingerprint_));
  for (const auto& [registration, node] : nodes_) {
    if (node.info.node_id() == info.node_id()) continue;  // is about to be replaced
    KEDGE_RETURN_IF_ERROR(CheckSame("kv_type", info.kv_type(), node.info.kv_type()));
    KEDGE_RETURN_IF_ERROR(CheckSame("row_bytes", absl::StrCat(info.row_bytes()), absl::StrCat(node.info.row_bytes())));
    KEDGE_RETURN_IF_ERROR(CheckSame("salience heads", info.salience_heads(), node.info.salience_heads()));
    break;  // all nodes agree with the first
  }
  return absl::OkStatus();
}

absl::Status NodeRegistry::CheckInfo(const node::v1::NodeInfo& info) const {
  KEDGE_RETURN_IF_ERROR(CheckNodeInfo(info));
  size_t others = 0;
  for (const auto& [registration, node] : nodes_) {
    if (node.info.node_id() != info.node_id()) {
      ++others;
    } else if (clock_->Now() - node.heartbeat_time < kHeartbeatLimit) {
      return absl::AlreadyExistsError(
          absl::StrCat("node_id: ", info.node_id(), " is registered at ", node.info.address()));
    }
  }
  if (others >= max_nodes_) {
    return absl::ResourceExhaustedError(absl::StrCat("node_id: ", others,
                                                     " nodes are registered, and no more may be "
                                                     "(--max-nodes of the router)"));
  }
  return CheckAgainstCluster(info);
}

absl::Status NodeRegistry::Check(const node::v1::NodeInfo& info) const {
  absl::MutexLock lock(&mutex_);
  return CheckInfo(info);
}

absl::StatusOr<uint64_t> NodeRegistry::Register(const node::v1::NodeInfo& info) {
  absl::MutexLock lock(&mutex_);
  KEDGE_RETURN_IF_ERROR(CheckInfo(info));
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    it = it->second.info.node_id() == info.node_id() ? nodes_.erase(it) : std::next(it);
  }
  const uint64_t registration = next_registration_++;
  Node& node = nodes_[registration];
  node.info = info;
  node.info.DiscardUnknownFields();  // which nobody has bounded
  node.heartbeat_time = node.turn_time = clock_->Now();
  node.out[static_cast<size_t>(OutBy::kAnswer)] = out_at_first_;
  return registration;
}

absl::Status NodeRegistry::Heartbeat(uint64_t registration, const node::v1::Heartbeat& heartbeat) {
  KEDGE_RETURN_IF_ERROR(CheckHeartbeat(heartbeat));
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(registration);
  if (found == nodes_.end()) return absl::AbortedError("another process has registered with this node_id");
  Node& node = found->second;
  node.heartbeat_time = clock_->Now();
  if (heartbeat.engine_turns() != node.last.engine_turns()) node.turn_time = node.heartbeat_time;
  node.last = heartbeat;
  node.last.DiscardUnknownFields();
  return absl::OkStatus();
}

void NodeRegistry::NoteRefused(uint64_t registration, const FullNote& note) {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(registration);
  if (found != nodes_.end()) found->second.refused = note;
}

void NodeRegistry::Remove(uint64_t registration) {
  absl::MutexLock lock(&mutex_);
  nodes_.erase(registration);
}

void NodeRegistry::SetOut(uint64_t registration, OutBy by, std::string why) {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(registration);
  if (found != nodes_.end()) found->second.out[static_cast<size_t>(by)] = std::move(why);
}

std::string NodeRegistry::WhyOut(const Node& node) {
  for (const std::string& why : node.out) {
    if (!why.empty()) return why;
  }
  return "";
}

void NodeRegistry::Expel(uint64_t registration) {
  absl::MutexLock lock(&mutex_);
  if (nodes_.erase(registration) > 0) expelled_.insert(registration);
}

bool NodeRegistry::IsReady(const Node& node) const {
  const absl::Time now = clock_->Now();
  return WhyOut(node).empty() && now - node.heartbeat_time < kHeartbeatLimit && now - node.turn_time < kTurnLimit;
}

ClusterSnapshot NodeRegistry::Snapshot() const {
  ClusterSnapshot snapshot;
  snapshot.now = clock_->Now();
  absl::MutexLock lock(&mutex_);
  for (const auto& [registration, node] : nodes_) {
    NodeSnapshot copy;
    copy.node_id = node.info.node_id();
    copy.registration = registration;
    copy.role = node.info.role() == node::v1::ROLE_PREFILL ? NodeRole::kPrefill : NodeRole::kDecode;
    copy.address = node.info.address();
    copy.numerics_class = node.info.numerics_class();
    copy.ready = IsReady(node);
    copy.out = WhyOut(node);
    copy.engine_steps = node.last.engine_steps();
    copy.running_requests = node.last.running_requests();
    copy.waiting_requests = node.last.waiting_requests();
    copy.waiting_tokens = node.last.waiting_tokens();
    copy.reserved_rows = node.last.reserved_rows();
    copy.cached_rows = node.last.cached_rows();
    copy.held_rows = node.last.held_rows();
    copy.total_rows = node.info.total_rows();
    // What a heartbeat tells was so when it came.
    copy.work_ahead = std::max(absl::Milliseconds(node.last.work_ahead_ms()) - (snapshot.now - node.heartbeat_time),
                               absl::ZeroDuration());
    copy.token_time = absl::Microseconds(node.last.token_us());
    if (node.last.full_ms() > 0) copy.full_until = node.heartbeat_time + absl::Milliseconds(node.last.full_ms());
    copy.leaves = node.last.leaves();
    copy.refused = node.refused;
    copy.assigned_requests = node.assigned_requests;
    copy.assigned_tokens = node.assigned_tokens;
    copy.last_assigned = node.last_assigned;
    snapshot.nodes.push_back(std::move(copy));
  }
  std::sort(snapshot.nodes.begin(), snapshot.nodes.end(),
            [](const NodeSnapshot& a, const NodeSnapshot& b) { return a.node_id < b.node_id; });
  return snapshot;
}

bool NodeRegistry::CanServe() const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(nodes_.begin(), nodes_.end(), [this](const auto& entry) {
    return entry.second.info.role() == node::v1::ROLE_DECODE && IsReady(entry.second) && !entry.second.last.leaves();
  });
}

bool NodeRegistry::IsRegistered(uint64_t registration) const {
  absl::MutexLock lock(&mutex_);
  return nodes_.count(registration) > 0;
}

bool NodeRegistry::Hangs(uint64_t registration) const {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(registration);
  return found == nodes_.end() ? expelled_.count(registration) > 0 : !IsReady(found->second);
}

NodeRegistry::Assignment NodeRegistry::Assign(uint64_t registration, uint64_t tokens) {
  Assignment assignment;
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(registration);
  if (found == nodes_.end()) return assignment;  // gone since the snapshot
  ++found->second.assigned_requests;
  found->second.assigned_tokens += tokens;
  found->second.last_assigned = ++assignments_;
  assignment.registry_ = this;
  assignment.registration_ = registration;
  assignment.tokens_ = tokens;
  return assignment;
}

NodeRegistry::Assignment& NodeRegistry::Assignment::operator=(Assignment&& other) noexcept {
  Release();
  registry_ = std::exchange(other.registry_, nullptr);
  registration_ = other.registration_;
  tokens_ = other.tokens_;
  return *this;
}

void NodeRegistry::Assignment::Release() {
  NodeRegistry* const registry = std::exchange(registry_, nullptr);
  if (registry == nullptr) return;
  absl::MutexLock lock(&registry->mutex_);
  const auto found = registry->nodes_.find(registration_);
  if (found == registry->nodes_.end()) return;
  --found->second.assigned_requests;
  found->second.assigned_tokens -= tokens_;
}

}  // namespace kedge
