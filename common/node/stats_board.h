// An engine's figures, handed from its thread to others.
#ifndef KEDGE_COMMON_NODE_STATS_BOARD_H_
#define KEDGE_COMMON_NODE_STATS_BOARD_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/engine/node_stats.h"

namespace kedge {

// Thread-safe.
class StatsBoard {
 public:
  // An answer that the engine gives up for want of memory is on its way back for so long.
  static constexpr absl::Duration kComesBack = absl::Milliseconds(100);

  explicit StatsBoard(absl::Duration comes_back = kComesBack) : comes_back_(comes_back) {}

  void Set(const NodeStats& stats) ABSL_LOCKS_EXCLUDED(mutex_);
  NodeStats Get() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until no request has been in the engine for `comes_back`, at most for `limit`.
  void AwaitIdle(absl::Duration limit) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stats_.running + stats_.waiting == 0; }

  const absl::Duration comes_back_;
  mutable absl::Mutex mutex_;
  mutable SteadyCondVar changed_;
  NodeStats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kedge

#endif  // KEDGE_COMMON_NODE_STATS_BOARD_H_
