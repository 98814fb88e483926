// The signals are blocked everywhere and read by one thread from a signalfd, so handlers are ordinary code. Blocked
// signals reach a signalfd also where a shell started us with SIGINT ignored (`kedge up &` in a script).
//
// Tested by signals_test.cc.
#include "common/rpc/signals.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "common/base/check.h"

namespace kedge {

StopSignals::StopSignals(std::function<void(int)> on_signal) : on_signal_(std::move(on_signal)) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  struct sigaction hang_up;
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) sigaddset(&signals_, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals_, &former_mask_);
  signal_file_ = signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK);
  quit_file_ = eventfd(0, EFD_CLOEXEC);
  KEDGE_CHECK(signal_file_ >= 0 && quit_file_ >= 0);
  thread_ = std::thread([this] { Listen(); });
}

StopSignals::~StopSignals() {
  uint64_t one = 1;
  KEDGE_CHECK(write(quit_file_, &one, sizeof(one)) == sizeof(one));
  thread_.join();
  close(signal_file_);
  close(quit_file_);
  // What is still pending came while we were stopping anyway: it must not kill the process between here and its exit.
  timespec now = {};
  while (sigtimedwait(&signals_, nullptr, &now) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

bool StopSignals::stopped() const {
  absl::MutexLock lock(&mutex_);
  return last_signal_ != 0;
}

int StopSignals::count() const {
  absl::MutexLock lock(&mutex_);
  return count_;
}

bool StopSignals::WaitFor(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  auto has_stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return last_signal_ != 0; };
  return came_.Await(&mutex_, timeout, has_stopped);
}

int StopSignals::Wait() const {
  WaitFor(absl::InfiniteDuration());
  absl::MutexLock lock(&mutex_);
  return last_signal_;
}

void StopSignals::SetHandler(std::function<void(int)> on_signal) {
  absl::MutexLock lock(&mutex_);
  on_signal_ = std::move(on_signal);
  if (last_signal_ != 0 && on_signal_) on_signal_(last_signal_);
}

void StopSignals::Listen() {
  while (true) {
    pollfd files[2] = {{signal_file_, POLLIN, 0}, {quit_file_, POLLIN, 0}};
    if (poll(files, 2, -1) < 0 && errno != EINTR) return;
    if (files[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signal_file_, &info, sizeof(info)) != sizeof(info)) continue;
    absl::MutexLock lock(&mutex_);
    last_signal_ = static_cast<int>(info.ssi_signo);
    ++count_;
    came_.SignalAll();
    if (on_signal_) on_signal_(last_signal_);
  }
}

SignalWaiter::SignalWaiter()
    : signals_([this, is_second = false](int signal) mutable {
        if (!serving_) _exit(0);
        if (is_second) _exit(128 + signal);
        is_second = true;
      }) {}

void DieWithParent(int parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // The parent may have died before the line above.
  if (parent != 0 && getppid() != parent) kill(getpid(), SIGTERM);
}

}  // namespace kedge
