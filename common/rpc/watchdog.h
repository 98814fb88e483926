// Ends a process that lives and lets nobody in, so that whoever supervises it starts it again.
#ifndef KEDGE_COMMON_RPC_WATCHDOG_H_
#define KEDGE_COMMON_RPC_WATCHDOG_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace kedge {

// Decides when a door counts as shut: when it has been opened before, and then kTries in a row, each made in time,
// found it shut, for `limit` in all. A try that began or ended late shows that the process stood still, or has no
// processor: it says nothing of the door, and those before it count no more. Thread-compatible.
class DoorJudge {
 public:
  static constexpr int kTries = 3;

  explicit DoorJudge(absl::Duration limit) : limit_(limit) {}

  // Of each try: when it was to begin, when it did and how it ended.
  struct Try {
    absl::Time due;
    absl::Time begin;
    absl::Time end;
    absl::Status status;
  };
  // Returns whether to give up.
  bool GivesUp(const Try& tried);

  // From try to try, and how long one may take.
  absl::Duration period() const { return limit_ / kTries; }

 private:
  const absl::Duration limit_;
  bool was_open_ = false;
  int failures_ = 0;
  absl::Time first_failure_;
};

// Knocks every limit / kTries, on a thread of its own, until destruction.
class Watchdog {
 public:
  // Returns OK if somebody opened within the time given. Must return soon after it.
  using Knock = std::function<absl::Status(absl::Duration timeout)>;
  // `give_up` gets the line that says why, once, on this object's thread: in programs it is EndProcess.
  Watchdog(absl::Duration limit, Knock knock, std::function<void(const std::string& why)> give_up);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Logs `why` and ends the process at once, with exit status 1.
  [[noreturn]] static void EndProcess(const std::string& why);

 private:
  void Run();

  DoorJudge judge_;
  const Knock knock_;
  const std::function<void(const std::string&)> give_up_;
  SteadyNotification stopping_;
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_WATCHDOG_H_
