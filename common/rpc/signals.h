// SIGINT and SIGTERM as something that a main waits for.
#ifndef KEDGE_COMMON_RPC_SIGNALS_H_
#define KEDGE_COMMON_RPC_SIGNALS_H_

#include <atomic>
#include <functional>
#include <thread>

namespace kedge {

// Takes SIGINT and SIGTERM away from their default actions. Make it first in main, before any thread: threads made
// earlier would still die of the signals. A second signal ends the process at once with exit status 128 + signal.
// One per process. Wait and Stop are thread-safe.
class SignalWaiter {
 public:
  // `on_first` runs with the signal's number, on the waiter's thread.
  explicit SignalWaiter(std::function<void(int signal)> on_first = nullptr);
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  // Blocks until the first signal, or Stop(); returns the signal's number, or 0.
  int Wait();
  // The first signal so far; 0 if there was none.
  int signal() const;
  // Makes Wait return, for a main that ends for another reason.
  void Stop();

 private:
  void Watch(const std::function<void(int)>& on_first);

  int wake_fd_ = -1;             // eventfd: ends the thread
  int signal_fd_ = -1;
  // 0: none yet; -1: stopped. Acquire/release: what on_first did is visible to who sees the number.
  std::atomic<int> signal_{0};
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

// Asks the kernel to send this process SIGTERM when its parent dies, so that a launcher's children never outlive it.
// The kernel counts the *thread* that started this process: a launcher must start its children from a thread that
// lives as long as itself. If the parent has died before (`parent`: its process id as it was when this process was
// started; 0: unknown), this process is sent SIGTERM at once.
void DieWithParent(int parent = 0);

// In a child between fork and exec, or before posix_spawn: programs that we start must not inherit blocked signals.
void UnblockSignals();

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_SIGNALS_H_
