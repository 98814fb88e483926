// Writes lines to a file descriptor that perhaps nobody reads, on a thread of its own: whoever has something to say
// never waits.
#ifndef KEDGE_COMMON_RPC_LINE_WRITER_H_
#define KEDGE_COMMON_RPC_LINE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// Lines wait in order, up to kMaxWaiting bytes of them; those that find no room are dropped and counted, and a line
// says how many as soon as there is room again. (spdlog's asynchronous logger waits for its reader when a process
// ends.) Thread-safe.
class LineWriter {
 public:
  static constexpr size_t kMaxWaiting = size_t{1} << 20;
  // A pipe takes so many bytes whole or not at all, and says beforehand whether it will.
  static constexpr size_t kMaxLine = 4096;

  // `file` stays open and is the caller's. `on_dropped` makes the line that tells of so many dropped ones.
  LineWriter(int file, std::function<std::string(uint64_t)> on_dropped);
  // Flushes, for at most kLastFlush: what nobody has read by then is lost.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // REQUIRES: `line` has its line feed, and at most kMaxLine bytes.
  void Add(std::string line) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until all lines have been written, for at most `timeout`. Returns whether they have.
  bool Flush(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr absl::Duration kLastFlush = absl::Seconds(1);

  void Queue(std::string line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns false if it should end before somebody reads.
  bool WaitForReader() ABSL_LOCKS_EXCLUDED(mutex_);

  const int file_;
  const std::function<std::string(uint64_t)> on_dropped_;
  mutable absl::Mutex mutex_;
  SteadyCondVar written_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);  // the first one is being written
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;  // and not told of
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_LINE_WRITER_H_
