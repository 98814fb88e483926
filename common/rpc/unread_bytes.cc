// Tested by unread_bytes_test.cc.
#include "common/rpc/unread_bytes.h"

namespace kedge {

// The sums count every exchange exactly, whoever else sets the same share; they may be read between two of them, where
// one connection more or less is judged a moment later.
void UnreadBytes::Share::Set(uint64_t bytes) {
  const uint64_t before = bytes_.exchange(bytes);
  all_->total_ += bytes - before;  // modulo 2^64, in which less is more as well
  if ((before > 0) != (bytes > 0)) all_->shares_ += bytes > 0 ? uint64_t{1} : ~uint64_t{0};
}

bool UnreadBytes::Share::IsTooMuch() const {
  const uint64_t total = all_->total_;
  return total > all_->limit_ && bytes_ >= total / (all_->shares_ > 0 ? all_->shares_.load() : 1);
}

}  // namespace kedge
