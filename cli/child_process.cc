// fork and exec, with all that is not safe between them done before. The child is the leader of its own process group:
// Ctrl-C in a terminal reaches us alone, and we stop our children in order. A failed exec comes back through a pipe
// that closes on success.
//
// Tested by child_process_test.cc.
#include "cli/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

extern char** environ;

namespace kedge {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<std::string> result;
  for (const auto& [name, value] : more) result.push_back(absl::StrCat(name, "=", value));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool replaced = false;
    for (const auto& [name, value] : more) replaced |= absl::StartsWith(*entry, absl::StrCat(name, "="));
    if (!replaced) result.push_back(*entry);
  }
  return result;
}

// Ends the child: its parent learns why.
[[noreturn]] void FailExec(int error_pipe) {
  int error = errno;
  (void)!write(error_pipe, &error, sizeof(error));
  _exit(127);
}

// Runs in the child: only calls that are safe after fork in a process with threads.
[[noreturn]] void Exec(char** argv, char** envp, int output, int shared_file, pid_t parent, int error_pipe) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  int null_file = open("/dev/null", O_RDWR);
  if (null_file < 0 || dup2(null_file, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
      dup2(output, STDERR_FILENO) < 0) {
    FailExec(error_pipe);
  }
  if (shared_file >= 0) fcntl(shared_file, F_SETFD, 0);  // it would close with exec
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvpe(argv[0], argv, envp);
  FailExec(error_pipe);
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const ChildOptions& options) {
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = Environment(options.environment);
  std::vector<char*> argv = Pointers(arguments);
  std::vector<char*> envp = Pointers(environment);
  int output = options.output >= 0 ? options.output : STDERR_FILENO;
  if (!options.output_file.empty()) {
    output = open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (output < 0) return absl::UnavailableError(absl::StrCat(options.output_file, ": ", strerror(errno)));
  }
  int pipe_ends[2] = {-1, -1};
  pid_t parent = getpid();
  pid_t pid = pipe2(pipe_ends, O_CLOEXEC) == 0 ? fork() : -1;
  if (pid == 0) Exec(argv.data(), envp.data(), output, options.shared_file, parent, pipe_ends[1]);
  int error = errno;  // of pipe2 or fork
  if (!options.output_file.empty()) close(output);
  if (pipe_ends[1] >= 0) close(pipe_ends[1]);
  ssize_t count = 0;
  if (pid > 0) {
    do {
      count = read(pipe_ends[0], &error, sizeof(error));
    } while (count < 0 && errno == EINTR);
    if (count == sizeof(error)) waitpid(pid, nullptr, 0);
  }
  if (pipe_ends[0] >= 0) close(pipe_ends[0]);
  if (pid < 0 || count == sizeof(error)) {
    std::string message = absl::StrCat("cannot start ", options.argv[0], ": ", strerror(error));
    return error == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
  }
  ChildProcess child;
  child.pid_ = pid;
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), end_(std::move(other.end_)), succeeded_(other.succeeded_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    KillAndReap();
    pid_ = std::exchange(other.pid_, -1);
    end_ = std::move(other.end_);
    succeeded_ = other.succeeded_;
  }
  return *this;
}

ChildProcess::~ChildProcess() { KillAndReap(); }

const std::optional<std::string>& ChildProcess::Poll() {
  int status = 0;
  if (!end_.has_value() && pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) {
    if (WIFSIGNALED(status)) {
      end_ = absl::StrCat("signal ", WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")");
    } else {
      end_ = absl::StrCat("exit code ", WEXITSTATUS(status));
      succeeded_ = WEXITSTATUS(status) == 0;
    }
  }
  return end_;
}

absl::StatusOr<absl::Duration> ChildProcess::CpuTime() const {
  clockid_t clock;
  timespec time;
  if (pid_ <= 0 || end_.has_value() || clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    return absl::UnavailableError("the process has ended");
  }
  return absl::DurationFromTimespec(time);
}

void ChildProcess::Signal(int signal) {
  if (pid_ > 0 && !Poll().has_value()) kill(-pid_, signal);
}

void ChildProcess::KillAndReap() {
  if (pid_ <= 0 || end_.has_value()) return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string ProgramDirectory() {
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  std::string program(path, length > 0 ? static_cast<size_t>(length) : 0);
  return program.substr(0, program.rfind('/'));
}

absl::Status BecomeProgram(const std::string& name, std::vector<std::string> arguments) {
  const std::string program = absl::StrCat(ProgramDirectory(), "/", name);
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  return absl::UnavailableError(absl::StrCat("cannot start ", program, ": ", strerror(errno)));
}

}  // namespace kedge
