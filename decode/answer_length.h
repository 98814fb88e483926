// How long answers get.
#ifndef KEDGE_DECODE_ANSWER_LENGTH_H_
#define KEDGE_DECODE_ANSWER_LENGTH_H_

#include <algorithm>
#include <cstdint>

namespace kedge {

// Clients say at most how many tokens they want, and most answers end before: what share of it those had that ended of
// late. Until one has, all of it: a node that promises too little refuses what it could have served for a few answers
// at most, one that promises too much misses many. Owned by one thread.
class AnswerLength {
 public:
  // An answer ended after `tokens`.
  void Record(uint32_t tokens, uint32_t max_tokens) {
    if (max_tokens > 0) share_ += kNewShare * (std::min(1.0, static_cast<double>(tokens) / max_tokens) - share_);
  }
  // Tokens still to come of an answer that has `tokens` already; at least one.
  double Left(uint32_t tokens, uint32_t max_tokens) const { return std::max(1.0, share_ * max_tokens - tokens); }

 private:
  static constexpr double kNewShare = 0.1;  // of the latest answer
  double share_ = 1;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_ANSWER_LENGTH_H_
