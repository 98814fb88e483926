// Answers of many requests at once, as a decode node writes them: timed.
#ifndef KEDGE_TESTS_GPU_CHECK_DECODE_H_
#define KEDGE_TESTS_GPU_CHECK_DECODE_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/anchor/content.h"
#include "common/kernels/step.h"

namespace kedge {

// A prompt under `salient`: `salient_rows` of it are kept besides the first rows and the window at its end, as if a
// choice had been made.
Content SalientPrompt(uint32_t prompt_rows, uint32_t salient_rows, uint32_t vocab_size);

struct DecodeWork {
  uint32_t batch = 1;
  uint32_t visible_rows = 512;  // of each request, in the middle of the run
  uint32_t steps = 64;          // that are timed
  float temperature = 0;
};

struct DecodeRun {
  absl::Duration time;  // of all timed steps
  absl::Duration busy;  // of it, with a step under way: what the host can tell of the device's time
  std::optional<absl::Duration> at_work;  // the device's own word for it, where it has one
  uint64_t rows_read = 0;
};

// Pages for the work.
uint64_t PagesFor(const DecodeWork& work);

// Requests whose prompts came from elsewhere, with keys and values that are only numbers: each writes a token a step,
// chosen by the device; where it runs ahead, the next step is under way meanwhile.
absl::StatusOr<DecodeRun> RunDecode(const DecodeWork& work, StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_TESTS_GPU_CHECK_DECODE_H_
