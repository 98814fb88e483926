// KnownAnswerService over gRPC.
#ifndef KEDGE_ROUTER_NODE_ASKER_GRPC_H_
#define KEDGE_ROUTER_NODE_ASKER_GRPC_H_

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/tls/membership.h"
#include "router/answer_rounds.h"

namespace kedge {

// A connection for each question, to the address that the node advertises: what answers is what requests would reach.
// Thread-safe.
class NodeAskerGrpc : public NodeAsker {
 public:
  // A node that has much to do, and a slow one, takes its time: a question comes behind all requests.
  static constexpr absl::Duration kTimeout = absl::Seconds(60);

  // `member` may be null, and must outlive this.
  explicit NodeAskerGrpc(const Membership* member) : member_(member) {}
  // Cancels the questions under way, and waits for their answers.
  ~NodeAskerGrpc() override;

  void Ask(const NodeSnapshot& node, const std::vector<uint32_t>& ids, Answered answered) override
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Call;

  const Membership* const member_;
  absl::Mutex mutex_;
  std::set<std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_NODE_ASKER_GRPC_H_
