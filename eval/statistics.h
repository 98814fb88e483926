// How much of a difference is chance: exact and resampling statistics of paired outcomes. Pure functions.
#ifndef KEDGE_EVAL_STATISTICS_H_
#define KEDGE_EVAL_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace kedge {

// McNemar's test, exact and two-sided: how likely `lost` and `won` of lost + won pairs that differ, or something
// further from half, would be if both ways were equally likely. 1 where none differs.
double McNemarP(uint64_t lost, uint64_t won);

// Holm's step-down adjustment (1979) of the p values of one family of tests, in their order.
std::vector<double> HolmAdjusted(absl::Span<const double> p_values);

// A ratio of sums over clusters: of what is not independent within a cluster and is between them.
struct Cluster {
  double sum = 0;
  double weight = 0;
};

struct Estimate {
  double value = 0;  // sum of sums / sum of weights; NaN where there is no weight
  double low = 0;    // of the 95 % interval; NaN with fewer than two clusters
  double high = 0;
};

inline constexpr int kBootstrapDraws = 10000;

// Cluster bootstrap, percentiles 2.5 and 97.5 of kBootstrapDraws draws of as many clusters with replacement (Efron and
// Tibshirani, 1993). The same clusters give the same interval everywhere: the seed is fixed.
Estimate ClusterBootstrap(absl::Span<const Cluster> clusters);

}  // namespace kedge

#endif  // KEDGE_EVAL_STATISTICS_H_
