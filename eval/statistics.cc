// Tested by statistics_test.cc.
#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace kedge {
namespace {

constexpr uint64_t kSeed = 20240814;

// By linear interpolation between the two nearest of the sorted values.
double Quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place), above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

double Ratio(const Cluster& total) { return total.weight > 0 ? total.sum / total.weight : std::nan(""); }

Cluster Plus(const Cluster& a, const Cluster& b) { return {a.sum + b.sum, a.weight + b.weight}; }

}  // namespace

double McNemarP(uint64_t lost, uint64_t won) {
  const double pairs = static_cast<double>(lost + won);
  double tail = 0;
  for (uint64_t k = 0; k <= std::min(lost, won); ++k) {
    const double kth = static_cast<double>(k);
    tail +=
        std::exp(std::lgamma(pairs + 1) - std::lgamma(kth + 1) - std::lgamma(pairs - kth + 1) - pairs * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

std::vector<double> HolmAdjusted(absl::Span<const double> p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double greatest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    greatest = std::max(greatest, p_values[order[i]] * static_cast<double>(order.size() - i));
    adjusted[order[i]] = std::min(1.0, greatest);
  }
  return adjusted;
}

Estimate ClusterBootstrap(absl::Span<const Cluster> clusters) {
  Estimate estimate{.value = Ratio(std::accumulate(clusters.begin(), clusters.end(), Cluster{}, Plus)),
                    .low = std::nan(""),
                    .high = std::nan("")};
  if (clusters.size() < 2) return estimate;
  std::mt19937_64 random(kSeed);
  std::vector<double> draws;
  for (int draw = 0; draw < kBootstrapDraws; ++draw) {
    Cluster total;
    for (size_t i = 0; i < clusters.size(); ++i) total = Plus(total, clusters[random() % clusters.size()]);
    if (total.weight > 0) draws.push_back(Ratio(total));
  }
  if (draws.empty()) return estimate;
  std::sort(draws.begin(), draws.end());
  estimate.low = Quantile(draws, 0.025);
  estimate.high = Quantile(draws, 0.975);
  return estimate;
}

}  // namespace kedge
