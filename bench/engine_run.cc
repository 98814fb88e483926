// Tested by engine_run_test.cc.
#include "bench/engine_run.h"

#include <algorithm>
#include <chrono>
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
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

absl::Status ReadPrompt(Sequence* sequence, StepDevice* device, absl::Duration* step_time) {
  while (sequence->pending() > 0) {
    const Slice slice{.sequence = sequence, .rows = std::min(device->max_rows(), sequence->ready())};
    StepPlan plan;
    sequence->Plan(slice.rows, slice.logits, &plan);
    const Stopwatch time;
    const std::unique_ptr<StepFuture> step = device->Launch(std::move(plan));
    KEDGE_RETURN_IF_ERROR(step->Wait());
    *step_time += time.elapsed();
    KEDGE_RETURN_IF_ERROR(FinishStep({slice}, step.get(), device));
    sequence->DropUnseen();
  }
  return absl::OkStatus();
}

uint64_t VisibleRows(const StepPlan& plan) {
  uint64_t rows = 0;
  for (const PlanRow& row : plan.rows) rows += row.position - row.recent_begin + 1 + row.kept_end;
  return rows;
}

// One step with a row of each stream. Planned here, and not by LaunchStep, to see what the rows are shown.
absl::Status WriteRow(absl::Span<const Slice> slices, std::optional<TokenChoice> sample, StepDevice* device,
                      EngineRun* run, absl::Duration* step_time) {
  StepPlan plan;
  for (const Slice& slice : slices) slice.sequence->Plan(slice.rows, slice.logits, &plan);
  run->visible_rows += VisibleRows(plan);
  run->decode_rows += plan.rows.size();
  const Stopwatch time;
  const std::unique_ptr<StepFuture> step = device->Launch(std::move(plan));
  KEDGE_RETURN_IF_ERROR(step->Wait());
  *step_time += time.elapsed();
  KEDGE_RETURN_IF_ERROR(FinishStep(slices, step.get(), device));
  if (sample.has_value()) {
    sample->position = static_cast<uint32_t>(run->decode_steps);
    for (size_t i = 0; i < slices.size(); ++i) {
      sample->completion = static_cast<uint32_t>(i);
      run->chosen.push_back(ChooseToken(step->Logits(i), *sample));
    }
  }
  ++run->decode_steps;
  for (const Slice& slice : slices) slice.sequence->DropUnseen();
  return absl::OkStatus();
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
  absl::Duration prompt_steps, decode_steps;
  const Stopwatch prompt_time;
  for (const std::unique_ptr<Sequence>& sequence : sequences) {
    KEDGE_RETURN_IF_ERROR(ReadPrompt(sequence.get(), device, &prompt_steps));
  }
  run.prompt_time = prompt_time.elapsed();
  run.prompt_idle = run.prompt_time - prompt_steps;
  for (const std::unique_ptr<Sequence>& sequence : sequences) run.held_pages += sequence->num_pages();

  std::vector<Slice> slices;
  for (const std::unique_ptr<Sequence>& sequence : sequences) slices.push_back({.sequence = sequence.get(), .rows = 1});
  const size_t steps = streams.empty() ? 0 : streams[0].written.size();
  const Stopwatch decode_time;
  for (size_t step = 0; step < steps; ++step) {
    for (size_t i = 0; i < streams.size(); ++i) sequences[i]->Append(streams[i].written[step]);
    KEDGE_RETURN_IF_ERROR(WriteRow(slices, sample, device, &run, &decode_steps));
  }
  run.decode_time = decode_time.elapsed();
  run.decode_idle = run.decode_time - decode_steps;
  return run;
}

}  // namespace kedge
