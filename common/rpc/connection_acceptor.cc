// The thread never waits for anything but connections: who cannot be let in is accepted and closed, with a descriptor
// that is kept for that. Closing resets, so that nothing of a connection stays behind in the kernel.
//
// Tested by connection_acceptor_test.cc and tests/connections_test.py.
#include "common/rpc/connection_acceptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr uint64_t kOwnFiles = 48;  // more than a process opens for itself and its cluster of a few nodes
constexpr int kAtOnce = 64;
constexpr int kNoDescriptorMs = 10;  // between tries when there is none at all
// Looking at all connections may take a twentieth of the thread's time while it is full.
constexpr int kCountShare = 20;
constexpr absl::Duration kLinePeriod = absl::Seconds(10);
constexpr absl::Duration kKnockPoll = absl::Milliseconds(5);

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

bool IsShortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

absl::Time SteadyNow() {
  static const RealClock* const clock = new RealClock();
  return clock->Now();
}

// Starts to connect to where `listener` listens; 0.0.0.0 and :: are reached on the loopback. Returns the connection, or
// -1 and errno.
int Connect(int listener) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) return -1;
  const int file = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) return -1;
  if (connect(file, reinterpret_cast<sockaddr*>(&address), length) == 0 || errno == EINPROGRESS) return file;
  const int error = errno;
  close(file);
  errno = error;
  return -1;
}

}  // namespace

size_t ConnectionsFor(uint64_t files) {
  const uint64_t own = std::max(files / 10, kOwnFiles);
  return static_cast<size_t>(files > own ? files - own : 1);
}

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Start(ListenSockets sockets,
                                                                              size_t max_connections, Take take) {
  const int stop_file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_file < 0) return absl::ResourceExhaustedError(absl::StrCat("cannot accept: ", std::strerror(errno)));
  return absl::WrapUnique(new ConnectionAcceptor(std::move(sockets), max_connections, std::move(take), stop_file));
}

ConnectionAcceptor::ConnectionAcceptor(ListenSockets sockets, size_t max_connections, Take take, int stop_file)
    : sockets_(std::move(sockets)),
      max_connections_(max_connections),
      take_(std::move(take)),
      stop_file_(stop_file),
      knock_spare_(OpenSpare()),
      spare_file_(OpenSpare()),
      thread_([this] { Run(); }) {}

void ConnectionAcceptor::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  KEDGE_CHECK(write(stop_file_, &one, sizeof(one)) == sizeof(one));
  thread_.join();
  sockets_.Close();
  close(stop_file_);
  if (knock_spare_ >= 0) close(knock_spare_);
  if (spare_file_ >= 0) close(spare_file_);
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> files{{.fd = stop_file_, .events = POLLIN}};
  for (const int listener : sockets_.files()) files.push_back({.fd = listener, .events = POLLIN});
  bool had_descriptor = true;
  for (;;) {
    // Without any descriptor, even a spare one, the sockets stay readable: wait for the end alone, a little.
    const nfds_t watched = had_descriptor ? files.size() : 1;
    if (poll(files.data(), watched, had_descriptor ? -1 : kNoDescriptorMs) < 0 && errno != EINTR) {
      usleep(kNoDescriptorMs * 1000);  // ENOMEM
      continue;
    }
    if (files[0].revents != 0) return;
    const bool try_all = !had_descriptor;
    had_descriptor = true;
    for (size_t i = 1; i < files.size(); ++i) {
      if ((try_all || files[i].revents != 0) && !AcceptFrom(files[i].fd)) had_descriptor = false;
    }
  }
}

bool ConnectionAcceptor::AcceptFrom(int listener) {
  for (int i = 0; i < kAtOnce; ++i) {
    if (spare_file_ < 0) spare_file_ = OpenSpare();
    const int file = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (file < 0) {
      if (errno == EAGAIN) return true;
      if (!IsShortage(errno)) continue;  // of one connection, which is gone
      if (!SendAway(listener)) return false;
      continue;
    }
    ++accepted_;
    if (IsFull()) {
      Refuse(file, "as many are open as may be (--max-connections)");
      continue;
    }
    connections_.Add(file);
    take_(file);
  }
  return true;
}

bool ConnectionAcceptor::SendAway(int listener) {
  if (spare_file_ < 0) return false;
  close(std::exchange(spare_file_, -1));
  const int file = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  const int error = errno;
  if (file >= 0) {
    ++accepted_;
    Refuse(file, "no descriptor is left (ulimit -n)");
  }
  spare_file_ = OpenSpare();
  return file >= 0 || !IsShortage(error);
}

bool ConnectionAcceptor::IsFull() {
  if (connections_.most() < max_connections_) return false;
  const absl::Time begin = SteadyNow();
  if (begin < next_count_) return true;
  const bool is_full = connections_.Count() >= max_connections_;
  const absl::Time end = SteadyNow();
  next_count_ = end + (end - begin) * kCountShare;
  return is_full;
}

void ConnectionAcceptor::Refuse(int file, const char* why) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(file, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  ++refused_;  // before the other side can know
  close(file);
  ++untold_;
  const absl::Time now = SteadyNow();
  if (now < next_line_) return;
  spdlog::warn("refused {} connection{}: {}", untold_, untold_ == 1 ? "" : "s", why);
  untold_ = 0;
  next_line_ = now + kLinePeriod;
}

absl::Status ConnectionAcceptor::Knock(absl::Duration timeout) {
  const absl::Time deadline = SteadyNow() + timeout;
  const uint64_t before = accepted_;
  int file = Connect(sockets_.files().front());
  if (file < 0 && IsShortage(errno) && knock_spare_ >= 0) {
    close(std::exchange(knock_spare_, -1));
    file = Connect(sockets_.files().front());
  }
  const int error = errno;
  // Without a descriptor others may still be let in, or sent away.
  while (accepted_ == before && SteadyNow() < deadline) absl::SleepFor(kKnockPoll);
  if (file >= 0) close(file);
  if (knock_spare_ < 0) knock_spare_ = OpenSpare();
  if (accepted_ != before) return absl::OkStatus();
  if (file < 0) return absl::UnavailableError(absl::StrCat("cannot connect: ", std::strerror(error)));
  return absl::DeadlineExceededError("no connection is accepted");
}

}  // namespace kedge
