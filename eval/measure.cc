// Tested by measure_test.cc.
#include "eval/measure.h"

#include <algorithm>

#include "eval/agreement.h"
#include "eval/recall_cases.h"

namespace kedge {

Measure& Measure::operator+=(const Measure& other) {
  cases += other.cases;
  right += other.right;
  same += other.same;
  positions += other.positions;
  agreeing += other.agreeing;
  divergence += other.divergence;
  surprise += other.surprise;
  given += other.given;
  kept_rows += other.kept_rows;
  full_rows += other.full_rows;
  bytes += other.bytes;
  full_bytes += other.full_bytes;
  return *this;
}

void AddCase(const Continuation& continuation, absl::Span<const std::string> answers, const Continued& full,
             const Continued& other, size_t f16_row_bytes, const TextOf& text_of, Measure* measure) {
  ++measure->cases;
  const uint64_t rows = continuation.prompt.size() - 1;
  measure->full_rows += rows;
  measure->full_bytes += rows * f16_row_bytes;
  measure->kept_rows += other.state_rows;
  measure->bytes += other.state_bytes;
  for (size_t i = 0; i < std::min(full.ids.size(), other.ids.size()); ++i) {
    ++measure->positions;
    if (Likeliest(full.logprobs[i]) == Likeliest(other.logprobs[i])) ++measure->agreeing;
    measure->divergence += Divergence(full.logprobs[i], other.logprobs[i]);
    if (full.ids[i] != other.ids[i]) break;  // from here on they follow other ids
  }
  for (size_t i = 0; i < continuation.given.size(); ++i) {
    ++measure->given;
    measure->surprise -= other.logprobs[i][continuation.given[i]];
  }
  if (!continuation.given.empty()) return;
  if (other.ids == full.ids) ++measure->same;
  const std::string reply = text_of(other.ids);
  if (std::all_of(answers.begin(), answers.end(),
                  [&](const std::string& answer) { return ContainsAnswer(reply, answer); })) {
    ++measure->right;
  }
}

}  // namespace kedge
