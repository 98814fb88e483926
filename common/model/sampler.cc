// What a request changes of its logits, and what it wants to know of them; the choice itself is choose_token.h.
// Tested by sampler_test.cc.
#include "common/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/kernels/choose_token.h"
#include "common/kernels/elementary.h"

namespace kedge {
namespace {

struct Candidate {
  float logit;
  uint32_t id;
};

bool Better(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

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
}

TokenChoice ChoiceAt(const SamplingParams& params, uint32_t position) {
  return {.temperature = params.temperature,
          .top_p = params.top_p,
          .min_p = params.min_p,
          .top_k = params.top_k,
          .seed = params.seed,
          .completion = params.completion_index,
          .position = position};
}

bool HasPenalties(const SamplingParams& params) {
  return params.repetition_penalty != 1.0f || params.frequency_penalty != 0.0f || params.presence_penalty != 0.0f;
}

// Whether the logits are to be changed for the token at `position` of the answer.
bool Adjusts(const SamplingParams& params, uint32_t position) {
  return HasPenalties(params) || !params.logit_bias.empty() ||
         (position < params.min_tokens && !params.end_ids.empty());
}

}  // namespace

absl::Status CheckSampling(const SamplingParams& params, uint32_t vocab_size) {
  const auto error = [](const auto&... parts) {
    return absl::InvalidArgumentError(absl::StrCat("sampling.", parts...));
  };
  const struct {
    absl::string_view name;
    float value;
    bool in_range;
    absl::string_view range;
  } numbers[] = {
      {"temperature", params.temperature, params.temperature >= 0, "at least 0"},
      {"top_p", params.top_p, params.top_p > 0 && params.top_p <= 1, "in (0, 1]"},
      {"min_p", params.min_p, params.min_p >= 0 && params.min_p <= 1, "in [0, 1]"},
      {"frequency_penalty", params.frequency_penalty, true, "finite"},
      {"presence_penalty", params.presence_penalty, true, "finite"},
      {"repetition_penalty", params.repetition_penalty, params.repetition_penalty > 0, "above 0"},
  };
  for (const auto& [name, value, in_range, range] : numbers) {
    if (!std::isfinite(value) || !in_range) return error(name, ": is ", value, "; must be ", range);
  }
  for (const auto& [id, bias] : params.logit_bias) {
    if (id >= vocab_size) {
      return error("logit_bias[", id, "]: the id is not below the vocabulary's size ", vocab_size);
    }
    if (!std::isfinite(bias)) return error("logit_bias[", id, "]: is not finite");
  }
  for (size_t i = 1; i < params.end_ids.size(); ++i) {
    if (params.end_ids[i] <= params.end_ids[i - 1]) return error("end_ids[", i, "]: is not above the one before");
  }
  if (params.logprobs.value_or(0) > kMaxLogprobs) {
    return error("logprobs: is ", *params.logprobs, "; must be at most ", kMaxLogprobs);
  }
  return absl::OkStatus();
}

bool SamplingParams::IsEndId(uint32_t id) const { return std::binary_search(end_ids.begin(), end_ids.end(), id); }

std::optional<TokenChoice> ChoiceByLogitsAlone(const SamplingParams& params, uint32_t position) {
  if (Adjusts(params, position) || params.logprobs.has_value()) return std::nullopt;
  return ChoiceAt(params, position);
}

double LogProbability(absl::Span<const float> logits, uint32_t id) { return logits[id] - LogSumExp(logits); }

SampledToken SampleToken(absl::Span<const float> logits, const SamplingParams& params, absl::Span<const uint32_t> ids,
                         uint32_t prompt_length) {
  const uint32_t position = static_cast<uint32_t>(ids.size()) - prompt_length;
  const TokenChoice choice = ChoiceAt(params, position);
  SampledToken token;
  if (Adjusts(params, position)) {
    std::vector<float> values(logits.begin(), logits.end());
    Adjust(params, ids, prompt_length, &values);
    token.id = ChooseToken(values, choice);
  } else {
    token.id = ChooseToken(logits, choice);
  }
  if (params.logprobs.has_value()) token.logprob = MakeLogprob(logits, token.id, *params.logprobs);
  return token;
}

}  // namespace kedge
