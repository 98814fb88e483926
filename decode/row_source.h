// Where a job's rows before its last token come from.
#ifndef KEDGE_DECODE_ROW_SOURCE_H_
#define KEDGE_DECODE_ROW_SOURCE_H_

#include <cstdint>

namespace kedge {

struct RowSourceQuery {
  uint32_t missing = 0;    // rows before the last token
  uint32_t stored = 0;     // of them, from the first on, that this node has
  bool candidates = true;  // there are prefill nodes to ask
};

struct RowSourceLimits {
  // Fewer rows than this are computed here, whatever is stored.
  uint32_t min_remote_tokens = 1;
  // Behind stored rows up to so many are computed here: a prefill node that has less of the text, an answer that was
  // written here for one, would compute more.
  uint32_t max_continued_tokens = 256;
};

// Pure. Whether this node computes what is not stored, instead of asking a prefill node for all rows.
bool ComputesHere(const RowSourceQuery& query, const RowSourceLimits& limits);

}  // namespace kedge

#endif  // KEDGE_DECODE_ROW_SOURCE_H_
