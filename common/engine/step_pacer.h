// How many rows a step may have.
#ifndef KEDGE_COMMON_ENGINE_STEP_PACER_H_
#define KEDGE_COMMON_ENGINE_STEP_PACER_H_

#include <cstdint>

#include "absl/time/time.h"

namespace kedge {

// Sizes steps by time: so many rows that a step takes about `target`. A step that is too long delays every request that
// joins, and every sign of life. A step takes a base, for reading the weights, and so much for each row: steps that are
// full or nearly so teach what rows cost, and smaller ones, of a few answers, where the base lies. Owned by one thread.
class StepPacer {
 public:
  StepPacer(absl::Duration target, uint32_t max_rows) : target_(target), max_rows_(max_rows) {}

  uint32_t budget() const;
  void Record(uint32_t rows, absl::Duration took);

 private:
  // Of recent steps.
  struct Average {
    double rows = 0;  // 0: there were none
    double seconds = 0;
    void Add(double more_rows, double more_seconds);
  };

  const absl::Duration target_;
  const uint32_t max_rows_;
  Average full_;   // of more rows than half the budget
  Average small_;  // of fewer
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STEP_PACER_H_
