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
  AnchorTracker tracker(&content);
  tracker.AdvanceTo(end);
  return tracker.State();
}

}  // namespace

absl::StatusOr<std::vector<PrefixState>> ComputePrefix(const Content& content, absl::Span<const uint32_t> ends,
                                                       StepDevice* device) {
  PagePool pool(device->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, 0, device->max_rows(), 0)));
  Sequence sequence(content, std::move(lease));
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
    state.rows.resize(count * device->row_shape().row_bytes());
    if (count > 0) {
      KEDGE_RETURN_IF_ERROR(
          device->ReadRows(sequence.StateRows(shape, 0, count), absl::MakeSpan(state.rows))->Wait());
    }
    sequence.DropUnseen();
  }
  return states;
}

bool HasFullPrefill(const Policy& policy) { return policy.prefill_full || policy.recent == Policy::kAll; }

uint32_t LatestFork(const Policy& policy, uint32_t prompt_length) {
  const uint32_t last = prompt_length - 1;
  if (!policy.prefill_full) return last;
  // For a choice nearly all rows are observed: those that look back at what opens the turn. Without one, the row before a
  // reduction comes from a step of the sequence.
  return policy.salient_millionths > 0 ? 0 : last - std::min(last, 1u);
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
  if (is_complete) {
    KEDGE_RETURN_IF_ERROR(device->WriteRows(sequence->BeginComplete(state.end), state.rows)->Wait());
    return sequence;
  }
  const StateShape shape = sequence->BeginState(state.end);
  const uint32_t count = static_cast<uint32_t>(shape.num_rows());
  if (count == 0) return sequence;
  const Sequence::Places places = sequence->StatePlaces(shape, 0, count);
  KEDGE_RETURN_IF_ERROR(device->WriteRows(places.rows, state.rows)->Wait());
  if (places.any_copy) KEDGE_RETURN_IF_ERROR(device->WriteRows(places.copies, state.rows)->Wait());
  return sequence;
}

}  // namespace kedge
