// Follows the rows of one request and says of each what its policy makes of it: pure arithmetic on ids.
#ifndef KEDGE_COMMON_ANCHOR_TRACKER_H_
#define KEDGE_COMMON_ANCHOR_TRACKER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "common/anchor/content.h"

namespace kedge {

// What the policy says of row i. A request has two lists of rows: R, the recent ones, by position, and K, every kept
// row in position order. Row i reads R[recent_begin, i] and K[0, kept_end): two spans, and no mask anywhere.
//
// Under `prefill=full` the rows 0..n-2 of a prompt of n rows read all of R and K is empty; then, before row n-1, Reduce
// fills K once with all of their rows that are kept.
struct RowRule {
  uint32_t position = 0;  // i
  bool closes = false;    // acts as an anchor
  bool kept = false;      // has a row in K, with index `kept_index`
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
  // `content` must outlive this; ids may be appended to it meanwhile.
  explicit AnchorTracker(const Content* content);

  // Takes the next row. One that never acts as an anchor (Content::no_anchor_positions) may be the `longest`-th of its
  // sequence; then the next one that may is it. REQUIRES: position() < content.ids.size() and !reduces_next().
  RowRule Next();

  // `prefill=full`: rows 0..n-2 have been taken, and Reduce must come before the next one.
  bool reduces_next() const { return !reduced_ && position_ + 1 == content_->prompt_length; }
  // Nothing is left to reduce.
  bool reduced() const { return reduced_; }
  // Fills K. Where no salient choice has been made yet, none of its rows are in K: good for bounds alone.
  // REQUIRES: reduces_next().
  void Reduce();

  // Takes rows up to `end`, and reduces where it is time, at `end` too. REQUIRES: position() <= end <= ids.size().
  void AdvanceTo(uint32_t end);

  // --- A row of the answer before its id is known ---
  // Whether the next row's rule is known without its id. Not where an id may close a sequence whose closing row sees
  // less (view=own).
  bool KnowsNext() const;
  // Takes it. If it may turn out to be kept it has the place in K that is next: should it not be kept, so has the next
  // one. Before any other row, one of the two below. REQUIRES: position() == content.ids.size(), KnowsNext().
  RowRule NextUnknown();
  // Its id has come.
  void Confirm();
  // As if it had not been taken.
  void TakeBack();

  // Rows taken so far: the next row's position p.
  uint32_t position() const { return position_; }
  // lo(p) of the next row, known before its token is.
  uint32_t next_recent_begin() const;
  // Positions of every row of K so far.
  const std::vector<uint32_t>& kept_positions() const { return kept_positions_; }
  // State(position()). REQUIRES: under `prefill=full`, position() >= n-1 and !reduces_next().
  StateShape State() const;
  // Rows in the open sequence so far (0 where there are no sequences).
  uint32_t open_rows() const;

 private:
  bool Keeps(uint32_t position, bool closes) const;
  bool MayCloseById() const;
  bool ClosesByLength() const;
  RowRule Take(bool closes);

  // What a row changes that is taken before its id is known.
  struct Unknown {
    uint32_t sequence_begin = 0;
    uint32_t kept_before_lo = 0;
    size_t kept = 0;
    bool may_close = false;  // by its id
    bool may_keep = false;   // if so
  };

  const Content* content_;
  uint32_t position_ = 0;
  uint32_t sequence_begin_ = 0;
  bool reduced_;                             // there is nothing (more) to reduce
  std::optional<uint32_t> written_begin_;    // `write=full`, of rows n and later: lo(n-1)
  std::vector<uint32_t> closing_positions_;  // before the reduction
  std::vector<uint32_t> kept_positions_;
  uint32_t kept_before_lo_ = 0;  // rows of K with position < lo of the latest row
  std::optional<Unknown> unknown_;
};

// The most rows of R and of K that a request can hold at once: what a node reserves before it asks for anything. Rows
// before `first` arrive as State(first) (0: none do); the others are computed in pieces of at most `chunk` rows, then
// up to `max_new` rows follow whose ids are not known. A pure function of its arguments, and an upper bound. REQUIRES:
// first <= content.ids.size(), and under `prefill=full` it is 0 or at least n-1.
struct RowNeeds {
  uint64_t recent = 0;
  uint64_t kept = 0;
};
RowNeeds RowsNeeded(const Content& content, uint32_t first, uint32_t chunk, uint32_t max_new);

// The positions of the prompt that its last row, n-1, sees, itself included: what the model knows of the prompt when it
// begins to answer. REQUIRES: prompt_length >= 1, at most ids.size() + 1, and a salient choice has been made if there
// is to be one.
std::vector<PositionRange> VisiblePrompt(const Content& content);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_TRACKER_H_
