// Time is a steady clock's, which setting the machine's clock does not move. Of SIGSTOP, or a machine that was
// suspended, it shows a try that took too long.
//
// Tested by watchdog_test.cc and tests/connections_test.py.
#include "common/rpc/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace kedge {

bool DoorJudge::GivesUp(const Try& tried) {
  const absl::Duration slack = period() / 4;
  const bool in_time = tried.begin - tried.due <= slack && tried.end - tried.begin <= period() + slack;
  if (tried.status.ok()) was_open_ = true;
  if (tried.status.ok() || !in_time) {
    failures_ = 0;
    return false;
  }
  if (failures_++ == 0) first_failure_ = tried.begin;
  return was_open_ && failures_ >= kTries && tried.end - first_failure_ >= limit_ - slack;
}

Watchdog::Watchdog(absl::Duration limit, Knock knock, std::function<void(const std::string&)> give_up)
    : judge_(limit), knock_(std::move(knock)), give_up_(std::move(give_up)), thread_([this] { Run(); }) {}

Watchdog::~Watchdog() {
  stopping_.Notify();
  thread_.join();
}

void Watchdog::Run() {
  absl::Time due = SteadyNow();
  while (!stopping_.WaitFor(due - SteadyNow())) {
    DoorJudge::Try tried{.due = due, .begin = SteadyNow()};
    tried.status = knock_(judge_.period());
    tried.end = SteadyNow();
    if (judge_.GivesUp(tried)) {
      give_up_(absl::StrCat("nobody has been let in here for ",
                            absl::FormatDuration(judge_.period() * DoorJudge::kTries), " (", tried.status.message(),
                            "): this process ends, to be started again"));
      return;
    }
    due = std::max(due + judge_.period(), tried.end);
  }
}

void Watchdog::EndProcess(const std::string& why) {
  spdlog::error("{}", why);
  spdlog::default_logger()->flush();
  _exit(1);
}

}  // namespace kedge
