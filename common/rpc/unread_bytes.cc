// Tested by unread_bytes_test.cc.
#include "common/rpc/unread_bytes.h"

#include <algorithm>

namespace kedge {

// The sums count every exchange exactly, whoever else sets the same share; they may be read between two of them, where
// one connection more or less is judged a moment later.
void UnreadBytes::Share::Set(uint64_t bytes) {
  if (bytes_ == bytes) return;  // as of nearly all that is received
  const uint64_t before = bytes_.exchange(bytes);
  all_->total_ += bytes - before;  // modulo 2^64, in which less is more as well
  if ((before > 0) != (bytes > 0)) all_->shares_ += bytes > 0 ? uint64_t{1} : ~uint64_t{0};
}

bool UnreadBytes::Share::IsTooMuch() const {
  const uint64_t shares = std::max<uint64_t>(all_->shares_, 1), bytes = bytes_;
  return bytes > 0 && all_->total_ > all_->limit_ && bytes >= all_->limit_ / shares;
}

}  // namespace kedge
