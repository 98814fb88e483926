// Tested by child_log_test.cc.
#include "cli/child_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {
namespace {

constexpr size_t kTailBytes = 64 << 10;  // kept here
constexpr int kPipeBytes = 1 << 20;      // that a child may be ahead of us
constexpr absl::Duration kPatience = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<ChildLog>> ChildLog::Start(const std::string& path, OnFileError on_file_error) {
  std::unique_ptr<ChildLog> log(new ChildLog(path, std::move(on_file_error)));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::UnavailableError(absl::StrCat("no pipe: ", strerror(errno)));
  log->read_end_ = ends[0];
  log->child_end_ = ends[1];
  (void)fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);  // smaller where that is not allowed
  if (fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK) != 0) {
    return absl::UnavailableError(absl::StrCat("a pipe: ", strerror(errno)));
  }
  log->quit_file_ = eventfd(0, EFD_CLOEXEC);
  if (log->quit_file_ < 0) return absl::UnavailableError(absl::StrCat("no eventfd: ", strerror(errno)));
  log->OpenFile();
  log->thread_ = std::thread([log = log.get()] { log->Read(); });
  return log;
}

ChildLog::~ChildLog() {
  CloseChildEnd();
  if (thread_.joinable()) {
    const uint64_t one = 1;
    KEDGE_CHECK(write(quit_file_, &one, sizeof(one)) == sizeof(one));
    thread_.join();
  }
  for (const int file : {read_end_, quit_file_, file_}) {
    if (file >= 0) close(file);
  }
}

void ChildLog::CloseChildEnd() {
  if (child_end_ >= 0) close(std::exchange(child_end_, -1));
}

void ChildLog::Read() {
  char buffer[16 << 10];
  while (true) {
    pollfd files[2] = {{read_end_, POLLIN, 0}, {quit_file_, POLLIN, 0}};
    if (poll(files, 2, -1) < 0 && errno != EINTR) break;
    if (files[0].revents == 0 && files[1].revents != 0) break;  // what was written before is read first
    if (files[0].revents == 0) continue;
    const ssize_t count = read(read_end_, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    const absl::string_view bytes(buffer, static_cast<size_t>(count));
    WriteFile(bytes);
    absl::MutexLock lock(&mutex_);
    absl::StrAppend(&tail_, bytes);
    if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  end_.SignalAll();
}

void ChildLog::OpenFile() {
  if (path_.empty()) return;
  file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file_ < 0) EndFile(errno);
}

void ChildLog::WriteFile(absl::string_view bytes) {
  while (file_ >= 0 && !bytes.empty()) {
    const ssize_t written = write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return EndFile(errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void ChildLog::EndFile(int error) {
  if (file_ >= 0) close(std::exchange(file_, -1));
  on_file_error_(absl::UnavailableError(absl::StrCat(path_, ": ", strerror(error))));
}

std::string ChildLog::LastLines(int count) const {
  absl::MutexLock lock(&mutex_);
  // A child of the child may hold the pipe open.
  end_.Await(&mutex_, kPatience, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_; });
  return kedge::LastLines(tail_, count);
}

std::string LastLines(absl::string_view text, int count) {
  if (count <= 0) return "";
  size_t begin = text.size() - (absl::EndsWith(text, "\n") ? 1 : 0);  // a line feed, or the end
  for (int i = 0; i < count; ++i) {
    const size_t line_feed = begin == 0 ? absl::string_view::npos : text.rfind('\n', begin - 1);
    if (line_feed == absl::string_view::npos) return std::string(text);
    begin = line_feed;
  }
  return std::string(text.substr(begin + 1));
}

}  // namespace kedge
