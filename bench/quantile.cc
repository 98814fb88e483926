// Tested by quantile_test.cc.
#include "bench/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"

namespace kedge {

double Quantile(std::vector<double> values, double q) {
  KEDGE_CHECK(q >= 0 && q <= 1);
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace kedge
