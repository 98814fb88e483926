// A program that the tool has started.
#ifndef KEDGE_CLI_CHILD_PROCESS_H_
#define KEDGE_CLI_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace kedge {

// How to start one.
struct ChildOptions {
  // argv[0] is looked up in PATH if it has no slash.
  std::vector<std::string> argv;
  // Receives stdout and stderr (appended). Empty: `output` does.
  std::string output_file;
  // A file of ours that receives stdout and stderr; -1: our stderr.
  int output = -1;
  // A file of ours that the child has open as well, under the same number; -1: none.
  int shared_file = -1;
  // Variables beside those of our own environment.
  std::vector<std::pair<std::string, std::string>> environment;
};

// Owns the process: the destructor kills it, and its process group, if it still runs. The kernel kills it when the
// thread that started it ends, however that comes, so start children from the main thread. stdin is /dev/null.
// Owned by one thread.
class ChildProcess {
 public:
  // kNotFound or kUnavailable with the program's name when it can't be started.
  static absl::StatusOr<ChildProcess> Start(const ChildOptions& options);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  pid_t pid() const { return pid_; }
  // How it ended ("exit code 1", "signal 9 (Killed)"), or nothing while it runs.
  const std::optional<std::string>& Poll();
  // Whether it has ended with exit code 0. REQUIRES: Poll() has a value.
  bool succeeded() const { return succeeded_; }
  // Time that all its threads have computed, for itself and in the kernel. kUnavailable once it has ended.
  absl::StatusOr<absl::Duration> CpuTime() const;
  // Sends a signal to it and to what it has started.
  void Signal(int signal);

 private:
  ChildProcess() = default;
  void KillAndReap();

  pid_t pid_ = -1;
  std::optional<std::string> end_;
  bool succeeded_ = false;
};

// Directory of the running program (where kedge-router and the nodes lie), without a final slash.
std::string ProgramDirectory();

// Becomes the program of that name beside our own. Returns only if it cannot: kUnavailable names the program.
absl::Status BecomeProgram(const std::string& name, std::vector<std::string> arguments);

}  // namespace kedge

#endif  // KEDGE_CLI_CHILD_PROCESS_H_
