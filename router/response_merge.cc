// Pieces of one completion are joined; counts and the like replace earlier ones.
//
// Tested by response_merge_test.cc.
#include "router/response_merge.h"

#include <algorithm>
#include <utility>

namespace kedge {

using inference::v1::Completion;
using inference::v1::GenerateStreamResponse;

void MergeResponse(GenerateStreamResponse next, GenerateStreamResponse* message) {
  for (Completion& piece : *next.mutable_completions()) {
    auto& completions = *message->mutable_completions();
    const auto same = std::find_if(completions.begin(), completions.end(),
                                   [&](const Completion& completion) { return completion.index() == piece.index(); });
    if (same == completions.end()) {
      *completions.Add() = std::move(piece);
    } else {
      // MergeFrom would replace the text.
      same->mutable_text()->append(piece.text());
      piece.clear_text();
      same->MergeFrom(piece);
    }
  }
  next.clear_completions();
  // Not MergeFrom for the rest: it would keep fields of the old value where the new one has a zero.
  message->set_request_id(next.request_id());
  if (!next.model().empty()) message->set_model(next.model());
  if (next.has_usage()) *message->mutable_usage() = std::move(*next.mutable_usage());
  if (next.has_timings()) *message->mutable_timings() = std::move(*next.mutable_timings());
  if (next.has_provenance()) *message->mutable_provenance() = std::move(*next.mutable_provenance());
  if (!next.prompt_pieces().empty()) message->mutable_prompt_pieces()->Swap(next.mutable_prompt_pieces());
}

}  // namespace kedge
