// The nodes that are registered with this router.
#ifndef KEDGE_ROUTER_NODE_REGISTRY_H_
#define KEDGE_ROUTER_NODE_REGISTRY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "kedge/node/v1/node.pb.h"
#include "router/cluster_snapshot.h"

namespace kedge {

// Who has found that a node does not compute what others of its class do.
enum class OutBy { kAnswer, kAudit };

// Thread-safe.
class NodeRegistry {
 public:
  // A node is ready while its last heartbeat is younger than kHeartbeatLimit and its engine has turned within
  // kTurnLimit.
  static constexpr absl::Duration kHeartbeatLimit = absl::Seconds(2);
  static constexpr absl::Duration kTurnLimit = absl::Seconds(5);

  // `clock` must outlive this. `fingerprint`: of the model that this router serves; no node has another, whoever comes
  // first. `default_policy`: canonical; a node that was given one must have the same. `kv_type`: what the nodes' must
  // be; empty: the first node says. `out_at_first`: why a node that has just come is out of placement, until SetOut
  // says otherwise; empty: it is not. No more than `max_nodes` are in it at once.
  NodeRegistry(const Clock* clock, std::string fingerprint, std::string default_policy, std::string kv_type = "",
               std::string out_at_first = "", size_t max_nodes = 1024);

  // What Register would say of it now.
  absl::Status Check(const node::v1::NodeInfo& info) const;
  // Takes a node in and returns its registration. kInvalidArgument: the field that is missing or malformed.
  // kFailedPrecondition: the setting that differs from the cluster's. kAlreadyExists: a node of this id is alive; one
  // that is not is replaced. kResourceExhausted: as many others are in it as may be.
  absl::StatusOr<uint64_t> Register(const node::v1::NodeInfo& info);
  // kInvalidArgument names the field (CheckHeartbeat). kAborted if the registration was replaced.
  absl::Status Heartbeat(uint64_t registration, const node::v1::Heartbeat& heartbeat);
  // A node has refused a call, and said until when. Nothing happens if the registration was replaced.
  void NoteRefused(uint64_t registration, const FullNote& note);
  // Nothing happens if the registration was replaced.
  void Remove(uint64_t registration);
  // The same for a node that must not be trusted any more: its calls are given up.
  void Expel(uint64_t registration);

  const std::string& fingerprint() const { return fingerprint_; }
  // Why this node is out of placement, whatever its heartbeats say; "": it is not, as far as `by` knows. Calls to it
  // are given up (Hangs). Nothing happens if the registration was replaced.
  void SetOut(uint64_t registration, OutBy by, std::string why);

  ClusterSnapshot Snapshot() const;
  // Whether the node's stream is open while its heartbeats or its engine stand still, or it is out of placement, or was
  // expelled: calls to it should be given up. False for a node that has left, whose calls may still run to their end.
  bool Hangs(uint64_t registration) const;
  // Whether a decode node is ready, and stays.
  bool CanServe() const;
  bool IsRegistered(uint64_t registration) const;

  // A piece of work that was sent to a node; counts there until it dies. Move-only; may outlive the node's
  // registration, but not the registry.
  class Assignment {
   public:
    Assignment() = default;
    Assignment(Assignment&& other) noexcept { *this = std::move(other); }
    Assignment& operator=(Assignment&& other) noexcept;
    ~Assignment() { Release(); }
    void Release();

   private:
    friend class NodeRegistry;
    NodeRegistry* registry_ = nullptr;
    uint64_t registration_ = 0;
    uint64_t tokens_ = 0;
  };
  Assignment Assign(uint64_t registration, uint64_t tokens);

 private:
  struct Node {
    node::v1::NodeInfo info;
    node::v1::Heartbeat last;
    absl::Time heartbeat_time;
    absl::Time turn_time;            // when engine_turns was last seen to grow
    std::array<std::string, 2> out;  // by OutBy
    FullNote refused;
    uint32_t assigned_requests = 0;
    uint64_t assigned_tokens = 0;
    uint64_t last_assigned = 0;
  };

  absl::Status CheckInfo(const node::v1::NodeInfo& info) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckAgainstCluster(const node::v1::NodeInfo& info) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static std::string WhyOut(const Node& node);
  bool IsReady(const Node& node) const;

  const Clock* const clock_;
  const std::string fingerprint_;
  const std::string default_policy_;
  const std::string kv_type_;
  const std::string out_at_first_;
  const size_t max_nodes_;
  mutable absl::Mutex mutex_;
  uint64_t assignments_ ABSL_GUARDED_BY(mutex_) = 0;        // that there ever were
  std::map<uint64_t, Node> nodes_ ABSL_GUARDED_BY(mutex_);  // by registration
  std::set<uint64_t> expelled_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_registration_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_NODE_REGISTRY_H_
