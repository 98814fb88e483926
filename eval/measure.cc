// Tested by results_test.cc.
#include "eval/measure.h"

#include <cmath>

namespace kedge {

void Measure::Add(const MeasuredCase& made, const Outcome& outcome) {
  constexpr double kPart = 1.0 / kMillion;
  ++cases;
  right += outcome.right;
  found += outcome.found * kPart;
  same += outcome.same;
  loss += static_cast<double>(outcome.loss) * kPart;
  tokens += outcome.tokens;
  divergence += static_cast<double>(outcome.divergence) * kPart;
  agreeing += outcome.agreeing;
  rows += outcome.rows;
  bytes += outcome.bytes;
  full_rows += made.full_rows;
  full_bytes += made.full_bytes;
}

double Perplexity(const Measure& measure) {
  return measure.tokens > 0 ? std::exp(measure.loss / static_cast<double>(measure.tokens)) : std::nan("");
}

}  // namespace kedge
