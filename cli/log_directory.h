// Where the processes of one cluster write what they say.
#ifndef KEDGE_CLI_LOG_DIRECTORY_H_
#define KEDGE_CLI_LOG_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace kedge {

// A directory PARENT/YYYYMMDD-HHMMSS-PID, which stays when its owner is gone: the newest kKept are there to be read,
// Make removes older ones. One that is held, by this object in whatever process, is never removed. Move-only; owned by
// one thread.
class LogDirectory {
 public:
  static constexpr size_t kKept = 50;

  // A new one below `parent`, which is made if need be. kUnavailable names the path and why it can't be had.
  static absl::StatusOr<LogDirectory> Make(const std::string& parent, absl::Time now);
  ~LogDirectory();
  LogDirectory(LogDirectory&& other) noexcept;
  LogDirectory& operator=(LogDirectory&&) = delete;

  const std::string& path() const { return path_; }

 private:
  LogDirectory(std::string path, int file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  int file_;  // the directory, locked
};

}  // namespace kedge

#endif  // KEDGE_CLI_LOG_DIRECTORY_H_
