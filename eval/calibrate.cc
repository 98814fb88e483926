// Tested by calibrate_test.cc.
#include "eval/calibrate.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "common/kv/page_pool.h"
#include "eval/prefix.h"

namespace kedge {
namespace {

// The first `end` ids under full attention; the prompt goes on.
Content FullContent(const std::vector<uint32_t>& ids, uint32_t end) {
  return {.ids = {ids.begin(), ids.begin() + end}, .prompt_length = end + 1, .policy = kFullAttention};
}

// Adds what one head in one row gives to the sequences up to its own.
void AddMass(bool asks, bool ends, absl::Span<const uint32_t> mass, absl::Span<uint32_t> from_question,
             absl::Span<uint32_t> from_end) {
  for (size_t i = 0; i < mass.size(); ++i) {
    if (asks) from_question[i] = std::max(from_question[i], mass[i]);
    if (ends) from_end[i] += mass[i];
  }
}

absl::StatusOr<ObservedPrompt> Observe(const CalibrationPrompt& prompt, const PrefixState& prefix,
                                       absl::Span<const HeadRef> heads, PagePool* pool, StepDevice* device) {
  const size_t count = prompt.known.count;
  ObservedPrompt observed{.form = prompt.form,
                          .known = prompt.known,
                          .from_question = std::vector<uint32_t>(heads.size() * count),
                          .from_end = std::vector<uint32_t>(heads.size() * count)};
  const std::vector<uint32_t> question_rows = prompt.QuestionRows(), end_rows = prompt.EndRows();
  const uint32_t end = static_cast<uint32_t>(prompt.ids.size()) - 1;
  std::vector<uint32_t> sequence_ends;
  for (const PositionRange& sequence : prompt.sequences) sequence_ends.push_back(sequence.end);
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence,
                         GoOnFrom(prefix, FullContent(prompt.ids, end), nullptr, 0, pool, device));
  while (sequence->position() < end) {
    StepPlan plan;
    sequence->Plan(std::min(device->max_rows(), end - sequence->position()), WantedLogits::kNone, &plan);
    plan.mass_heads.assign(heads.begin(), heads.end());
    plan.mass_ends = {sequence_ends};
    struct Row {
      bool asks, ends;
    };
    std::vector<Row> looked_at;
    for (PlanRow& row : plan.rows) {
      const bool asks = std::binary_search(question_rows.begin(), question_rows.end(), row.position);
      const bool ends = std::binary_search(end_rows.begin(), end_rows.end(), row.position);
      row.wants_mass = asks || ends;
      if (row.wants_mass) looked_at.push_back({asks, ends});
    }
    const size_t rows = plan.rows.size();
    const std::unique_ptr<StepFuture> step = device->Launch(std::move(plan));
    KEDGE_RETURN_IF_ERROR(step->Wait());
    KEDGE_RETURN_IF_ERROR(step->CheckRows(0, rows));
    for (size_t row = 0; row < looked_at.size(); ++row) {
      for (size_t head = 0; head < heads.size(); ++head) {
        AddMass(looked_at[row].asks, looked_at[row].ends, step->Mass(row, head),
                absl::MakeSpan(observed.from_question).subspan(head * count, count),
                absl::MakeSpan(observed.from_end).subspan(head * count, count));
      }
    }
  }
  return observed;
}

}  // namespace

absl::StatusOr<HeadRanking> Calibrate(absl::Span<const CalibrationText> texts, absl::Span<const HeadRef> heads,
                                      const CalibrationHooks& hooks, StepDevice* device) {
  uint64_t done = 0, all = 0;
  for (const CalibrationText& text : texts) {
    all += text.fork;
    for (const CalibrationPrompt& prompt : text.prompts) all += prompt.ids.size() - text.fork;
  }
  PagePool pool(device->num_pages());
  std::vector<ObservedPrompt> observed;
  for (const CalibrationText& text : texts) {
    hooks.progress(done, all);
    if (hooks.cancelled()) return absl::CancelledError("calibration: stopped");
    KEDGE_ASSIGN_OR_RETURN(const std::vector<PrefixState> prefix,
                           ComputePrefix(FullContent(text.prompts[0].ids, text.fork + 1), {text.fork}, {}, device));
    done += text.fork;
    for (const CalibrationPrompt& prompt : text.prompts) {
      hooks.progress(done, all);
      if (hooks.cancelled()) return absl::CancelledError("calibration: stopped");
      KEDGE_ASSIGN_OR_RETURN(ObservedPrompt made, Observe(prompt, prefix[0], heads, &pool, device));
      observed.push_back(std::move(made));
      done += prompt.ids.size() - text.fork;
    }
  }
  hooks.progress(done, all);
  return RankHeads(heads, observed);
}

}  // namespace kedge
