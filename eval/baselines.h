// What others do with as many bytes: other rows in place of a policy's choice, or rows of fewer bits.
//
// The text of what is measured is that of a policy, or POLICY@BASELINE:
//
//   @random     the policy's budget goes to whole sequences in random order
//   @bm25       ... in the order of BM25 (Robertson et al., "Okapi at TREC-3", 1994; k1 = 1.2, b = 0.75): what a search
//               by the words of the question would keep
//   @oracle     ... to those that hold what the answer needs, which nobody knows; then to those that the policy chose
//   @streaming  ... to the latest rows, so that with the sinks this is StreamingLLM (Xiao et al., 2024) on a prompt
//               that was computed in full
//   @snapkv     ... to rows of each KV head's own, those that the latest rows attend to most (head_rows.h)
//   @chunkkv    ... to runs of rows of each layer's own (head_rows.h)
//   @kvzip      ... to rows of each KV head's own that repeating the prompt looks at (head_rows.h)
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

enum class RowChoice { kOwn, kRandom, kBm25, kOracle, kStreaming, kSnapKv, kChunkKv, kKvZip };

// Whether heads or layers have rows of their own.
inline bool HasHeadRows(RowChoice rows) {
  return rows == RowChoice::kSnapKv || rows == RowChoice::kChunkKv || rows == RowChoice::kKvZip;
}

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
    "POLICY@random, @bm25, @oracle, @streaming, @snapkv, @chunkkv and @kvzip put other rows in place of those that it "
    "chooses, as many; @int8, @int4 and @int2 round the values of its rows";

// Ids as text.
using TextOf = std::function<std::string(absl::Span<const uint32_t>)>;

// What is known of a case, and told to baselines.
struct KnownRows {
  absl::Span<const PositionRange> evidence;  // that hold what the answer needs
  // From here on the prompt is this case's alone: the question, where several are asked about one text. From n-1 on:
  // nothing is known.
  uint32_t own_begin = 0;
};

// The choice of the baseline, with no more rows than the policy's own: content.salient is that one. Where heads have
// other rows in the same places (HasHeadRows): the places. Pure: the random order is that of the prompt's ids.
std::vector<PositionRange> ChooseRows(RowChoice rows, const Content& content, const KnownRows& known,
                                      const TextOf& text_of);

}  // namespace kedge

#endif  // KEDGE_EVAL_BASELINES_H_
