// Measures one text under policies that share rows.
#ifndef KEDGE_EVAL_MEASURE_TEXT_H_
#define KEDGE_EVAL_MEASURE_TEXT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/salience.h"
#include "common/kernels/step.h"
#include "eval/baselines.h"
#include "eval/eval_texts.h"
#include "eval/head_rows.h"
#include "eval/measure.h"
#include "eval/scoring.h"

namespace kedge {

// What measuring needs to know of the model.
struct MeasureOptions {
  std::string fingerprint;
  SalienceHeads heads;            // choose salient sequences
  uint32_t num_heads = 0;         // query heads: whose attention chooses rows by head
  std::vector<uint32_t> end_ids;  // end an answer; sorted
  TextOf text_of;                 // what a client would see
  IdsOf ids_of;
  uint32_t batch = 16;  // sequences that share a step
};

// Full attention's part of a text: [cases] each.
struct TextReference {
  std::vector<Reference> references;
  std::vector<Outcome> outcomes;
};

// Of the prompts with what follows them, the most rows.
uint32_t MostRows(const EvalText& text, const MeasureOptions& options);

// Outcomes [policies][cases] of policies that share rows (ShareRows). An empty `reference` is made on the way; then
// they have full prefills. Answers of all policies and of several cases share steps. kResourceExhausted: the pages of
// `device` do not hold a prompt, what its policy keeps of it, and MostRows(text) rows beside them.
absl::StatusOr<std::vector<std::vector<Outcome>>> MeasureText(const EvalText& text,
                                                              absl::Span<const EvalPolicy* const> policies,
                                                              const MeasureOptions& options, StepDevice* device,
                                                              TextReference* reference);

}  // namespace kedge

#endif  // KEDGE_EVAL_MEASURE_TEXT_H_
