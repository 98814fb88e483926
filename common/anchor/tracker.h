// Follows the rows of one request and says of each what the policy makes of it: pure arithmetic on ids.
#ifndef KEDGE_COMMON_ANCHOR_TRACKER_H_
#define KEDGE_COMMON_ANCHOR_TRACKER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/policy.h"

namespace kedge {

// What the policy says of row i. A request has two lists of rows: R, the recent ones, by position, and K, every kept
// row in position order. Row i reads R[recent_begin, i] and K[0, kept_end): two spans, and no mask anywhere.
struct RowRule {
  uint32_t position = 0;      // i
  bool closes = false;        // acts as an anchor
  bool kept = false;          // has a row in K, with index `kept_index`
  uint32_t kept_index = 0;
  uint32_t recent_begin = 0;  // lo(i)
  uint32_t kept_end = 0;      // how many rows of K it sees: those with position < lo(i); for an anchor with view=own
                              // the sinks among them

  friend bool operator==(const RowRule&, const RowRule&) = default;
};

// State(p): all that row p or a later one can ever see of the rows before p. Each row once, in position order:
// `kept`, the rows of K with position < recent_begin, then positions recent_begin .. end-1 of R.
struct StateShape {
  std::vector<uint32_t> kept;  // positions
  uint32_t recent_begin = 0;   // lo(p)
  uint32_t end = 0;            // p
  size_t num_rows() const { return kept.size() + (end - recent_begin); }
};

// Owned by one thread. Copyable: a copy goes on from where the original stands.
class AnchorTracker {
 public:
  // `policy` must outlive this.
  explicit AnchorTracker(const Policy* policy);

  // Takes the next row. `no_anchor`: this row never acts as an anchor (see PromptTokens::no_anchor); where it would be
  // the `longest`-th of its sequence, the next one that may is it.
  RowRule Next(uint32_t token, bool no_anchor = false);

  // Rows taken so far: the next row's position p.
  uint32_t position() const { return position_; }
  // lo(p) of the next row, known before its token is.
  uint32_t next_recent_begin() const;
  // Positions of every row of K so far.
  const std::vector<uint32_t>& kept_positions() const { return kept_positions_; }
  // State(position()).
  StateShape State() const;
  // Rows in the open sequence so far (0 where there are no sequences).
  uint32_t open_rows() const;

 private:
  const Policy* policy_;
  uint32_t position_ = 0;
  uint32_t sequence_begin_ = 0;
  std::vector<uint32_t> kept_positions_;
  uint32_t kept_before_lo_ = 0;  // rows of K with position < lo of the latest row
};

// The most rows of R and of K that a request can hold at once: what a node reserves before it asks for anything.
// Prompt `tokens` are computed or received in pieces of at most `chunk` rows, then up to `max_new` rows follow whose
// ids are not known. A pure function of its arguments, and an upper bound.
struct RowNeeds {
  uint64_t recent = 0;
  uint64_t kept = 0;
};
RowNeeds RowsNeeded(const Policy& policy, absl::Span<const uint32_t> tokens, const std::vector<bool>& no_anchor,
                    uint32_t chunk, uint32_t max_new);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_TRACKER_H_
