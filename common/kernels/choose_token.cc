// Sums run in a fixed order with our own exp and log, so that a draw does not depend on the machine: by id, or by
// (value, id) where the tail is cut and order is needed anyway. A vocabulary is large beside a step of a small model,
// so what touches every token is one pass of plain arithmetic. Tested by common/model/sampler_test.cc.
#include "common/kernels/choose_token.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "common/kernels/elementary.h"

namespace kedge {
namespace {

struct Candidate {
  float logit;
  uint32_t id;
};

bool Better(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

// Uniform in [0, 1): splitmix64 over the three values (Steele et al., 2014).
double Uniform(uint64_t seed, uint64_t completion, uint64_t position) {
  uint64_t state = seed;
  for (uint64_t value : {completion, position}) {
    state += 0x9e3779b97f4a7c15u * (value + 1);
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
    state = (state ^ (state >> 27)) * 0x94d049bb133111ebu;
    state ^= state >> 31;
  }
  return static_cast<double>(state >> 11) * 0x1p-53;
}

uint32_t ArgMax(absl::Span<const float> logits) {
  return static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());  // the first of equals
}

// exp((logit - best) / temperature), in the order of the candidates.
std::vector<double> Weights(absl::Span<const Candidate> candidates, double best, double temperature) {
  std::vector<double> weights(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) weights[i] = (candidates[i].logit - best) / temperature;
  ExpEach(absl::MakeSpan(weights));
  return weights;
}

// Brings the best candidates whose weights reach `share` of the total to the front, in order, and drops the rest. Only
// as many are sorted as are needed.
void CutTopP(double share, double best, double temperature, std::vector<Candidate>* candidates) {
  const std::vector<double> all = Weights(*candidates, best, temperature);
  const double enough = share * std::accumulate(all.begin(), all.end(), 0.0);
  for (size_t head = 64;; head *= 8) {
    head = std::min(head, candidates->size());
    std::partial_sort(candidates->begin(), candidates->begin() + head, candidates->end(), Better);
    const std::vector<double> weights = Weights(absl::MakeConstSpan(*candidates).first(head), best, temperature);
    double sum = 0;
    size_t count = 0;
    while (count < head && sum < enough) sum += weights[count++];
    if (sum < enough && head < candidates->size()) continue;
    candidates->resize(std::max<size_t>(count, 1));
    return;
  }
}

// Draws from the softmax of values / temperature over what top-k, top-p and min-p leave. Tokens with less than e^-28 of
// the best one's weight, which would come up once in 10^12 draws, are left out first: of a large vocabulary that is
// most.
uint32_t Draw(absl::Span<const float> values, const TokenChoice& choice, double uniform) {
  constexpr double kNever = 28;
  const double best = *std::max_element(values.begin(), values.end());
  if (best == -std::numeric_limits<double>::infinity()) return 0;
  const float least = static_cast<float>(best - kNever * choice.temperature);
  std::vector<Candidate> candidates;
  candidates.reserve(values.size());
  for (uint32_t id = 0; id < values.size(); ++id) {
    if (values[id] >= least) candidates.push_back({values[id], id});
  }
  if (choice.top_k > 0 && choice.top_k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + choice.top_k, candidates.end(), Better);
    candidates.resize(choice.top_k);
    std::sort(candidates.begin(), candidates.end(), Better);
  }
  if (choice.top_p < 1.0f) CutTopP(choice.top_p, best, choice.temperature, &candidates);
  if (choice.min_p > 0.0f) {
    const double least_left = best + choice.temperature * LogDouble(choice.min_p);
    std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.logit < least_left; });
  }
  const std::vector<double> weights = Weights(candidates, best, choice.temperature);
  double target = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i + 1 < weights.size(); ++i) {
    target -= weights[i];
    if (target < 0) return candidates[i].id;
  }
  return candidates.back().id;
}

}  // namespace

uint32_t ChooseToken(absl::Span<const float> logits, const TokenChoice& choice) {
  // Extreme biases and penalties may overflow. What is forbidden stays at minus infinity.
  constexpr float kMost = std::numeric_limits<float>::max();
  std::vector<float> values(logits.begin(), logits.end());
  for (float& value : values) value = value < kMost ? value : kMost;
  if (choice.temperature <= 0.0f) return ArgMax(values);
  return Draw(values, choice, Uniform(choice.seed, choice.completion, choice.position));
}

}  // namespace kedge
