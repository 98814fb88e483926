// What a refusal has taught about a node.
#ifndef KEDGE_COMMON_BASE_FULL_NOTE_H_
#define KEDGE_COMMON_BASE_FULL_NOTE_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/error_reason.h"

namespace kedge {

inline constexpr absl::Duration kLeastRetry = absl::Milliseconds(20);  // a client that comes back at once is no help
inline constexpr absl::Duration kLongestNote = absl::Seconds(5);       // a queue may be cancelled, or a node start anew

// A node refused a request and said when there will be room. Before that it need not be asked again for one that is no
// easier: not shorter, and with as little time left. One that is easier may get in at once.
struct FullNote {
  absl::Time until = absl::InfinitePast();
  absl::Duration time_left = absl::InfiniteDuration();  // that the request had
  uint32_t tokens = 0;                                  // of it

  bool Covers(absl::Time now, absl::Duration other_time_left, uint32_t other_tokens) const {
    // Clients of one kind have the same time, and what of it is left when a node is asked differs by chance.
    const absl::Duration as_little = time_left + std::min(0.02 * time_left, absl::Milliseconds(100));
    return now < until && other_time_left <= as_little && other_tokens >= tokens;
  }
};

// What `refusal`, which names `room`, has taught: it came now, for a request of so many tokens which had so much time
// left when the node was asked. One for want of time says nothing of requests that have more.
inline FullNote NoteOf(const absl::Status& refusal, absl::Duration room, absl::Time now, absl::Duration time_left,
                       uint32_t tokens) {
  FullNote note{.until = now + std::min(room, kLongestNote)};
  if (ReasonOf(refusal) == kDeadlineTooShort) {
    note.time_left = time_left;
    note.tokens = tokens;
  }
  return note;
}

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_FULL_NOTE_H_
