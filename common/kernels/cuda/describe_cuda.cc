// Works without a driver: libcudart_static.a looks for it at the first call.
//
// Tested by device_runtime_test.cc.
#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "common/kernels/cuda/cuda_status.h"
#include "common/kernels/cuda/device_runtime.h"
#include "toolkit.h"  // @cuda

namespace kedge::cuda {
namespace {

// 13000: "13.0".
std::string Version(int number) { return absl::StrCat(number / 1000, ".", number % 1000 / 10); }

std::string WhyNone(cudaError_t error, const std::string& version, const std::string& most_version) {
  if (most_version.empty()) return "there is no NVIDIA driver (libcuda.so.1) on this machine";
  if (error == cudaErrorInsufficientDriver) {
    return absl::StrCat("the NVIDIA driver is too old: it serves CUDA up to ", most_version,
                        ", and this Kedge was built with ", version);
  }
  if (error == cudaSuccess || error == cudaErrorNoDevice) return "the NVIDIA driver knows of no GPU";
  return std::string(CudaStatus("the NVIDIA driver", error).message());
}

}  // namespace

CudaDescription DescribeCuda() {
  CudaDescription cuda = {
      .is_built_in = true, .version = Version(CUDART_VERSION), .toolkit = KEDGE_CUDA_TOOLKIT, .code = KEDGE_CUDA_CODE};
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0) cuda.most_version = Version(driver);
  cudaError_t error = cudaGetDeviceCount(&count);
  for (int i = 0; error == cudaSuccess && i < count; ++i) {
    cudaDeviceProp found;
    error = cudaGetDeviceProperties(&found, i);
    if (error != cudaSuccess) break;
    cuda.devices.push_back({found.name, absl::StrCat(found.major, ".", found.minor), found.totalGlobalMem});
  }
  if (cuda.devices.empty()) cuda.why_none = WhyNone(error, cuda.version, cuda.most_version);
  cudaGetLastError();  // which the description tells
  return cuda;
}

}  // namespace kedge::cuda
