// Reads requests: what takes time linear in what a client sent has its threads here.
#ifndef KEDGE_ROUTER_PARSE_QUEUE_H_
#define KEDGE_ROUTER_PARSE_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace kedge {

// Short work first: by arrival plus a microsecond for each byte, so that what is long waits for its size, not for ever.
// Who sends much cannot hold up who sends little, nor those who want text: one thread takes anything, one takes
// Generate or what is short, and one what is short alone. (More threads take Generate or what is short.) Thread-safe.
class ParseQueue {
 public:
  static constexpr uint64_t kShortBytes = 64 << 10;

  // `long_threads`: that may have long work, at least 1. `max_bytes`: that may wait.
  ParseQueue(int long_threads, uint64_t max_bytes);
  // Runs what waits, and joins the threads.
  ~ParseQueue();
  ParseQueue(const ParseQueue&) = delete;
  ParseQueue& operator=(const ParseQueue&) = delete;

  struct Work {
    const void* owner;  // names it, for Drop
    uint64_t bytes;
    bool generates;  // belongs to a Generate
    std::function<void()> run;
  };
  // kResourceExhausted, reason MEMORY_FULL: so much waits that this does not fit.
  absl::Status Post(Work work) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes the owner's work out of the queue; returns false if it runs, has run, or was never there.
  bool Drop(const void* owner) ABSL_LOCKS_EXCLUDED(mutex_);

  // Bytes of what waits.
  uint64_t waiting_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class Slot { kAny, kGenerateOrShort, kShort };
  using Order = std::pair<absl::Time, uint64_t>;

  void Run(Slot slot) ABSL_LOCKS_EXCLUDED(mutex_);
  // The first that the slot may take; end() if there is none.
  std::map<Order, Work>::iterator First(Slot slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t max_bytes_;
  mutable absl::Mutex mutex_;
  std::map<Order, Work> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t posted_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_PARSE_QUEUE_H_
