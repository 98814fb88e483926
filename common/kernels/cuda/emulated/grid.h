// Runs a grid of blocks of threads: blocks one after another, the threads of a block as fibers that take turns at
// barriers.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_GRID_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_GRID_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda::emulated {

struct GridOptions {
  // Without one, blocks and threads run in ascending order; with one, in an order drawn from it.
  std::optional<uint64_t> seed;
};

// Runs body() once for each thread, on the calling thread. A kernel's mistake (threads that wait for each other
// forever, a warp that meets at different calls, an address that an instruction cannot take) ends the program and says
// which thread made it. REQUIRES: a shape that the device takes (CheckShape).
void RunGrid(const LaunchShape& shape, const GridOptions& options, const std::function<void()>& body);

// InvalidArgument for what an H200 does not take, which names the number.
absl::Status CheckShape(const LaunchShape& shape);

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_GRID_H_
