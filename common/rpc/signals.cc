// The two signals are blocked in every thread and read from a signalfd by one thread of our own: no code runs in a
// signal handler. After the first signal the thread stays for the second one, which means that somebody has lost
// patience with an orderly end.
//
// Tested by signals_test.cc.
#include "common/rpc/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "common/base/check.h"

namespace kedge {
namespace {

sigset_t OurSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

SignalWaiter::SignalWaiter(std::function<void(int)> on_first) {
  const sigset_t set = OurSignals();
  KEDGE_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  KEDGE_CHECK(signal_fd_ >= 0 && wake_fd_ >= 0);
  thread_ = std::thread([this, on_first = std::move(on_first)] { Watch(on_first); });
}

SignalWaiter::~SignalWaiter() {
  Stop();
  thread_.join();
  close(signal_fd_);
  close(wake_fd_);
}

void SignalWaiter::Watch(const std::function<void(int)>& on_first) {
  pollfd fds[2] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  while (!stopped_.load(std::memory_order_acquire)) {
    if (poll(fds, 2, -1) < 0) {
      KEDGE_CHECK(errno == EINTR);
      continue;
    }
    if ((fds[0].revents & POLLIN) == 0) continue;
    signalfd_siginfo info{};
    if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    if (signal() != 0) _exit(128 + number);
    if (on_first) on_first(number);
    signal_.store(number, std::memory_order_release);
    signal_.notify_all();
  }
}

int SignalWaiter::Wait() {
  signal_.wait(0, std::memory_order_acquire);
  return signal();
}

int SignalWaiter::signal() const {
  const int number = signal_.load(std::memory_order_acquire);
  return number > 0 ? number : 0;
}

void SignalWaiter::Stop() {
  stopped_.store(true, std::memory_order_release);
  int none = 0;
  signal_.compare_exchange_strong(none, -1, std::memory_order_acq_rel);
  signal_.notify_all();
  const uint64_t one = 1;
  KEDGE_CHECK(write(wake_fd_, &one, sizeof(one)) == sizeof(one));
}

void DieWithParent(int parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // The parent may have died before the line above.
  if (parent != 0 && getppid() != parent) kill(getpid(), SIGTERM);
}

void UnblockSignals() {
  const sigset_t set = OurSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace kedge
