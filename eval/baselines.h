// What others do with as many bytes: other rows in place of a policy's choice, or rows of fewer bits.
//
// The text of what is measured is that of a policy, or POLICY@BASELINE:
//
//   @random     the policy's budget goes to whole sequences in random order
//   @bm25       ... in the order of BM25 (Robertson et al., "Okapi at TREC-3", 1994; k1 = 1.2, b = 0.75), where the
//               query is the beginning and the end of the last message: what a search by words would keep
//   @oracle     ... to those that hold what the answer needs, which nobody knows; then to those that the policy chose
//   @streaming  ... to the latest rows, so that with the sinks this is StreamingLLM (Xiao et al., 2024) on a prompt that
//               was computed in full
//   @int8, @int4, @int2   the rows that the policy keeps, their values rounded (rounding.h)
#ifndef KEDGE_EVAL_BASELINES_H_
#define KEDGE_EVAL_BASELINES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/policy.h"

namespace kedge {

enum class RowChoice { kOwn, kRandom, kBm25, kOracle, kStreaming };

struct EvalPolicy {
  std::string text;  // as it was asked for: its name in the report
  Policy policy;
  RowChoice rows = RowChoice::kOwn;
  int bits = 0;  // 0: values as they are
  // The policy's canonical text, and the baseline's.
  std::string Canonical() const;
};

// kInvalidArgument names the policy's key or the baseline; a choice in place of one that the policy does not make.
absl::StatusOr<EvalPolicy> ParseEvalPolicy(absl::string_view text, const PolicyNames& names);

inline constexpr char kBaselineHelp[] =
    "POLICY@random, @bm25, @oracle and @streaming put other rows in place of those that it chooses, as many; @int8, "
    "@int4 and @int2 round the values of its rows";

// Ids as text.
using TextOf = std::function<std::string(absl::Span<const uint32_t>)>;

// The choice of the baseline, with no more rows than the policy's own: content.salient is that one. `evidence`: the
// sequences that hold what the answer needs. Pure: the random order is that of the prompt's ids.
std::vector<PositionRange> ChooseRows(RowChoice rows, const Content& content, absl::Span<const PositionRange> evidence,
                                      const TextOf& text_of);

}  // namespace kedge

#endif  // KEDGE_EVAL_BASELINES_H_
