// Time as something that can be injected, so that a simulation runs the real code.
#ifndef KEDGE_COMMON_BASE_CLOCK_H_
#define KEDGE_COMMON_BASE_CLOCK_H_

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace kedge {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The time of its making plus what a steady clock has counted since: setting the machine's clock never looks like
// silence or like a deadline.
class RealClock : public Clock {
 public:
  absl::Time Now() const override { return start_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_start_); }

 private:
  const absl::Time start_ = absl::Now();
  const std::chrono::steady_clock::time_point steady_start_ = std::chrono::steady_clock::now();
};

// Stands still until it is moved. Thread-compatible.
class SimulatedClock : public Clock {
 public:
  absl::Time Now() const override { return now_; }
  void Advance(absl::Duration duration) { now_ += duration; }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1'000'000'000);
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_CLOCK_H_
