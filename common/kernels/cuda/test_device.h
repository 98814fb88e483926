// An emulated device for tests of single kernels: a stream, and memory that it fills and reads.
#ifndef KEDGE_COMMON_KERNELS_CUDA_TEST_DEVICE_H_
#define KEDGE_COMMON_KERNELS_CUDA_TEST_DEVICE_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/check.h"
#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda {

class TestDevice {
 public:
  // `seed`: EmulatedOptions::seed.
  explicit TestDevice(std::optional<uint64_t> seed)
      : runtime_(CreateEmulatedRuntime({.seed = seed})), stream_(*runtime_->NewStream()) {}

  Stream& stream() { return *stream_; }
  const DeviceProperties& properties() const { return runtime_->properties(); }

  // Memory of the device. New: of NaN.
  template <typename T>
  T* Upload(const std::vector<T>& values) {
    Memory& pinned = Pinned(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(pinned.data(), values.data(), values.size() * sizeof(T));
    T* to = New<T>(values.size());
    KEDGE_CHECK(stream_->Copy(to, pinned.data(), values.size() * sizeof(T)).ok());
    return to;
  }
  template <typename T>
  T* New(size_t size) {
    memories_.push_back(*runtime_->NewMemory(size * sizeof(T) + 1));  // a memory of nothing has no address
    KEDGE_CHECK(stream_->Fill(memories_.back()->data(), 0xff, size * sizeof(T)).ok());
    return reinterpret_cast<T*>(memories_.back()->data());
  }
  template <typename T>
  T* NewPinned(size_t size) {
    Memory& pinned = Pinned(size * sizeof(T));
    std::memset(pinned.data(), 0xff, size * sizeof(T));
    return reinterpret_cast<T*>(pinned.data());
  }
  // Waits for all that was queued.
  template <typename T>
  std::vector<T> Download(const T* from, size_t size) {
    Memory& pinned = Pinned(size * sizeof(T));
    KEDGE_CHECK(stream_->Copy(pinned.data(), from, size * sizeof(T)).ok());
    KEDGE_CHECK(stream_->Wait().ok());
    std::vector<T> values(size);
    if (size > 0) std::memcpy(static_cast<void*>(values.data()), pinned.data(), size * sizeof(T));
    return values;
  }

 private:
  Memory& Pinned(size_t bytes) {
    memories_.push_back(*runtime_->NewPinnedMemory(bytes + 1));
    return *memories_.back();
  }

  std::unique_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<Memory>> memories_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_TEST_DEVICE_H_
