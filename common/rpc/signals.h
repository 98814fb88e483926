// Ctrl-C, SIGTERM and a closed terminal as events instead of sudden death.
#ifndef KEDGE_COMMON_RPC_SIGNALS_H_
#define KEDGE_COMMON_RPC_SIGNALS_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// Catches SIGINT, SIGTERM and SIGHUP (the last one not under nohup) for as long as it lives. SIGPIPE and SIGXFSZ are
// ignored: a reader that is gone and a limit of the size of files show as failed writes.
// Make it first in a command, before other threads: they inherit that these signals are blocked. Thread-safe.
class StopSignals {
 public:
  // `on_signal` runs on a thread of this class for each signal, with its number; it must not block. May be empty.
  explicit StopSignals(std::function<void(int)> on_signal = {});
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Whether a signal has come.
  bool stopped() const ABSL_LOCKS_EXCLUDED(mutex_);
  // How many have come.
  int count() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns stopped(), at the latest after `timeout`.
  bool WaitFor(absl::Duration timeout) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Blocks until a signal has come; returns the number of the latest.
  int Wait() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Replaces `on_signal`; after it returns the former one does not run any more. If a signal has come already, the new
  // one runs with it at once, on this thread.
  void SetHandler(std::function<void(int)> on_signal) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Listen();

  sigset_t signals_;
  sigset_t former_mask_;
  int signal_file_ = -1;
  int quit_file_ = -1;  // readable once the destructor runs
  mutable absl::Mutex mutex_;
  mutable SteadyCondVar came_;
  int last_signal_ ABSL_GUARDED_BY(mutex_) = 0;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(int)> on_signal_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// The signals of a server's main: the first one asks for an orderly end; at a second one somebody has lost patience,
// and the process ends at once with exit status 128 + signal. Before StartServing there is
// nothing that needs an orderly end, and the first one ends the process at once, with status 0: a start may take long.
// Thread-safe.
class SignalWaiter {
 public:
  SignalWaiter();

  // From here on the first signal is an event.
  void StartServing() { serving_ = true; }
  // Blocks until the first signal; returns its number. REQUIRES: StartServing.
  int Wait() const { return signals_.Wait(); }

 private:
  std::atomic<bool> serving_ = false;
  StopSignals signals_;
};

// Asks the kernel to send this process SIGTERM when its parent dies, so that a launcher's children never outlive it.
// The kernel counts the *thread* that started this process: a launcher must start its children from a thread that
// lives as long as itself. If the parent has died before (`parent`: its process id as it was when this process was
// started; 0: unknown), this process is sent SIGTERM at once.
void DieWithParent(int parent = 0);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_SIGNALS_H_
