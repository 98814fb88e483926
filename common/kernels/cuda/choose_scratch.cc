#include "common/kernels/cuda/choose_scratch.h"

namespace kedge::cuda {

// Histograms [rows], PartBests [rows][parts]. As much as fewer rows need, which have more parts each.
size_t ChooseScratchBytes(const DeviceProperties& device, int rows, int columns) {
  const size_t parts = std::max<size_t>(
      rows, std::min<size_t>(2 * device.multiprocessors + rows, size_t(rows) * (columns / kLeastPart)));
  return rows * sizeof(Histogram) + parts * sizeof(PartBest);
}

}  // namespace kedge::cuda
