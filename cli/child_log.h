// What one process that we started says.
#ifndef KEDGE_CLI_CHILD_LOG_H_
#define KEDGE_CLI_CHILD_LOG_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// Reads a child's output through a pipe: all of it goes into a file, where there is one, and its end is kept here, so
// that an error can be shown whatever the disk does. The child never waits for us: its writes fail once the pipe is
// full, as when we are stopped by Ctrl-Z. Owns the pipe and a thread that reads. Thread-safe.
class ChildLog {
 public:
  // Why the file is not whole: on a thread of this class or within Start, at most once. Must not block.
  using OnFileError = std::function<void(const absl::Status&)>;

  // `path`: the file, replaced if it is there; "": none. kUnavailable: no pipe.
  static absl::StatusOr<std::unique_ptr<ChildLog>> Start(const std::string& path, OnFileError on_file_error);
  ~ChildLog();
  ChildLog(const ChildLog&) = delete;
  ChildLog& operator=(const ChildLog&) = delete;

  // For ChildOptions::output. Close it once the child is there: the pipe ends when nobody can write any more.
  int child_end() const { return child_end_; }
  void CloseChildEnd();

  // The last `count` lines, each with its line feed: all of what a child said that has ended. Waits, for a short while,
  // until the pipe has ended.
  std::string LastLines(int count) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  ChildLog(std::string path, OnFileError on_file_error)
      : path_(std::move(path)), on_file_error_(std::move(on_file_error)) {}
  void Read();
  void OpenFile();
  void WriteFile(absl::string_view bytes);
  void EndFile(int error);

  const std::string path_;
  const OnFileError on_file_error_;
  int read_end_ = -1;
  int child_end_ = -1;
  int quit_file_ = -1;  // readable once the destructor runs
  int file_ = -1;
  mutable absl::Mutex mutex_;
  mutable SteadyCondVar end_;
  std::string tail_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// The last `count` lines, each with its line feed.
std::string LastLines(absl::string_view text, int count);

}  // namespace kedge

#endif  // KEDGE_CLI_CHILD_LOG_H_
