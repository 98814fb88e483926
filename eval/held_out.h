// The texts built into the program (eval/testdata): those that are measured on, and those that settings are fitted on.
#ifndef KEDGE_EVAL_HELD_OUT_H_
#define KEDGE_EVAL_HELD_OUT_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kedge {

struct HeldOutDocument {
  absl::string_view kind;  // "prose", "documentation", "code", "data"; empty: of somebody's own
  absl::string_view name;
  absl::string_view text;  // UTF-8
};

// No model or adapter of this project was trained on them, and nothing is fitted on them. In order of kind and name.
// Lives as long as the program, as all of this file.
absl::Span<const HeldOutDocument> HeldOutDocuments();

// What fits settings (`kedge calibrate`) and needs ordinary text (`kedge bench`). No line of the former is among them.
absl::Span<const HeldOutDocument> CalibrationDocuments();

}  // namespace kedge

#endif  // KEDGE_EVAL_HELD_OUT_H_
