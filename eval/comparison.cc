// Tested by comparison_test.cc.
#include "eval/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "common/base/check.h"
#include "eval/eval_texts.h"

namespace kedge {
namespace {

using Clusters = std::map<std::string, Cluster>;  // by text

void Add(double sum, double weight, Cluster* cluster) {
  cluster->sum += sum;
  cluster->weight += weight;
}

Estimate Bootstrap(const Clusters& clusters) {
  std::vector<Cluster> values;
  for (const auto& [text, cluster] : clusters) values.push_back(cluster);
  return ClusterBootstrap(values);
}

template <typename Function>
Estimate Map(const Estimate& estimate, Function function) {
  return {function(estimate.value), function(estimate.low), function(estimate.high)};
}

// [cases]; null: not measured, or not wanted.
std::vector<const Outcome*> OutcomesOf(const EvalResults& results, uint32_t policy, const WantedCase& wanted) {
  std::vector<const Outcome*> outcomes(results.cases.size());
  for (const EvalRecord& record : results.records) {
    if (record.policy == policy && wanted(results.cases[record.made])) outcomes[record.made] = &record.outcome;
  }
  return outcomes;
}

Comparison Compare(const std::vector<MeasuredCase>& cases, const std::vector<const Outcome*>& full,
                   const std::vector<const Outcome*>& other) {
  Comparison comparison;
  Clusters points, loss, perplexity;
  for (size_t i = 0; i < cases.size(); ++i) {
    if (full[i] == nullptr || other[i] == nullptr) continue;
    const MeasuredCase& made = cases[i];
    const double more_loss = static_cast<double>(other[i]->loss - full[i]->loss) / kMillion;
    const bool is_text = made.form == kTextForm;
    (is_text ? comparison.continued : comparison.asked).Add(made, *other[i]);
    (is_text ? comparison.continued_full : comparison.asked_full).Add(made, *full[i]);
    if (is_text) {
      Add(more_loss, other[i]->tokens, &perplexity[made.text]);
      continue;
    }
    comparison.lost += full[i]->right && !other[i]->right;
    comparison.won += other[i]->right && !full[i]->right;
    Add(int{other[i]->right} - int{full[i]->right}, 1, &points[made.text]);
    if (other[i]->tokens > 0) Add(more_loss, 1, &loss[made.text]);
  }
  comparison.p = McNemarP(comparison.lost, comparison.won);
  comparison.points = Map(Bootstrap(points), [](double share) { return 100 * share; });
  comparison.loss = Bootstrap(loss);
  comparison.perplexity = Map(Bootstrap(perplexity), [](double nats) { return std::exp(nats); });
  return comparison;
}

}  // namespace

uint32_t FullPolicy(const EvalResults& results) {
  const auto full = std::find_if(results.policies.begin(), results.policies.end(),
                                 [](const MeasuredPolicy& policy) { return policy.name == kFullName; });
  KEDGE_CHECK(full != results.policies.end());
  return static_cast<uint32_t>(full - results.policies.begin());
}

std::vector<Comparison> ComparePolicies(const EvalResults& results, const WantedCase& wanted) {
  const uint32_t full = FullPolicy(results);
  const std::vector<const Outcome*> full_outcomes = OutcomesOf(results, full, wanted);
  std::vector<Comparison> comparisons;
  std::vector<double> p_values;
  for (uint32_t policy = 0; policy < results.policies.size(); ++policy) {
    comparisons.push_back(Compare(results.cases, full_outcomes, OutcomesOf(results, policy, wanted)));
    if (policy != full) p_values.push_back(comparisons.back().p);
  }
  const std::vector<double> adjusted = HolmAdjusted(p_values);
  for (uint32_t policy = 0, next = 0; policy < comparisons.size(); ++policy) {
    if (policy != full) comparisons[policy].adjusted_p = adjusted[next++];
  }
  return comparisons;
}

}  // namespace kedge
