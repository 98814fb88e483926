// Quantiles of measured values.
#ifndef KEDGE_BENCH_QUANTILE_H_
#define KEDGE_BENCH_QUANTILE_H_

#include <utility>
#include <vector>

namespace kedge {

// The value that a part `q` of `values` does not exceed, between neighbours by their distance; NaN if there are none.
// REQUIRES: 0 <= q <= 1.
double Quantile(std::vector<double> values, double q);

inline double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }

}  // namespace kedge

#endif  // KEDGE_BENCH_QUANTILE_H_
