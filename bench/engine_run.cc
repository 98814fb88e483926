// Tested by engine_run_test.cc.
#include "bench/engine_run.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/kernels/choose_token.h"
#include "common/kv/page_pool.h"

namespace kedge {
namespace {

class Stopwatch {
 public:
  absl::Duration elapsed() const { return absl::FromChrono(std::chrono::steady_clock::now() - start_); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

uint64_t VisibleRows(const StepPlan& plan) {
  uint64_t rows = 0;
  for (const PlanRow& row : plan.rows) rows += row.position - row.recent_begin + 1 + row.kept_end;
  return rows;
}

// Steps, of which the next is launched before the one before is waited for where the device runs ahead.
class Steps {
 public:
  explicit Steps(StepDevice* device) : device_(device) {}

  // `plan`: of the slices. `chosen`: where the tokens of its choices go; null: it has none.
  absl::Status Launch(absl::Span<const Slice> slices, StepPlan plan, std::vector<uint32_t>* chosen) {
    if (under_way_.empty()) busy_since_ = Stopwatch();
    Step& step = under_way_.emplace_back(
        Step{.slices = {slices.begin(), slices.end()}, .choices = plan.choices, .chosen = chosen});
    step.future = device_->Launch(std::move(plan));
    return device_->runs_ahead() && under_way_.size() < 2 ? absl::OkStatus() : FinishOldest();
  }
  absl::Status FinishAll() {
    while (!under_way_.empty()) KEDGE_RETURN_IF_ERROR(FinishOldest());
    return absl::OkStatus();
  }
  // How long there was a step under way, once all are finished.
  absl::Duration busy() const { return busy_; }

 private:
  struct Step {
    std::vector<Slice> slices;
    std::vector<TokenChoice> choices;
    std::vector<uint32_t>* chosen;
    std::unique_ptr<StepFuture> future;
  };

  absl::Status FinishOldest() {
    const Step step = std::move(under_way_.front());
    under_way_.pop_front();
    KEDGE_RETURN_IF_ERROR(step.future->Wait());
    if (under_way_.empty()) busy_ += busy_since_.elapsed();
    KEDGE_RETURN_IF_ERROR(FinishStep(step.slices, step.future.get(), device_));
    for (size_t i = 0; i < step.choices.size(); ++i) {
      const std::optional<uint32_t> token = step.future->Token(i);
      step.chosen->push_back(token.has_value() ? *token : ChooseToken(step.future->Logits(i), step.choices[i]));
    }
    for (const Slice& slice : step.slices) {
      if (!slice.sequence->is_under_way()) slice.sequence->DropUnseen();
    }
    return absl::OkStatus();
  }

  StepDevice* const device_;
  std::deque<Step> under_way_;
  Stopwatch busy_since_;
  absl::Duration busy_;
};

absl::Status ReadPrompt(Sequence* sequence, StepDevice* device, Steps* steps) {
  while (sequence->pending() > 0) {
    const Slice slice{.sequence = sequence, .rows = std::min(device->max_rows(), sequence->ready())};
    if (slice.rows == 0) {  // a reduction comes first
      KEDGE_RETURN_IF_ERROR(steps->FinishAll());
      continue;
    }
    StepPlan plan;
    sequence->Plan(slice.rows, slice.logits, &plan);
    KEDGE_RETURN_IF_ERROR(steps->Launch({slice}, std::move(plan), nullptr));
  }
  return steps->FinishAll();
}

// One step with a row of each stream. Planned here, and not by LaunchStep, to see what the rows are shown.
absl::Status WriteRow(absl::Span<const Slice> slices, std::optional<TokenChoice> sample, Steps* steps, EngineRun* run) {
  StepPlan plan;
  for (size_t i = 0; i < slices.size(); ++i) {
    if (sample.has_value()) {
      sample->completion = static_cast<uint32_t>(i);
      sample->position = static_cast<uint32_t>(run->decode_steps);
    }
    slices[i].sequence->Plan(slices[i].rows, slices[i].logits, &plan, sample);
  }
  run->visible_rows += VisibleRows(plan);
  run->decode_rows += plan.rows.size();
  ++run->decode_steps;
  return steps->Launch(slices, std::move(plan), &run->chosen);
}

}  // namespace

uint64_t PagesFor(absl::Span<const EngineStream> streams, uint32_t chunk) {
  uint64_t pages = 0;
  for (const EngineStream& stream : streams) {
    pages += PagesFor(stream.prompt, 0, chunk, static_cast<uint32_t>(stream.written.size()));
  }
  return pages;
}

absl::StatusOr<EngineRun> RunEngine(absl::Span<const EngineStream> streams, const SalienceHeads& heads,
                                    const std::optional<TokenChoice>& sample, StepDevice* device) {
  PagePool pool(device->num_pages());
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (const EngineStream& stream : streams) {
    KEDGE_CHECK(stream.prompt.ids.size() == stream.prompt.prompt_length);
    KEDGE_CHECK(stream.written.size() == streams[0].written.size());
    KEDGE_RETURN_IF_ERROR(CheckContent(stream.prompt, device->vocab_size(), UINT32_MAX));
    KEDGE_RETURN_IF_ERROR(CheckChoosable(stream.prompt, heads));
    const uint32_t written = static_cast<uint32_t>(stream.written.size());
    KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(stream.prompt, 0, device->max_rows(), written)));
    sequences.push_back(std::make_unique<Sequence>(stream.prompt, std::move(lease), &heads));
  }

  EngineRun run;
  Steps reading(device), writing(device);
  const Stopwatch prompt_time;
  for (const std::unique_ptr<Sequence>& sequence : sequences) {
    KEDGE_RETURN_IF_ERROR(ReadPrompt(sequence.get(), device, &reading));
  }
  run.prompt_time = prompt_time.elapsed();
  run.prompt_idle = run.prompt_time - reading.busy();
  for (const std::unique_ptr<Sequence>& sequence : sequences) run.held_pages += sequence->num_pages();

  std::vector<Slice> slices;
  for (const std::unique_ptr<Sequence>& sequence : sequences) slices.push_back({.sequence = sequence.get(), .rows = 1});
  const size_t steps = streams.empty() ? 0 : streams[0].written.size();
  const Stopwatch decode_time;
  for (size_t step = 0; step < steps; ++step) {
    for (size_t i = 0; i < streams.size(); ++i) sequences[i]->Append(streams[i].written[step]);
    KEDGE_RETURN_IF_ERROR(WriteRow(slices, sample, &writing, &run));
  }
  KEDGE_RETURN_IF_ERROR(writing.FinishAll());
  run.decode_time = decode_time.elapsed();
  run.decode_idle = run.decode_time - writing.busy();
  return run;
}

}  // namespace kedge
