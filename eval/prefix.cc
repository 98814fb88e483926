// Rows go straight from pages to bytes and back: what a segment adds (headers, checksums) serves journeys.
// Tested by continuation_test.cc.
#include "eval/prefix.h"

#include <algorithm>
#include <utility>

#include "common/anchor/tracker.h"
#include "common/base/status.h"
#include "common/engine/step.h"

namespace kedge {
namespace {

// State(end) of `content`: a function of its ids and policy.
StateShape ShapeAt(const Content& content, uint32_t end) {
  AnchorTracker tracker(&content.policy);
  for (uint32_t i = 0; i < end; ++i) tracker.Next(content.ids[i], content.NoAnchor(i));
  return tracker.State();
}

}  // namespace

absl::StatusOr<std::vector<PrefixState>> ComputePrefix(const Content& content, absl::Span<const uint32_t> ends,
                                                       StepDevice* device) {
  PagePool pool(device->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, device->max_rows(), 0)));
  Sequence sequence(content, std::move(lease));
  std::vector<PrefixState> states;
  for (uint32_t end : ends) {
    while (sequence.position() < end) {
      const Slice slice{.sequence = &sequence,
                        .rows = std::min(device->max_rows(), end - sequence.position()),
                        .logits = WantedLogits::kNone};
      KEDGE_RETURN_IF_ERROR(LaunchStep({slice}, device)->Wait());
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

absl::StatusOr<std::unique_ptr<Sequence>> GoOnFrom(const PrefixState& state, Content content, uint32_t max_new,
                                                   PagePool* pool, StepDevice* device) {
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool->Reserve(PagesFor(content, device->max_rows(), max_new)));
  auto sequence = std::make_unique<Sequence>(std::move(content), std::move(lease));
  if (state.end == 0) return sequence;
  const StateShape shape = sequence->BeginState(state.end);
  const uint32_t count = static_cast<uint32_t>(shape.num_rows());
  if (count == 0) return sequence;
  const Sequence::Places places = sequence->StatePlaces(shape, 0, count);
  KEDGE_RETURN_IF_ERROR(device->WriteRows(places.rows, state.rows)->Wait());
  if (places.any_copy) KEDGE_RETURN_IF_ERROR(device->WriteRows(places.copies, state.rows)->Wait());
  return sequence;
}

}  // namespace kedge
