// The server's side of a server-streaming call, as a queue: written to from any thread, one write in flight, exactly
// one end.
#ifndef KEDGE_COMMON_RPC_STREAM_WRITER_H_
#define KEDGE_COMMON_RPC_STREAM_WRITER_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"

namespace kedge {

// Make it with Create and return the raw pointer to gRPC; it keeps itself alive until the call is over, and whoever
// writes holds a shared_ptr as well. Thread-safe.
template <typename Message>
class StreamWriter : public grpc::ServerWriteReactor<Message> {
 public:
  struct Hooks {
    // The client went away, the deadline passed or the connection broke. At most once, and not after the end was sent.
    std::function<void()> on_cancel;
    // Takes `next` into `last`, a message that waits behind a write under way, and returns true; or returns false.
    // What is merged costs one write: that is how tokens batch under load while none is delayed when idle.
    std::function<bool(Message* last, const Message& next)> merge;
  };

  static std::shared_ptr<StreamWriter> Create(Hooks hooks) {
    auto writer = std::shared_ptr<StreamWriter>(new StreamWriter(std::move(hooks)));
    writer->self_ = writer;
    return writer;
  }

  // Queues a message; dropped once the call has ended or is cancelled.
  void Write(Message message) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (cancelled_ || end_.has_value()) return;
    if (queue_.size() > 1 && hooks_.merge != nullptr && hooks_.merge(&queue_.back(), message)) return;
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) this->StartWrite(&queue_.front());
  }

  // Messages that wait, the one being written included.
  size_t queued() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return queue_.size();
  }

  // Ends the call with `status` when what is queued has been written. The first end counts.
  void End(grpc::Status status) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    end_ = std::move(status);
    if (queue_.empty()) FinishLocked();
  }

 private:
  explicit StreamWriter(Hooks hooks) : hooks_(std::move(hooks)) {}

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    queue_.pop_front();
    if (!ok || cancelled_) {
      queue_.clear();
      if (!end_.has_value()) end_ = grpc::Status::CANCELLED;
    }
    if (!queue_.empty()) {
      this->StartWrite(&queue_.front());
    } else if (end_.has_value()) {
      FinishLocked();
    }
  }

  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_) {
    std::function<void()> on_cancel;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      if (!end_.has_value()) on_cancel = std::move(hooks_.on_cancel);
      if (queue_.empty()) {
        if (!end_.has_value()) end_ = grpc::Status::CANCELLED;
        FinishLocked();
      }
    }
    if (on_cancel != nullptr) on_cancel();
  }

  void OnDone() override { self_.reset(); }

  void FinishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (std::exchange(finished_, true)) return;
    this->Finish(*end_);
  }

  std::shared_ptr<StreamWriter> self_;  // until OnDone
  Hooks hooks_;
  mutable absl::Mutex mutex_;
  std::deque<Message> queue_ ABSL_GUARDED_BY(mutex_);  // front: being written
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_STREAM_WRITER_H_
