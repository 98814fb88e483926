// Rows go straight from pages to bytes and back: what a segment adds (headers, checksums) serves journeys.
// Tested by continuation_test.cc.
#include "eval/prefix.h"

#include <algorithm>
#include <utility>

#include "common/anchor/tracker.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/engine/step.h"

namespace kedge {
namespace {

// State(end) of `content`: a function of its ids and policy.
StateShape ShapeAt(const Content& content, uint32_t end) {
  if (content.policy.prefill_full) return {.end = end};
  AnchorTracker tracker(&content);
  tracker.AdvanceTo(end);
  return tracker.State();
}

}  // namespace

absl::StatusOr<std::vector<PrefixState>> ComputePrefix(Content content, absl::Span<const uint32_t> ends,
                                                       const SalienceHeads& heads, StepDevice* device) {
  if (content.policy.prefill_full) {
    content.ids.push_back(0);  // never computed: it keeps the last of the others from being the prompt's last but one
    content.prompt_length = static_cast<uint32_t>(content.ids.size()) + 1;
  }
  PagePool pool(device->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, 0, device->max_rows(), 0)));
  Sequence sequence(content, std::move(lease), &heads);
  std::vector<PrefixState> states;
  for (uint32_t end : ends) {
    while (sequence.position() < end) {
      const Slice slice{.sequence = &sequence,
                        .rows = std::min(device->max_rows(), end - sequence.position()),
                        .logits = WantedLogits::kNone};
      KEDGE_RETURN_IF_ERROR(FinishStep({slice}, LaunchStep({slice}, device).get(), device));
      if (sequence.position() < end) sequence.DropUnseen();
    }
    const StateShape shape = ShapeAt(content, end);
    const uint32_t count = static_cast<uint32_t>(shape.num_rows());
    PrefixState& state = states.emplace_back(PrefixState{.end = end});
    if (sequence.salience() != nullptr) state.salience = sequence.salience()->Before(end);
    const RowBuffer rows = device->NewRowBuffer(count * device->row_shape().row_bytes());
    KEDGE_RETURN_IF_ERROR(device->ReadRows(sequence.StateRows(shape, 0, count), rows)->Wait());
    state.rows = rows.Share();
    sequence.DropUnseen();
  }
  return states;
}

bool HasFullPrefill(const Policy& policy) { return policy.prefill_full || policy.recent == Policy::kAll; }

uint32_t LatestFork(const Policy& policy, uint32_t prompt_length) {
  const uint32_t last = prompt_length - 1;
  if (!policy.prefill_full) return last;
  // The rows before a reduction come from a step of the sequence: one at least, and all that are observed for a choice.
  return last - std::min(last, policy.salient_millionths > 0 ? Salience::kLastRows : 1);
}

absl::StatusOr<std::unique_ptr<Sequence>> GoOnFrom(const PrefixState& state, Content content,
                                                   const SalienceHeads* heads, uint32_t max_new, PagePool* pool,
                                                   StepDevice* device) {
  const bool is_complete = content.policy.prefill_full;  // all rows come, to be reduced later
  const uint32_t first = is_complete ? 0 : state.end;
  KEDGE_CHECK(state.end <= LatestFork(content.policy, content.prompt_length));
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool->Reserve(PagesFor(content, first, device->max_rows(), max_new)));
  auto sequence = std::make_unique<Sequence>(std::move(content), std::move(lease), heads);
  if (state.end == 0) return sequence;
  const bool takes_salience = sequence->content().NeedsChoice() && state.salience.has_value();
  if (takes_salience && !Salience(sequence->content(), *heads).CanTake(*state.salience)) return sequence;
  if (is_complete) {
    device->WriteRows(sequence->BeginComplete(state.end), state.rows);
    if (takes_salience) sequence->TakeSalience(*state.salience);
    return sequence;
  }
  const StateShape shape = sequence->BeginState(state.end);
  const uint32_t count = static_cast<uint32_t>(shape.num_rows());
  if (count == 0) return sequence;
  const Sequence::Places places = sequence->StatePlaces(shape, 0, count);
  device->WriteRows(places.rows, state.rows);
  if (places.any_copy) device->WriteRows(places.copies, state.rows);
  return sequence;
}

}  // namespace kedge
