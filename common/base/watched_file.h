// A file that may change while the process runs.
#ifndef KEDGE_COMMON_BASE_WATCHED_FILE_H_
#define KEDGE_COMMON_BASE_WATCHED_FILE_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// All of a file. kNotFound: there is none; kInvalidArgument: it can't be read, or has more than 16 MiB. Both name it.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

// Reads a file every `interval`, and says so when what ReadSmallFile returns is another than before. Times and sizes
// are not asked: they may be equal. Thread-safe.
class WatchedFile {
 public:
  using OnChange = std::function<void(const absl::StatusOr<std::string>& text)>;

  // `known`: what was read last. `on_change` runs on a thread of this object.
  WatchedFile(std::string path, absl::StatusOr<std::string> known, absl::Duration interval, OnChange on_change);
  // `on_change` is not called any more when this returns.
  ~WatchedFile();
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

 private:
  SteadyNotification stopping_;
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_WATCHED_FILE_H_
