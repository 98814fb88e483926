// One policy beside full attention, on the same cases.
#ifndef KEDGE_EVAL_COMPARISON_H_
#define KEDGE_EVAL_COMPARISON_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "eval/results.h"
#include "eval/statistics.h"

namespace kedge {

inline constexpr char kFullName[] = "full";  // of the policy that the others are compared with

// Policies, questions and continued texts of all cases that both have. Clusters are texts, or documents.
struct Comparison {
  Measure asked, asked_full;          // questions
  Measure continued, continued_full;  // texts
  uint64_t lost = 0;                  // right under full attention alone
  uint64_t won = 0;                   // right under the policy alone
  double p = 1;                       // McNemarP
  double adjusted_p = 1;              // Holm's, over the policies but full attention
  Estimate points;                    // right answers, share of the policy less that of full attention, x 100
  Estimate loss;                      // of the right answer: nats more than under full attention, a question
  Estimate perplexity;                // of continued texts, × full attention's
};

using WantedCase = std::function<bool(const MeasuredCase&)>;

// Number of `full`. REQUIRES (of all that follows): it is among the policies.
uint32_t FullPolicy(const EvalResults& results);

// In the order of results.policies, over cases for which `wanted` is true.
std::vector<Comparison> ComparePolicies(const EvalResults& results, const WantedCase& wanted);

}  // namespace kedge

#endif  // KEDGE_EVAL_COMPARISON_H_
