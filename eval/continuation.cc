// Tested by continuation_test.cc.
#include "eval/continuation.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "common/anchor/segment.h"
#include "common/base/status.h"
#include "common/engine/state_exchange.h"
#include "common/engine/step.h"
#include "common/tokenizer/sequence_ends.h"
#include "eval/agreement.h"

namespace kedge {
namespace {

struct Running {
  const Continuation* continuation;
  Continued* result;
  std::unique_ptr<Sequence> sequence;

  bool is_given() const { return !continuation->given.empty(); }
};

// Rows of each prompt before its last one: nobody asks for their logits.
absl::Status ComputePrompts(std::vector<Running>* batch, StepDevice* device) {
  while (true) {
    std::vector<Slice> slices;
    uint32_t left = device->max_rows();
    for (Running& running : *batch) {
      const uint32_t last = static_cast<uint32_t>(running.continuation->prompt.size()) - 1;
      const uint32_t rows = std::min(left, last - std::min(last, running.sequence->position()));
      if (rows == 0) continue;
      slices.push_back({.sequence = running.sequence.get(), .rows = rows, .logits = WantedLogits::kNone});
      left -= rows;
    }
    if (slices.empty()) return absl::OkStatus();
    KEDGE_RETURN_IF_ERROR(FinishStep(slices, LaunchStep(slices, device).get(), device));
    for (const Slice& slice : slices) slice.sequence->DropUnseen();
  }
}

// Of State(n-1), once the rows before n-1 are there.
void MeasureState(const Running& running, const std::string& fingerprint, const StepDevice& device) {
  const uint32_t last = static_cast<uint32_t>(running.continuation->prompt.size()) - 1;
  const SegmentHeader header = StateHeader(running.sequence->content(), last, fingerprint, device);
  const uint64_t rows = header.positions.size(), rows_per_frame = RowsPerFrame(header.shape);
  const uint64_t frames = (rows + rows_per_frame - 1) / rows_per_frame;
  running.result->state_rows = rows;
  running.result->state_bytes =
      EncodeSegmentHeader(header).size() + rows * header.shape.row_bytes() + frames * kFrameHeaderBytes;
}

// Takes the logits of the next row of an answer. Returns whether another row is to follow.
bool TakeRow(absl::Span<const float> logits, absl::Span<const uint32_t> end_ids, Running* running) {
  std::vector<uint32_t>& ids = running->result->ids;
  std::vector<std::vector<float>>& logprobs = running->result->logprobs;
  logprobs.push_back(LogSoftmax(logits));
  if (running->is_given()) return logprobs.size() < ids.size();
  const uint32_t id = Likeliest(logprobs.back());
  ids.push_back(id);
  if (ids.size() == running->continuation->max_new || std::binary_search(end_ids.begin(), end_ids.end(), id)) {
    return false;
  }
  running->sequence->Append(id);
  return true;
}

// The last row of each prompt, and what follows. A given text goes in as many rows at once as a step holds.
absl::Status ComputeAnswers(std::vector<Running> batch, absl::Span<const uint32_t> end_ids, StepDevice* device) {
  bool is_last_of_prompt = true;
  while (!batch.empty()) {
    std::vector<uint32_t> rows;
    std::vector<Slice> slices;
    uint32_t left = device->max_rows();
    for (Running& running : batch) {
      rows.push_back(is_last_of_prompt ? 1 : std::min(left, running.sequence->ready()));
      left -= rows.back();
      if (rows.back() == 0) continue;
      slices.push_back({.sequence = running.sequence.get(), .rows = rows.back(), .logits = WantedLogits::kAll});
    }
    const std::unique_ptr<StepFuture> step = LaunchStep(slices, device);
    KEDGE_RETURN_IF_ERROR(FinishStep(slices, step.get(), device));
    size_t row = 0;
    std::vector<Running> going_on;
    for (size_t i = 0; i < batch.size(); ++i) {
      bool goes_on = true;
      for (uint32_t taken = 0; taken < rows[i]; ++taken) goes_on = TakeRow(step->Logits(row++), end_ids, &batch[i]);
      if (rows[i] > 0) batch[i].sequence->DropUnseen();
      if (goes_on) going_on.push_back(std::move(batch[i]));
    }
    batch = std::move(going_on);
    is_last_of_prompt = false;
  }
  return absl::OkStatus();
}

// Given ids are part of the content from the start: they come many rows at a time, and pages are reserved for that.
Content ContentOf(const Continuation& continuation, const Policy& policy) {
  Content content{.ids = continuation.prompt, .prompt_length = static_cast<uint32_t>(continuation.prompt.size())};
  const std::vector<uint32_t>& given = continuation.given;
  if (!given.empty()) content.ids.insert(content.ids.end(), given.begin(), given.end() - 1);
  SetRows(continuation, policy, &content);
  return content;
}

}  // namespace

void SetRows(const Continuation& continuation, const Policy& policy, Content* content) {
  content->policy = policy;
  content->turn_begin = std::min(continuation.turn_begin, std::max(content->prompt_length, 1u) - 1);
  content->user = RangesBefore(content->prompt_length, continuation.user);
  content->system = RangesBefore(content->prompt_length, continuation.system);
  (policy.text_anchors ? content->sequence_ends : content->no_anchor_positions) =
      policy.text_anchors ? FindSequenceEnds(continuation.cuts, policy.longest) : continuation.no_anchor_positions;
  for (std::vector<uint32_t>* positions : {&content->sequence_ends, &content->no_anchor_positions}) {
    std::erase_if(*positions, [&](uint32_t position) { return position >= content->ids.size(); });
  }
}

absl::StatusOr<std::vector<Continued>> Continue(const PrefixState& state,
                                                absl::Span<const Continuation* const> continuations,
                                                const ContinueOptions& options, StepDevice* device) {
  std::vector<Continued> results(continuations.size());
  for (size_t next = 0; next < continuations.size();) {
    PagePool pool(device->num_pages());
    std::vector<Running> runnings;
    while (next < continuations.size() && runnings.size() < std::min(options.batch, device->max_rows())) {
      const Continuation& continuation = *continuations[next];
      absl::StatusOr<std::unique_ptr<Sequence>> sequence =
          GoOnFrom(state, ContentOf(continuation, options.policy), &options.heads, continuation.max_new, &pool, device);
      if (absl::IsResourceExhausted(sequence.status()) && !runnings.empty()) break;
      KEDGE_RETURN_IF_ERROR(sequence.status());
      results[next].ids = continuation.given;
      runnings.push_back({&continuation, &results[next], *std::move(sequence)});
      ++next;
    }
    KEDGE_RETURN_IF_ERROR(ComputePrompts(&runnings, device));
    for (const Running& running : runnings) MeasureState(running, options.fingerprint, *device);
    KEDGE_RETURN_IF_ERROR(ComputeAnswers(std::move(runnings), options.end_ids, device));
  }
  return results;
}

}  // namespace kedge
