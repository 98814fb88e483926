// Queues a kernel, in a file that nvcc or g++ compiles:
//
//   KEDGE_RETURN_IF_ERROR(Launch(stream, {.grid = {rows}, .block = {256}}, AddRows, x, y, size));
#ifndef KEDGE_COMMON_KERNELS_CUDA_LAUNCH_H_
#define KEDGE_COMMON_KERNELS_CUDA_LAUNCH_H_

#include <tuple>
#include <type_traits>
#include <utility>

#include "common/kernels/cuda/runtime.h"
#include "common/kernels/cuda/target.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// Arguments are converted to the kernel's parameters and copied.
template <typename... Parameters, typename... Arguments>
absl::Status Launch(Stream& stream, const LaunchShape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
  std::tuple<std::decay_t<Parameters>...> values(std::forward<Arguments>(arguments)...);
  KernelCall call;
  std::apply(
      [&](auto&... each) {
        [[maybe_unused]] const auto note = [&call](const auto& value) {
          if constexpr (std::is_pointer_v<std::decay_t<decltype(value)>>) call.addresses.push_back(value);
        };
        (note(each), ...);
#ifdef __CUDACC__
        call.function = reinterpret_cast<const void*>(kernel);
        call.arguments = {const_cast<void*>(static_cast<const void*>(&each))...};
      },
      values);
#else
      },
      values);
  call.body = [kernel, values] { std::apply(kernel, values); };
#endif
  return stream.Launch(shape, call);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_LAUNCH_H_
