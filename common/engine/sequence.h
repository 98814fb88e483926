// One request in one engine: its ids, what the policy makes of them, and its rows.
#ifndef KEDGE_COMMON_ENGINE_SEQUENCE_H_
#define KEDGE_COMMON_ENGINE_SEQUENCE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "common/anchor/content.h"
#include "common/anchor/salience.h"
#include "common/anchor/tracker.h"
#include "common/kernels/step.h"
#include "common/kv/row_store.h"

namespace kedge {

// Which rows of a slice of a step return logits.
enum class WantedLogits {
  kNone,
  kLast,  // the row of the last known id, if the slice reaches it
  kAll,
};

// Bounds of the rows a request needs, and the pages for them: what a node reserves. Rows before `first` arrive as a
// state; `chunk`: most rows of one step; `max_new`: ids that may be appended. More of these never need less.
uint32_t PagesFor(const Content& content, uint32_t first, uint32_t chunk, uint32_t max_new);

// Rows [0, position()) are computed, in steps under way, or were received; ids beyond are pending. Under `prefill=full`
// the prompt is reduced once its rows but the last are computed (Settle). Owned by one thread. Not movable: the tracker
// refers to the content.
class Sequence {
 public:
  // `heads`: whose attention chooses salient sequences; must outlive this. Null where no choice is to be made here.
  Sequence(Content content, PageLease lease, const SalienceHeads* heads = nullptr);
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  const Content& content() const { return content_; }
  uint32_t position() const { return tracker_.position(); }
  // Rows [0, computed()) are there: the steps of the others have not been settled.
  uint32_t computed() const;
  bool is_under_way() const { return !under_way_.empty(); }
  uint32_t pending() const { return has_unknown() ? 0 : static_cast<uint32_t>(content_.ids.size()) - position(); }
  // Of the pending rows, those that the next step may take: none goes beyond a reduction.
  uint32_t ready() const;
  // Pages that hold its rows.
  size_t num_pages() const { return rows_.num_pages(); }
  // Makes the lease cover so many pages more (PageLease::Grow).
  void Grow(uint32_t pages) { rows_.Grow(pages); }

  // Adds an id after the last one: that of the row which PlanUnknown planned, if there is one.
  void Append(uint32_t id);

  // Adds the next `rows` pending rows to `plan`. `choice`: how the row that kLast means is to choose a token, instead
  // of returning its logits. REQUIRES: rows <= ready().
  void Plan(uint32_t rows, WantedLogits logits, StepPlan* plan,
            const std::optional<TokenChoice>& choice = std::nullopt);
  // Adds the row behind the last known id to `plan`. Its own id is chosen by the step before, whose output
  // `chosen_before` it is, and it chooses the next. Append, or TakeBack where another id was chosen or none is wanted,
  // comes before any further row. REQUIRES: pending() == 0, KnowsNext().
  void PlanUnknown(uint32_t chosen_before, const TokenChoice& choice, StepPlan* plan);
  bool KnowsNext() const { return tracker_.KnowsNext(); }
  bool has_unknown() const { return position() > content_.ids.size(); }
  void TakeBack();
  // What the choice of salient sequences will stand on, so far; null if none is to be made here, or no step was
  // planned.
  const Salience* salience() const { return salience_.has_value() ? &*salience_ : nullptr; }
  // Starts from what a sequence with the same beginning has gathered. REQUIRES: a choice is to be made, and
  // Salience::CanTake.
  void TakeSalience(const EarlierSalience& earlier);

  // How many rows of the oldest plan under way want mass.
  size_t num_mass_rows() const { return under_way_.front().mass_rows.size(); }
  // Call it for each step, in the order of the plans, with the step's result. `first_mass`: how many rows of the plan
  // before this sequence's want mass. Takes the mass of its own; once the prompt has been computed up to its last row,
  // chooses salient sequences if none were chosen for this request, and reduces the prompt: the device copies, and
  // nobody waits.
  void Settle(const StepFuture& step, size_t first_mass, StepDevice* device);
  // Gives pages back whose rows no later row may see. Call it after Settle, when what was to be read out of those
  // rows has been asked for.
  void DropUnseen() { rows_.DropBefore(tracker_.next_recent_begin()); }

  // --- Sharing ---
  // The rows of State(position()) and all of K, or under `prefill=full` the complete rows of the prompt, in their
  // pages; nullopt where some of them are gone or were never here. Call it after Settle and before DropUnseen, with no
  // step under way.
  std::optional<StoredRows> Stored() const;
  // Goes on behind stored rows of this content's beginning (SharedContent). REQUIRES: position() == 0; under
  // `prefill=full` rows.end < prompt_length - 1.
  void Resume(const StoredRows& rows, StepDevice* device);

  // --- Sending ---
  // Whether State(p) of the ids is known: always, but under `prefill=full` only once the prompt is reduced.
  bool knows_state() const { return tracker_.reduced(); }
  // Where rows first .. first + count - 1 of `state` lie (StateShape's order). REQUIRES: they are computed, and `state`
  // is of a position at or after every one that DropUnseen has seen.
  std::vector<RowRef> StateRows(const StateShape& state, uint32_t first, uint32_t count) const;

  // --- Receiving ---
  // A choice that was made elsewhere. REQUIRES: position() == 0.
  void SetSalient(std::vector<PositionRange> salient) { content_.salient = std::move(salient); }
  // Takes the first `end` ids as computed elsewhere and makes room for their state. REQUIRES: position() == 0; a
  // salient choice has been made if there is to be one. Returns the state's shape. Until every row of it has been
  // written, no step may follow.
  StateShape BeginState(uint32_t end);
  // Under `prefill=full`: takes the first `end` rows of the prompt as computed elsewhere, makes room for all of them,
  // and returns where to write them. REQUIRES: position() == 0; end < prompt_length - 1, and no row before `end` is to
  // be observed for a choice that has not been made.
  std::vector<RowRef> BeginComplete(uint32_t end);
  // Where to write rows first .. first + count - 1 of the state. A kept row inside the recent span lies in R and in K:
  // `copies` has the second place of each row, or kNoPage.
  struct Places {
    std::vector<RowRef> rows;
    std::vector<RowRef> copies;
    bool any_copy = false;
  };
  Places StatePlaces(const StateShape& state, uint32_t first, uint32_t count) const;
  // Back to position 0, with the lease kept: a state that did not arrive whole is forgotten. A choice stays.
  void Reset();

 private:
  // One plan's rows.
  struct UnderWay {
    uint32_t rows = 0;
    std::vector<uint32_t> mass_rows;  // positions of those that want mass
  };

  void DropBehindStep();
  void AddRow(const RowRule& rule, PlanRow row, StepPlan* plan);
  void Reduce(StepDevice* device);

  Content content_;
  const SalienceHeads* const heads_;
  AnchorTracker tracker_;
  RowStore rows_;
  std::optional<Salience> salience_;  // while the choice is to be made
  std::deque<UnderWay> under_way_;    // planned and not settled, in order
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_SEQUENCE_H_
