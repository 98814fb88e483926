// Tested by row_source_test.cc.
#include "decode/row_source.h"

namespace kedge {

bool ComputesHere(const RowSourceQuery& query, const RowSourceLimits& limits) {
  const uint32_t rest = query.missing - query.stored;
  if (!query.candidates || rest == 0 || rest < limits.min_remote_tokens) return true;
  return query.stored > 0 && rest <= limits.max_continued_tokens;
}

}  // namespace kedge
