// What steps cost on this machine, learnt from those that were taken.
#ifndef KEDGE_COMMON_ENGINE_STEP_COSTS_H_
#define KEDGE_COMMON_ENGINE_STEP_COSTS_H_

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace kedge {

// Some work of a device. `seen`: rows that attention reads, over all rows that are computed.
struct StepWork {
  double steps = 0;
  double rows = 0;
  double seen = 0;
};

// Rows [begin, end) of one request, in steps that they fill: each row sees those before it, but no more than `most`.
// `rows_per_step`: at least 1.
StepWork RowsOf(uint32_t begin, uint32_t end, uint32_t most, uint32_t rows_per_step);

// A step takes a base, so much for each row, and so much for each row that attention reads. Steps are averaged by kind
// (about as many rows, about as much seen by each), and the three prices are those which fit the kinds best, each kind
// counting alike: a thousand steps of one kind do not hide what ten of another have taught. What the kinds do not tell
// apart counts as base. All is multiplied by the pace: what the latest steps took, whatever their kind, beside what the
// prices say of them.
//
// The first steps of a process (cold caches, weights not read yet) are left out. One that takes very long, be it that
// the machine paused, moves an average that has begun by half at most; a machine that has become slow is believed after
// some steps. Owned by one thread.
class StepCosts {
 public:
  static constexpr int kFirstSteps = 3;   // left out
  static constexpr int kLeastSteps = 12;  // before anything is known

  // A step that took no time teaches nothing.
  void Record(uint32_t rows, uint64_t seen, absl::Duration took);

  bool known() const { return steps_ >= kLeastSteps; }
  // Zero as long as nothing is known.
  absl::Duration Of(const StepWork& work) const;
  // What a token takes in a step full of prompt rows, where no prompt is known.
  absl::Duration OfUsualToken(uint32_t rows_per_step) const;

 private:
  static constexpr int kSizes = 14;  // by powers of two of the rows
  static constexpr int kSpans = 8;   // by powers of four of what each row sees

  // Of one kind of steps.
  struct Average {
    double count = 0;
    double rows = 0;
    double seen = 0;
    double seconds = 0;
    int last = 0;  // step
    void Add(double more_rows, double more_seen, double more_seconds);
  };

  void Fit();

  std::array<Average, kSizes * kSpans> kinds_;
  int steps_ = 0;
  double pace_ = 1;
  std::array<double, 3> prices_{};  // seconds of a step, a row, a row that is seen
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_STEP_COSTS_H_
