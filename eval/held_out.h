// The texts that no model measured here was trained on: eval/testdata, built into the program.
#ifndef KEDGE_EVAL_HELD_OUT_H_
#define KEDGE_EVAL_HELD_OUT_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kedge {

struct HeldOutDocument {
  absl::string_view name;
  absl::string_view text;  // UTF-8
};

// Lives as long as the program.
absl::Span<const HeldOutDocument> HeldOutDocuments();

}  // namespace kedge

#endif  // KEDGE_EVAL_HELD_OUT_H_
