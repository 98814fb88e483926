// What one policy made of one case, and sums of that, from which every figure of the report follows.
#ifndef KEDGE_EVAL_MEASURE_H_
#define KEDGE_EVAL_MEASURE_H_

#include <cstdint>
#include <string>

namespace kedge {

inline constexpr int64_t kMillion = 1000000;

// A case that was measured, whatever the policy.
struct MeasuredCase {
  std::string text;     // its name: cases of one text are not independent
  std::string kind;     // of the document
  uint32_t number = 0;  // in the text
  std::string form;
  uint32_t length = 0;      // nominal tokens of the prompt
  uint64_t full_rows = 0;   // n - 1
  uint64_t full_bytes = 0;  // of so many rows whose values are f16, whatever the rows measured are
  friend bool operator==(const MeasuredCase&, const MeasuredCase&) = default;
};

// In whole numbers, so that files hold it exactly.
struct Outcome {
  bool right = false;      // the answer has all that it should have
  uint32_t found = 0;      // millionths of what was asked for that the answer has
  bool same = false;       // the answer is full attention's, id for id
  int64_t loss = 0;        // millionths of a nat: -log probability of the right answer, or of a given text
  uint32_t tokens = 0;     // so many of it
  int64_t divergence = 0;  // millionths of a nat: KL of the policy from full attention, summed over these tokens
  uint32_t agreeing = 0;   // of them, those where their likeliest ids are equal
  uint64_t rows = 0;       // of State(n-1), which a prefill node would send
  uint64_t bytes = 0;      // as a segment, headers included
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

struct Measure {
  uint64_t cases = 0;
  uint64_t right = 0;
  double found = 0;  // cases
  uint64_t same = 0;
  double loss = 0;  // nats
  uint64_t tokens = 0;
  double divergence = 0;  // nats
  uint64_t agreeing = 0;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t full_rows = 0;
  uint64_t full_bytes = 0;

  void Add(const MeasuredCase& made, const Outcome& outcome);
};

// exp of the mean loss of a token. NaN where there are none.
double Perplexity(const Measure& measure);

}  // namespace kedge

#endif  // KEDGE_EVAL_MEASURE_H_
