// The thread asks with poll(2) before it writes, so a pipe that is full blocks not even that thread, and the end of the
// process finds it ready to go. Tested by line_writer_test.cc.
#include "common/rpc/line_writer.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/string_view.h"

namespace kedge {
namespace {

constexpr int kPollMs = 100;  // how soon it hears that it is to stop

// All of it, or as much as can be written: what a broken pipe loses nobody would have read.
void WriteAll(int file, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

LineWriter::LineWriter(int file, std::function<std::string(uint64_t)> on_dropped)
    : file_(file), on_dropped_(std::move(on_dropped)), thread_([this] { Run(); }) {}

LineWriter::~LineWriter() {
  Flush(kLastFlush);
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

void LineWriter::Add(std::string line) {
  absl::MutexLock lock(&mutex_);
  if (waiting_bytes_ + line.size() + (dropped_ > 0 ? kMaxLine : 0) > kMaxWaiting) {
    ++dropped_;
    return;
  }
  if (dropped_ > 0) Queue(on_dropped_(std::exchange(dropped_, 0)));
  Queue(std::move(line));
}

void LineWriter::Queue(std::string line) {
  waiting_bytes_ += line.size();
  lines_.push_back(std::move(line));
}

bool LineWriter::Flush(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto is_done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return lines_.empty() && dropped_ == 0; };
  return written_.Await(&mutex_, timeout, is_done);
}

bool LineWriter::WaitForReader() {
  while (true) {
    pollfd file{file_, POLLOUT, 0};
    const int ready = poll(&file, 1, kPollMs);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;  // an error shows when it is written
    absl::MutexLock lock(&mutex_);
    if (stop_) return false;
  }
}

void LineWriter::Run() {
  while (true) {
    absl::string_view line;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stop_ || !lines_.empty() || dropped_ > 0;
      };
      mutex_.Await(absl::Condition(&has_work));
      if (stop_) return;
      if (lines_.empty()) Queue(on_dropped_(std::exchange(dropped_, 0)));
      line = lines_.front();  // a deque's elements stay where they are
    }
    if (!WaitForReader()) return;
    WriteAll(file_, line);
    absl::MutexLock lock(&mutex_);
    waiting_bytes_ -= lines_.front().size();
    lines_.pop_front();
    written_.SignalAll();
  }
}

}  // namespace kedge
