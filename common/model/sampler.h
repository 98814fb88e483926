// From logits to a token. Everything a choice depends on is an argument: no state is kept, so none has to travel when
// a request moves to another node.
#ifndef KEDGE_COMMON_MODEL_SAMPLER_H_
#define KEDGE_COMMON_MODEL_SAMPLER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/kernels/step.h"  // TokenChoice

namespace kedge {

struct SamplingParams {
  float temperature = 1.0f;         // 0: greedy
  float top_p = 1.0f;               // (0, 1]; 1: off
  uint32_t top_k = 0;               // 0: off
  float min_p = 0.0f;               // [0, 1]; 0: off
  float frequency_penalty = 0.0f;   // output
  float presence_penalty = 0.0f;    // output
  float repetition_penalty = 1.0f;  // prompt and output; 1: off
  std::map<uint32_t, float> logit_bias;
  uint64_t seed = 0;
  uint32_t completion_index = 0;
  uint32_t max_tokens = 0;
  uint32_t min_tokens = 0;
  std::vector<uint32_t> end_ids;     // sorted
  std::optional<uint32_t> logprobs;  // so many of the likeliest; unset: none

  bool IsEndId(uint32_t id) const;
};

// kInvalidArgument names the field ("sampling.top_p: ...") and the value unless all of them are what SampleToken can
// work with, and the lists no longer than they can be of use.
absl::Status CheckSampling(const SamplingParams& params, uint32_t vocab_size);

// Most log probabilities that may be asked for.
inline constexpr uint32_t kMaxLogprobs = 20;

// Of the unmodified logits.
struct Logprob {
  float logprob = 0;
  uint32_t rank = 0;  // from 1
  std::vector<uint32_t> top_ids;
  std::vector<float> top_logprobs;
};

struct SampledToken {
  uint32_t id = 0;
  std::optional<Logprob> logprob;  // if params.logprobs is set
};

// Chooses the token after `ids`, of which the first prompt_length are the prompt. Order of work: logit bias and
// min_tokens, repetition penalty (prompt and output), frequency and presence penalty (output), temperature, top-k,
// top-p, min-p. Ties go to the lower id. The random number is a function of (seed, completion_index, output position).
// Pure: the same arguments give the same token on every machine. REQUIRES: logits is not empty.
SampledToken SampleToken(absl::Span<const float> logits, const SamplingParams& params, absl::Span<const uint32_t> ids,
                         uint32_t prompt_length);

// How to choose the token at `position` of the answer where that takes its row's logits alone; nullopt where it takes
// more (penalties, biases, ends that may not come yet), or where the logits are to be told of: then SampleToken
// chooses.
std::optional<TokenChoice> ChoiceByLogitsAlone(const SamplingParams& params, uint32_t position);

// Natural log of softmax(logits)[id].
double LogProbability(absl::Span<const float> logits, uint32_t id);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_SAMPLER_H_
