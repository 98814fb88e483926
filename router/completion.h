// One completion on its way to the client: tokens in, pieces of text out.
#ifndef KEDGE_ROUTER_COMPLETION_H_
#define KEDGE_ROUTER_COMPLETION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/tokenizer/tokenizer.h"
#include "kedge/inference/v1/inference.pb.h"
#include "kedge/node/v1/node.pb.h"
#include "router/router_request.h"
#include "router/stop_matcher.h"

namespace kedge {

// Detokenizes, applies stop strings, and packs text, ids and log probabilities into messages. The ending token is in
// none of them; the tokens that spell a stop string are in all but the text. The request's hidden token is in none, and
// counts in ids() alone. Owned by one thread.
class CompletionAssembler {
 public:
  // Both must outlive this.
  CompletionAssembler(uint32_t index, const RouterRequest* request, const Tokenizer* tokenizer);

  // Takes the next token. Afterwards finished() is true if it completed a stop string.
  // REQUIRES: !finished(). An id that the tokenizer does not have is U+FFFD in the text.
  void Push(const node::v1::Token& token);
  // The completion ended. REQUIRES: !finished().
  void FinishAtEndId(uint32_t id);
  void FinishAtLength();

  bool finished() const { return finished_; }
  // All tokens so far: what another node needs to go on.
  const std::vector<uint32_t>& ids() const { return ids_; }

  // The next message if one is due: with the first token, then after stream_interval tokens if they have anything to
  // show, and at the end.
  std::optional<inference::v1::Completion> TakePiece();

 private:
  void AddText(const std::string& text);
  void Finish(inference::v1::FinishReason reason);

  const uint32_t index_;
  const RouterRequest* const request_;
  const bool wants_text_;  // to return it, or to look for stop strings
  Detokenizer detokenizer_;
  StopMatcher stop_matcher_;
  std::vector<uint32_t> ids_;
  inference::v1::Completion piece_;  // since the last message
  uint32_t piece_tokens_ = 0;
  bool first_taken_ = false;
  bool finished_ = false;
  bool finish_taken_ = false;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_COMPLETION_H_
