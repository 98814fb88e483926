// Each path is a loop over slices; what differs is how the rows are cut and where they are computed. Tested by
// score_test.cc.
#include "common/engine/score.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/anchor/segment.h"
#include "common/base/payload.h"
#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "common/engine/state_exchange.h"
#include "common/engine/step.h"
#include "common/kv/page_pool.h"
#include "common/model/sampler.h"

namespace kedge {
namespace {

// Computes pending rows up to `end` in steps of at most `chunk`, and appends the log probability of each row's
// successor. `sender` may be nullptr; `segment` receives what it has to send, the header first.
absl::Status ComputeRows(Sequence* sequence, uint32_t end, uint32_t chunk, StepDevice* device, Score* score,
                         StateSender* sender = nullptr, std::vector<Payload>* segment = nullptr) {
  const std::vector<uint32_t>& ids = sequence->content().ids;
  while (true) {
    if (sender != nullptr) {
      if (std::optional<Payload> header = sender->TakeHeader(*device)) segment->push_back(*std::move(header));
      sender->StartFrames(device);
      KEDGE_ASSIGN_OR_RETURN(std::vector<Payload> taken, sender->TakeFrames(/*wait=*/sequence->position() == end));
      segment->insert(segment->end(), taken.begin(), taken.end());
    }
    sequence->DropUnseen();
    const uint32_t first = sequence->position();
    if (first == end) return absl::OkStatus();
    const Slice slice{
        .sequence = sequence, .rows = std::min({chunk, end - first, sequence->ready()}), .logits = WantedLogits::kAll};
    const std::unique_ptr<StepFuture> step = LaunchStep({slice}, device);
    KEDGE_RETURN_IF_ERROR(step->Wait());
    for (uint32_t row = first; row < sequence->position() && row + 1 < ids.size(); ++row) {
      score->logprobs.push_back(LogProbability(step->Logits(row - first), ids[row + 1]));
    }
    KEDGE_RETURN_IF_ERROR(FinishStep({slice}, step.get(), device));
  }
}

void Describe(const Sequence& sequence, const StepDevice& device, Score* score) {
  const Content& content = sequence.content();
  score->kept_rows = StateHeader(content, static_cast<uint32_t>(content.ids.size()), "", device).positions.size();
  if (content.prompt_length > 0) score->kept_ranges = VisiblePrompt(content);
  score->salient = content.salient;
}

absl::Status Check(const Content& content, const SalienceHeads& heads, const StepDevice& device) {
  KEDGE_RETURN_IF_ERROR(CheckContent(content, device.vocab_size(), UINT32_MAX));
  if (content.prompt_length > content.ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat("prompt_length: ", content.prompt_length, " is beyond the ids"));
  }
  return CheckChoosable(content, heads);
}

absl::StatusOr<Score> ScoreInChunks(const Content& content, const SalienceHeads& heads, uint32_t chunk,
                                    StepDevice* device) {
  KEDGE_RETURN_IF_ERROR(Check(content, heads, *device));
  PagePool pool(device->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, 0, chunk, 0)));
  Sequence sequence(content, std::move(lease), &heads);
  Score score;
  KEDGE_RETURN_IF_ERROR(ComputeRows(&sequence, static_cast<uint32_t>(content.ids.size()), chunk, device, &score));
  Describe(sequence, *device, &score);
  return score;
}

}  // namespace

absl::StatusOr<Score> ScoreWhole(const Content& content, const SalienceHeads& heads, StepDevice* device) {
  return ScoreInChunks(content, heads, static_cast<uint32_t>(content.ids.size()), device);
}

absl::StatusOr<Score> ScoreSteps(const Content& content, const SalienceHeads& heads, StepDevice* device) {
  return ScoreInChunks(content, heads, 1, device);
}

absl::StatusOr<Score> ScoreSplit(const Content& content, const SalienceHeads& heads, uint32_t split, uint32_t chunk,
                                 const std::string& fingerprint, StepDevice* first, StepDevice* second,
                                 HeldRows* held) {
  KEDGE_RETURN_IF_ERROR(Check(content, heads, *first));
  const uint32_t size = static_cast<uint32_t>(content.ids.size());
  if (split > size) {
    return absl::InvalidArgumentError(absl::StrCat("split: ", split, " is beyond the ", size, " tokens"));
  }
  if (content.policy.prefill_full && split + 1 < content.prompt_length) {
    return absl::InvalidArgumentError(absl::StrCat("split: ", split, " is within the prompt of ", content.prompt_length,
                                                   " tokens, which prefill=full computes in one piece"));
  }
  PagePool pool(second->num_pages());
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, split, chunk, 0)));
  Sequence sequence(content, std::move(lease), &heads);
  StateReceiver receiver(&sequence, split, fingerprint, held);
  Score score;
  std::vector<Payload> segment;
  {
    PagePool pool(first->num_pages());
    KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, 0, chunk, 0)));
    Sequence sequence(content, std::move(lease), &heads);
    StateSender sender(&sequence, split, fingerprint, receiver.held());
    KEDGE_RETURN_IF_ERROR(ComputeRows(&sequence, split, chunk, first, &score, &sender, &segment));
  }

  KEDGE_ASSIGN_OR_RETURN(const SegmentHeader header, ParseSegmentHeader(segment[0].bytes));
  for (size_t i = 0; i < segment.size(); ++i) {
    const Payload& piece = segment[i];
    score.segment_bytes += piece.bytes.size();
    KEDGE_RETURN_IF_ERROR(i == 0 ? receiver.AcceptHeader(piece.bytes, second)
                                 : receiver.AcceptFrame(piece, FrameChecksum(piece.bytes, header.chain), second));
  }
  KEDGE_RETURN_IF_ERROR(receiver.Commit());
  score.held_rows = receiver.num_left_out();
  KEDGE_RETURN_IF_ERROR(ComputeRows(&sequence, size, chunk, second, &score));
  Describe(sequence, *second, &score);
  return score;
}

}  // namespace kedge
