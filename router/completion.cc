// Text passes the detokenizer (which holds back incomplete characters) and then the stop matcher (which holds back what
// may become a stop string); both let go of the rest at the end.
//
// Tested by completion_test.cc.
#include "router/completion.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace kedge {

using inference::v1::Completion;
using inference::v1::FinishReason;
using inference::v1::TokenLogprobs;

CompletionAssembler::CompletionAssembler(uint32_t index, const RouterRequest* request, const Tokenizer* tokenizer)
    : index_(index),
      request_(request),
      wants_text_(request->output_text || !request->stop.empty()),
      detokenizer_(tokenizer, request->skip_special_tokens),
      stop_matcher_(request->stop, request->include_stop_str_in_output) {}

void CompletionAssembler::AddText(const std::string& text) {
  if (request_->output_text) piece_.mutable_text()->append(text);
}

void CompletionAssembler::Push(const node::v1::Token& token) {
  KEDGE_CHECK(!finished_);
  ids_.push_back(token.id());
  // Not the detokenizer's either: a hidden anchor neither ends a character nor begins a text.
  if (token.id() == request_->hidden_id) return;
  ++piece_tokens_;
  if (request_->output_token_ids) piece_.add_token_ids(token.id());
  if (request_->logprobs.has_value()) {
    TokenLogprobs* logprobs = piece_.add_logprobs();
    logprobs->set_token_id(token.id());
    logprobs->set_logprob(token.logprob().logprob());
    logprobs->set_rank(token.logprob().rank());
    const int top = std::min(token.logprob().top_ids_size(), token.logprob().top_logprobs_size());
    for (int i = 0; i < top; ++i) {
      inference::v1::TopLogprob* rival = logprobs->add_top_logprobs();
      rival->set_token_id(token.logprob().top_ids(i));
      rival->set_logprob(token.logprob().top_logprobs(i));
    }
  }
  if (!wants_text_) return;
  AddText(stop_matcher_.Push(detokenizer_.Push(token.id())));
  if (stop_matcher_.matched()) Finish(inference::v1::FINISH_REASON_STOP);
}

void CompletionAssembler::FinishAtEndId(uint32_t id) {
  Finish(inference::v1::FINISH_REASON_STOP);
  if (!stop_matcher_.matched()) piece_.set_matched_token_id(id);
}

void CompletionAssembler::FinishAtLength() { Finish(inference::v1::FINISH_REASON_LENGTH); }

void CompletionAssembler::Finish(FinishReason reason) {
  KEDGE_CHECK(!finished_);
  finished_ = true;
  if (wants_text_ && !stop_matcher_.matched()) {
    AddText(stop_matcher_.Push(detokenizer_.Finish()));  // a stop string may consist of U+FFFD
    if (!stop_matcher_.matched()) AddText(stop_matcher_.Finish());
  }
  if (stop_matcher_.matched()) {
    reason = inference::v1::FINISH_REASON_STOP;
    piece_.set_matched_stop_str(stop_matcher_.matched_string());
  }
  piece_.set_finish_reason(reason);
}

std::optional<Completion> CompletionAssembler::TakePiece() {
  if (finished_) {
    if (std::exchange(finish_taken_, true)) return std::nullopt;
  } else {
    if (piece_tokens_ == 0) return std::nullopt;
    if (first_taken_) {
      if (piece_tokens_ < request_->stream_interval) return std::nullopt;
      if (piece_.text().empty() && piece_.token_ids().empty() && piece_.logprobs().empty()) return std::nullopt;
    }
  }
  first_taken_ = true;
  piece_tokens_ = 0;
  piece_.set_index(index_);
  Completion taken = std::move(piece_);
  piece_.Clear();  // a moved-from message is valid but unspecified
  return taken;
}

}  // namespace kedge
