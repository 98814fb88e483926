// What one policy made of the cases of one text: sums, from which every figure of the report follows.
#ifndef KEDGE_EVAL_MEASURE_H_
#define KEDGE_EVAL_MEASURE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "eval/continuation.h"

namespace kedge {

struct Measure {
  uint64_t cases = 0;
  uint64_t right = 0;  // answers that contain what they should (recall)
  uint64_t same = 0;   // answers equal to full attention's, id for id (recall)
  // Positions where policy and full attention continue the same ids. Of an answer: up to the first id that differs.
  uint64_t positions = 0;
  uint64_t agreeing = 0;  // where their likeliest ids are equal
  double divergence = 0;  // nats, KL of the policy from full attention
  double surprise = 0;    // nats, -log probability of the given ids (text)
  uint64_t given = 0;     // so many of them
  // State(n-1), which a prefill node would send.
  uint64_t kept_rows = 0;
  uint64_t full_rows = 0;   // n - 1 each
  uint64_t bytes = 0;       // as a segment, headers included
  uint64_t full_bytes = 0;  // of the rows of a full cache in f16, whatever the KV type is

  Measure& operator+=(const Measure& other);
  friend bool operator==(const Measure&, const Measure&) = default;
};

// Ids as the text that a client would see.
using TextOf = std::function<std::string(absl::Span<const uint32_t>)>;

// Adds one case: what the policy and what full attention made of it. `answers`: empty for a given text.
// `f16_row_bytes`: of one row of the cache, were it in f16.
void AddCase(const Continuation& continuation, absl::Span<const std::string> answers, const Continued& full,
             const Continued& other, size_t f16_row_bytes, const TextOf& text_of, Measure* measure);

}  // namespace kedge

#endif  // KEDGE_EVAL_MEASURE_H_
