// Complete rows that came from prefill nodes, held so that they need not come again.
//
// Which. Under `prefill=full` row p of a prompt stands on ids 0..p alone: not on what is asked, nor on where the prompt
// ends (common/anchor/shared_rows.h). So the rows of a state that lie before n-1 are those of the next turn of a chat,
// and of another question about the same text. Rows from n-1 on, and those of an answer, saw a reduced prompt and are
// never held; under other policies nothing is.
//
// Under which name. Rows go by blocks of kNameTokens positions. A block's name is that of all ids up to its end
// (common/anchor/chain.h), under the model, KV type, numerics class and cache domain: a row is found where the
// text is the same up to its block's end. What stands behind the last full block has no name yet and is not held, a few
// rows a turn. Names are computed from ids here, and do not leave the node.
//
// Where. In host memory, as the bytes that came: a frame, whatever its rows look like inside. A device writes those
// rows of a frame that are wanted and passes over the others. So this takes no page that a request may need, and
// nothing is known here of a row but how many bytes it has. A frame was checked when it came and lies in this process's
// own memory from then on, as pages do: it is not summed again.
//
// How long. Frames go whole, the least recently used first; one is used when a row of it goes into a state. One that
// somebody refers to stays: whoever tells a prefill node what he holds refers to it until the rows have been taken, so
// what he said remains true, and a call that ends lets go. What is referred to counts: all together are never more than
// the budget, and what does not fit is not held.
//
// The exchange (common/engine/state_exchange.h): the receiver finds what is held of its text and tells the positions
// with its request; the prefill node computes State(n-1) as always and leaves out of its frames what was told; the
// header says which rows those are (common/anchor/FORMAT.md). The state is the same, to the bit, as one that came
// whole. After a failure the list is made anew, with what the failed try brought.
#ifndef KEDGE_COMMON_KV_HELD_ROWS_H_
#define KEDGE_COMMON_KV_HELD_ROWS_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/chain.h"
#include "common/anchor/content.h"

namespace kedge {

// Owned by one thread; frames may be read, and let go, by any.
class HeldRows {
 public:
  static constexpr uint32_t kNameTokens = 16;

  // The payload of a frame: its rows, in the order of a frame.
  struct Frame {
    std::vector<uint8_t> bytes;
    uint32_t num_rows = 0;
  };
  struct Row {
    uint32_t position = 0;
    std::shared_ptr<const Frame> frame;
    uint32_t index = 0;  // in the frame
  };

  // `root`: its policy and cache domain do not matter, contents have theirs. `max_bytes`: of all frames; 0: nothing is
  // held.
  HeldRows(ChainRoot root, uint64_t max_bytes);

  // Of the content's blocks of complete rows, in order; none where nothing is held of such contents.
  std::vector<ChainKey> Names(const Content& content) const;

  // What is held of the blocks with these names, by position.
  std::vector<Row> Find(absl::Span<const ChainKey> names) const;

  // Takes a frame whose rows have these positions, ascending; not if none of them is new and has a name, or if it does
  // not fit. REQUIRES: `rows` has as many bytes for each.
  void Add(absl::Span<const ChainKey> names, absl::Span<const uint32_t> positions, absl::Span<const uint8_t> rows);

  // Rows of the frame were taken: it goes later than others. REQUIRES: it comes from Find, and is still referred to.
  void Use(const Frame* frame);

  // Of frames; those of rows that have no name included.
  uint64_t num_bytes() const { return bytes_; }
  uint64_t num_rows() const { return rows_.size(); }

 private:
  using RowName = std::pair<ChainKey, uint32_t>;  // of the block, and the position
  struct Place {
    const Frame* frame;
    uint32_t index;
  };
  struct Held {
    std::shared_ptr<const Frame> frame;
    std::vector<std::map<RowName, Place>::iterator> rows;
  };

  bool EvictOne();

  const ChainRoot root_;
  const uint64_t max_bytes_;
  std::list<Held> frames_;  // most recently used first
  std::map<const Frame*, std::list<Held>::iterator> by_frame_;
  std::map<RowName, Place> rows_;
  uint64_t bytes_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KV_HELD_ROWS_H_
