// Time as something that can be injected, so that a simulation runs the real code.
#ifndef KEDGE_COMMON_BASE_CLOCK_H_
#define KEDGE_COMMON_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace kedge {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class RealClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
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
