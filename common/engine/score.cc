// Each path is a loop over slices; what differs is how the rows are cut and where they are computed. Tested by
// score_test.cc.
#include "common/engine/score.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "common/engine/state_exchange.h"
#include "common/engine/step.h"
#include "common/kv/page_pool.h"
#include "common/model/sampler.h"

namespace kedge {
namespace {

// Computes pending rows up to `end` in steps of at most `chunk`, and appends the log probability of each row's
// successor. `sender` may be nullptr; `frames` receives what it has to send.
absl::Status ComputeRows(Sequence* sequence, uint32_t end, uint32_t chunk, StepDevice* device, Score* score,
                         StateSender* sender = nullptr, std::vector<Payload>* frames = nullptr) {
  const std::vector<uint32_t>& ids = sequence->content().ids;
  while (sequence->position() < end) {
    const uint32_t first = sequence->position();
    const Slice slice{.sequence = sequence, .rows = std::min(chunk, end - first), .logits = WantedLogits::kAll};
    const std::unique_ptr<StepFuture> step = LaunchStep({slice}, device);
    KEDGE_RETURN_IF_ERROR(step->Wait());
    for (uint32_t row = first; row < sequence->position() && row + 1 < ids.size(); ++row) {
      score->logprobs.push_back(LogProbability(step->Logits(row - first), ids[row + 1]));
    }
    if (sender != nullptr) {
      KEDGE_ASSIGN_OR_RETURN(std::vector<Payload> taken, sender->TakeFrames(device));
      frames->insert(frames->end(), taken.begin(), taken.end());
    }
    sequence->DropUnseen();
  }
  return absl::OkStatus();
}

uint64_t KeptRows(const Content& content, const StepDevice& device) {
  return StateHeader(content, static_cast<uint32_t>(content.ids.size()), "", device).positions.size();
}

absl::StatusOr<Score> ScoreInChunks(const Content& content, uint32_t chunk, StepDevice* device) {
  KEDGE_RETURN_IF_ERROR(CheckContent(content, device->vocab_size(), UINT32_MAX));
  PagePool pool(device->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, chunk, 0)));
  Sequence sequence(content, std::move(lease));
  Score score{.kept_rows = KeptRows(content, *device)};
  KEDGE_RETURN_IF_ERROR(ComputeRows(&sequence, static_cast<uint32_t>(content.ids.size()), chunk, device, &score));
  return score;
}

}  // namespace

absl::StatusOr<Score> ScoreWhole(const Content& content, StepDevice* device) {
  return ScoreInChunks(content, static_cast<uint32_t>(content.ids.size()), device);
}

absl::StatusOr<Score> ScoreSteps(const Content& content, StepDevice* device) {
  return ScoreInChunks(content, 1, device);
}

absl::StatusOr<Score> ScoreSplit(const Content& content, uint32_t split, uint32_t chunk, const std::string& fingerprint,
                                 StepDevice* first, StepDevice* second) {
  KEDGE_RETURN_IF_ERROR(CheckContent(content, first->vocab_size(), UINT32_MAX));
  const uint32_t size = static_cast<uint32_t>(content.ids.size());
  if (split > size) {
    return absl::InvalidArgumentError(absl::StrCat("split: ", split, " is beyond the ", size, " tokens"));
  }
  Score score{.kept_rows = KeptRows(content, *first)};
  std::string header_bytes;
  std::vector<Payload> frames;
  {
    PagePool pool(first->num_pages());
    KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, chunk, 0)));
    Sequence sequence(content, std::move(lease));
    StateSender sender(&sequence, StateHeader(content, split, fingerprint, *first));
    header_bytes = EncodeSegmentHeader(sender.header());
    KEDGE_RETURN_IF_ERROR(ComputeRows(&sequence, split, chunk, first, &score, &sender, &frames));
  }
  score.segment_bytes = header_bytes.size();

  PagePool pool(second->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, chunk, 0)));
  Sequence sequence(content, std::move(lease));
  StateReceiver receiver(&sequence, StateHeader(content, split, fingerprint, *second));
  KEDGE_RETURN_IF_ERROR(receiver.AcceptHeader(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(header_bytes.data()), header_bytes.size())));
  for (Payload& frame : frames) {
    score.segment_bytes += frame.bytes.size();
    KEDGE_RETURN_IF_ERROR(receiver.AcceptFrame(std::move(frame), second));
  }
  KEDGE_RETURN_IF_ERROR(receiver.Commit());
  KEDGE_RETURN_IF_ERROR(ComputeRows(&sequence, size, chunk, second, &score));
  return score;
}

}  // namespace kedge
