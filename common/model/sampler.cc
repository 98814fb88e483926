// Sums run in a fixed order with our own exp and log, so that a draw does not depend on the machine: by id, or by
// (value, id) where the tail is cut and order is needed anyway. A vocabulary is large beside a step of a small model,
// so what touches every token is one pass of plain arithmetic. Tested by sampler_test.cc.
#include "common/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

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

double LogSumExp(absl::Span<const float> logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) weights[i] = logits[i] - max;
  ExpEach(absl::MakeSpan(weights));
  return max + LogDouble(std::accumulate(weights.begin(), weights.end(), 0.0));
}

Logprob MakeLogprob(absl::Span<const float> logits, uint32_t id, uint32_t count) {
  const double norm = LogSumExp(logits);
  Logprob result{.logprob = static_cast<float>(logits[id] - norm), .rank = 1};
  for (uint32_t other = 0; other < logits.size(); ++other) {
    result.rank += Better({logits[other], other}, {logits[id], id});
  }
  count = std::min<uint32_t>(count, static_cast<uint32_t>(logits.size()));
  result.top_ids.resize(logits.size());
  std::iota(result.top_ids.begin(), result.top_ids.end(), 0u);
  std::partial_sort(result.top_ids.begin(), result.top_ids.begin() + count, result.top_ids.end(),
                    [&](uint32_t a, uint32_t b) {
                      return Better({logits[a], a}, {logits[b], b});
                    });
  result.top_ids.resize(count);
  for (uint32_t top : result.top_ids) result.top_logprobs.push_back(static_cast<float>(logits[top] - norm));
  return result;
}

// Bias, forbidden ends and penalties. `values` starts as a copy of the logits.
void Adjust(const SamplingParams& params, absl::Span<const uint32_t> ids, uint32_t prompt_length,
            std::vector<float>* values) {
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < values->size()) (*values)[id] += bias;
  }
  if (ids.size() - prompt_length < params.min_tokens) {
    for (uint32_t id : params.end_ids) {
      if (id < values->size()) (*values)[id] = -std::numeric_limits<float>::infinity();
    }
  }
  if (params.repetition_penalty != 1.0f) {
    std::vector<uint32_t> seen(ids.begin(), ids.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (uint32_t id : seen) {
      float& value = (*values)[id];
      value = value > 0 ? value / params.repetition_penalty : value * params.repetition_penalty;
    }
  }
  if (params.frequency_penalty != 0.0f || params.presence_penalty != 0.0f) {
    std::map<uint32_t, uint32_t> counts;
    for (uint32_t id : ids.subspan(prompt_length)) ++counts[id];
    for (const auto& [id, count] : counts) {
      (*values)[id] -= params.frequency_penalty * static_cast<float>(count) + params.presence_penalty;
    }
  }
  // Extreme penalties may overflow. What is forbidden stays at minus infinity; nothing else may be infinite or NaN.
  constexpr float kMost = std::numeric_limits<float>::max();
  for (float& value : *values) {
    if (!(value <= kMost)) value = kMost;
  }
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
uint32_t Draw(absl::Span<const float> values, const SamplingParams& params, double uniform) {
  constexpr double kNever = 28;
  const double best = *std::max_element(values.begin(), values.end());
  if (best == -std::numeric_limits<double>::infinity()) return ArgMax(values);
  const float least = static_cast<float>(best - kNever * params.temperature);
  std::vector<Candidate> candidates;
  candidates.reserve(values.size());
  for (uint32_t id = 0; id < values.size(); ++id) {
    if (values[id] >= least) candidates.push_back({values[id], id});
  }
  if (params.top_k > 0 && params.top_k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + params.top_k, candidates.end(), Better);
    candidates.resize(params.top_k);
    std::sort(candidates.begin(), candidates.end(), Better);
  }
  if (params.top_p < 1.0f) CutTopP(params.top_p, best, params.temperature, &candidates);
  if (params.min_p > 0.0f) {
    const double least_left = best + params.temperature * LogDouble(params.min_p);
    std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.logit < least_left; });
  }
  const std::vector<double> weights = Weights(candidates, best, params.temperature);
  double target = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i + 1 < weights.size(); ++i) {
    target -= weights[i];
    if (target < 0) return candidates[i].id;
  }
  return candidates.back().id;
}

}  // namespace

bool SamplingParams::IsEndId(uint32_t id) const { return std::binary_search(end_ids.begin(), end_ids.end(), id); }

double LogProbability(absl::Span<const float> logits, uint32_t id) { return logits[id] - LogSumExp(logits); }

SampledToken SampleToken(absl::Span<const float> logits, const SamplingParams& params, absl::Span<const uint32_t> ids,
                         uint32_t prompt_length) {
  std::vector<float> values(logits.begin(), logits.end());
  Adjust(params, ids, prompt_length, &values);
  SampledToken token;
  token.id = params.temperature <= 0.0f
                 ? ArgMax(values)
                 : Draw(values, params, Uniform(params.seed, params.completion_index, ids.size() - prompt_length));
  if (params.logprobs.has_value()) token.logprob = MakeLogprob(logits, token.id, *params.logprobs);
  return token;
}

}  // namespace kedge
