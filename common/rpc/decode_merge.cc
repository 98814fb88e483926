// Tested by decode_merge_test.cc.
#include "common/rpc/decode_merge.h"

namespace kedge {

using node::v1::DecodeResponse;

bool MergeDecodeResponses(DecodeResponse* last, const DecodeResponse& next) {
  if (last->has_finished() || next.has_prefilled()) return false;
  if (last->tokens().empty()) last->set_first_index(next.first_index());
  last->mutable_tokens()->MergeFrom(next.tokens());
  if (next.has_finished()) *last->mutable_finished() = next.finished();
  return true;
}

}  // namespace kedge
