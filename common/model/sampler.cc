// Sums run in a fixed order with our own exp and log, so that a draw does not depend on the machine: by id, or by
// (value, id) where the tail is cut and order is needed anyway. Tested by sampler_test.cc.
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
  double sum = 0;
  for (float logit : logits) sum += ExpDouble(logit - max);
  return max + LogDouble(sum);
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

// Draws from the softmax of values / temperature over what top-k, top-p and min-p leave.
uint32_t Draw(absl::Span<const float> values, const SamplingParams& params, double uniform) {
  std::vector<Candidate> candidates;
  candidates.reserve(values.size());
  for (uint32_t id = 0; id < values.size(); ++id) {
    if (values[id] > -std::numeric_limits<float>::infinity()) candidates.push_back({values[id], id});
  }
  if (candidates.empty()) return ArgMax(values);
  const bool cut = params.top_k > 0 || params.top_p < 1.0f || params.min_p > 0.0f;
  size_t keep = candidates.size();
  if (params.top_k > 0) keep = std::min<size_t>(keep, params.top_k);
  if (keep < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + keep, candidates.end(), Better);
    candidates.resize(keep);
  }
  if (cut) std::sort(candidates.begin(), candidates.end(), Better);
  const double best = cut ? candidates[0].logit : *std::max_element(values.begin(), values.end());

  std::vector<double> weights(candidates.size());
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    weights[i] = ExpDouble((double{candidates[i].logit} - best) / params.temperature);
    total += weights[i];
  }
  if (params.top_p < 1.0f) {
    double sum = 0;
    size_t count = 0;
    while (count < weights.size() && sum < params.top_p * total) sum += weights[count++];
    weights.resize(std::max<size_t>(count, 1));
    total = sum;
  }
  if (params.min_p > 0.0f) {
    size_t count = 1;
    while (count < weights.size() && weights[count] >= params.min_p * weights[0]) ++count;
    weights.resize(count);
    total = std::accumulate(weights.begin(), weights.end(), 0.0);
  }
  double target = uniform * total;
  for (size_t i = 0; i + 1 < weights.size(); ++i) {
    target -= weights[i];
    if (target < 0) return candidates[i].id;
  }
  return candidates[weights.size() - 1].id;
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
