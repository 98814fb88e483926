// One run of an engine in this process: prompts are read under a policy, then written on, and both are timed.
#ifndef KEDGE_BENCH_ENGINE_RUN_H_
#define KEDGE_BENCH_ENGINE_RUN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/salience.h"
#include "common/kernels/step.h"

namespace kedge {

// One stream: a prompt, whose fields are set as a node would have them, and the ids that are written behind it. They
// are given, whatever is chosen: every policy writes the same text.
struct EngineStream {
  Content prompt;  // ids.size() == prompt_length
  std::vector<uint32_t> written;
};

struct EngineRun {
  absl::Duration prompt_time;  // of all prompts, the last rows with their logits included
  absl::Duration prompt_idle;  // of that, without a step under way: the device had nothing to do
  uint64_t held_pages = 0;     // by all streams, once the prompts are read: what an idle session holds
  absl::Duration decode_time;
  absl::Duration decode_idle;
  uint64_t decode_steps = 0;
  uint64_t decode_rows = 0;
  uint64_t visible_rows = 0;     // that the decode rows were shown, themselves included
  std::vector<uint32_t> chosen;  // with `sample`: a token behind each decode row, in order
};

// Pages that the streams need at once.
uint64_t PagesFor(absl::Span<const EngineStream> streams, uint32_t chunk);

// Reads the prompts one after the other in steps of as many rows as the device takes, then writes on with all streams
// in one step, each in turn until its ids have been used. `sample`: how a token is chosen behind each of these rows, as
// part of the time; nullopt: none is. kResourceExhausted: the device has too few pages. REQUIRES: streams write equally
// many ids; no more streams than a step has rows.
absl::StatusOr<EngineRun> RunEngine(absl::Span<const EngineStream> streams, const SalienceHeads& heads,
                                    const std::optional<TokenChoice>& sample, StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_BENCH_ENGINE_RUN_H_
