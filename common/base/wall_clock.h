// The machine's clock as it is now, for dates: it may be set at any time.
#ifndef KEDGE_COMMON_BASE_WALL_CLOCK_H_
#define KEDGE_COMMON_BASE_WALL_CLOCK_H_

#include "absl/time/clock.h"
#include "common/base/clock.h"

namespace kedge {

// Thread-safe.
class WallClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_WALL_CLOCK_H_
