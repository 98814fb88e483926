// CUDA's own functions behind runtime.h, and what of CUDA this program and this machine have. Links in every build;
// without --config=cuda there is nothing behind it (no_device_runtime.cc).
#ifndef KEDGE_COMMON_KERNELS_CUDA_DEVICE_RUNTIME_H_
#define KEDGE_COMMON_KERNELS_CUDA_DEVICE_RUNTIME_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda {

struct DeviceDescription {
  std::string name;                // "NVIDIA H200"
  std::string compute_capability;  // "9.0"
  uint64_t memory_bytes = 0;
};

struct CudaDescription {
  bool is_built_in = false;
  std::string version;       // of the toolkit that the program was built with: "13.0"
  std::string toolkit;       // where that was
  std::string code;          // which code the program holds: "sm_80,sm_90a,compute_90"
  std::string most_version;  // up to which the driver serves; "" without one
  std::vector<DeviceDescription> devices;
  std::string why_none;  // one line where there are no devices
};

// Asks the driver, if there is one, and changes nothing on a device. Thread-safe.
CudaDescription DescribeCuda();

// The device of that number. kFailedPrecondition where it cannot be used, with the reason: this program was built
// without CUDA; there is no driver, or too old a one; there is no such device, or it is older than the kernels' code.
//
// As Runtime says, and: an error that a device does not come back from is remembered, and every later call fails with
// it at once (kInternal, "the device is lost: ..."). A thread that calls has made the device its current one, and
// whoever makes another one current on such a thread makes this one current again.
absl::StatusOr<std::unique_ptr<Runtime>> CreateDeviceRuntime(int device);

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_DEVICE_RUNTIME_H_
