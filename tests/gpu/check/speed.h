// How fast a backend is in the shapes of real models: answers, prompts, rows. Nothing is judged here: table.py puts the
// figures beside what the machine reaches at best.
#ifndef KEDGE_TESTS_GPU_CHECK_SPEED_H_
#define KEDGE_TESTS_GPU_CHECK_SPEED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/kernels/tensor_type.h"
#include "common/node/load_model.h"

namespace kedge {

struct SpeedOptions {
  DeviceOptions device;
  std::string shape = "8B";
  TensorType type = TensorType::kQ8_0;
  int layers = 0;  // 0: as many as the shape has; fewer for a trial
  std::vector<uint32_t> batches = {1, 32, 256};
  uint32_t visible_rows = 512;
  uint32_t steps = 64;
  uint32_t prompt_rows = 4096;
};

// Reports each figure as soon as there is one.
absl::Status MeasureSpeed(const SpeedOptions& options);

}  // namespace kedge

#endif  // KEDGE_TESTS_GPU_CHECK_SPEED_H_
