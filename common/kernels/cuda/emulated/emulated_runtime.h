// A device that is not there: kernels that g++ compiled, done by the calling thread.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_EMULATED_RUNTIME_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_EMULATED_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda {

struct EmulatedOptions {
  // Without one, everything is done at once and in the order of the calls, and blocks and threads in theirs. With one,
  // streams, blocks and threads take another order that CUDA allows, drawn from it.
  std::optional<uint64_t> seed;
  size_t memory_bytes = size_t{1} << 30;  // of the device
  DeviceProperties properties = {.name = "emulated device", .multiprocessors = 3, .shared_bytes = 227 << 10};
  // Asked before each call that can fail, named by the method ("NewMemory", "Launch"), from the thread that calls: what
  // it returns, if not OK, is the call's failure. May be nullptr.
  std::function<absl::Status(absl::string_view call)> fault;
};

// As Runtime says, and: one piece of work at a time, whichever threads wait. Memory is checked after each kernel, and a
// write beside it ends the program. Copies, fills and launches with addresses of host memory that is not pinned, or
// that reach beyond a memory, are refused; what kernels read through addresses within structs is not checked, and
// neither is a host that reads memory of the device.
std::unique_ptr<Runtime> CreateEmulatedRuntime(EmulatedOptions options);

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_EMULATED_RUNTIME_H_
