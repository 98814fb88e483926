// What the kernels of ChooseTokens leave for each other: ChooseScratchBytes of it.
#ifndef KEDGE_COMMON_KERNELS_CUDA_CHOOSE_SCRATCH_H_
#define KEDGE_COMMON_KERNELS_CUDA_CHOOSE_SCRATCH_H_

#include <algorithm>
#include <cstdint>

#include "common/kernels/cuda/kernels.h"

namespace kedge::cuda {

// Candidates by buckets: in each a sum of weights, in whole parts (high * 2^32 + low), and a number of them. Sums of
// whole numbers are the same in every order.
inline constexpr int kBucketBits = 10, kBuckets = 1 << kBucketBits;
struct Histogram {
  uint32_t low[kBuckets], high[kBuckets], count[kBuckets];
};

// Of a part of a row.
struct PartBest {
  uint64_t place = 0;  // candidates.h: that of the first of the largest
  uint32_t is_finite = 0;
  uint32_t unused = 0;
};

// A row is divided among so many blocks of threads: all rows together occupy the device.
constexpr int kLeastPart = 2048;  // columns
inline int PartsOf(const DeviceProperties& device, int rows, int columns) {
  const int wanted = (2 * device.multiprocessors + rows - 1) / rows;
  return std::max(1, std::min(wanted, columns / kLeastPart));
}

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_CHOOSE_SCRATCH_H_
