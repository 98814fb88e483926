// Tested by computed_prompt_test.cc.
#include "eval/answers.h"

#include <algorithm>
#include <utility>

#include "common/base/status.h"
#include "common/engine/step.h"
#include "eval/agreement.h"

namespace kedge {
namespace {

struct Running {
  const AnswerJob* job;
  std::unique_ptr<Sequence> sequence;
  size_t taken = 0;           // rows
  std::vector<uint32_t> ids;  // of an answer

  // Takes the logits of the next row. Returns whether another one is to follow.
  bool TakeRow(absl::Span<const float> logits, absl::Span<const uint32_t> end_ids) {
    if (!job->given.empty()) {
      job->score(taken, logits);
      return ++taken < job->given.size();
    }
    ids.push_back(Likeliest(logits));
    if (ids.size() == job->max_new || std::binary_search(end_ids.begin(), end_ids.end(), ids.back())) {
      job->answered(std::move(ids));
      return false;
    }
    sequence->Append(ids.back());
    return true;
  }
};

// One step of all: a given text goes in as many rows as there is room for. Leaves those that go on.
absl::Status Step(absl::Span<const uint32_t> end_ids, std::vector<Running>* runnings, StepDevice* device) {
  std::vector<Slice> slices;
  uint32_t left = device->max_rows();
  for (Running& running : *runnings) {
    const uint32_t rows = std::min(left, running.sequence->ready());
    if (rows == 0) break;
    slices.push_back({.sequence = running.sequence.get(), .rows = rows, .logits = WantedLogits::kAll});
    left -= rows;
  }
  const std::unique_ptr<StepFuture> step = LaunchStep(slices, device);
  KEDGE_RETURN_IF_ERROR(FinishStep(slices, step.get(), device));
  std::vector<Running> going_on;
  size_t row = 0;
  for (size_t i = 0; i < runnings->size(); ++i) {
    bool goes_on = true;
    if (i < slices.size()) {
      for (uint32_t k = 0; k < slices[i].rows; ++k) goes_on = (*runnings)[i].TakeRow(step->Logits(row++), end_ids);
      slices[i].sequence->DropUnseen();
    }
    if (goes_on) going_on.push_back(std::move((*runnings)[i]));
  }
  *runnings = std::move(going_on);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunAnswers(absl::Span<const AnswerJob> jobs, absl::Span<const uint32_t> end_ids, uint32_t batch,
                        StepDevice* device) {
  std::vector<Running> runnings;
  for (size_t next = 0; next < jobs.size() || !runnings.empty();) {
    while (next < jobs.size() && runnings.size() < batch) {
      absl::StatusOr<std::unique_ptr<Sequence>> sequence = jobs[next].begin();
      if (absl::IsResourceExhausted(sequence.status()) && !runnings.empty()) break;
      KEDGE_RETURN_IF_ERROR(sequence.status());
      runnings.push_back({.job = &jobs[next++], .sequence = *std::move(sequence)});
    }
    KEDGE_RETURN_IF_ERROR(Step(end_ids, &runnings, device));
  }
  return absl::OkStatus();
}

}  // namespace kedge
