// How tokens are chosen while an engine is measured.
#ifndef KEDGE_BENCH_SAMPLE_H_
#define KEDGE_BENCH_SAMPLE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/kernels/step.h"  // TokenChoice

namespace kedge {

// "temperature=1,top_p=0.9": any of temperature, top_p, min_p, top_k and seed, as a request would have them.
// kInvalidArgument names the part that is wrong, and the names.
absl::StatusOr<TokenChoice> ParseSample(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_BENCH_SAMPLE_H_
