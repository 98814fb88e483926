// Brings weights to the device.
#ifndef KEDGE_COMMON_KERNELS_CUDA_UPLOADER_H_
#define KEDGE_COMMON_KERNELS_CUDA_UPLOADER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cuda/device_data.h"
#include "common/kernels/cuda/runtime.h"
#include "common/kernels/tensor_type.h"

namespace kedge::cuda {

// Packs pieces on all threads into one of two pinned buffers while the other one is copied. The buffers go with the
// uploader. Owned by one thread.
class Uploader {
 public:
  // Both must outlive this.
  Uploader(Runtime* runtime, Stream* stream, int threads) : runtime_(runtime), stream_(stream), pool_(threads) {}

  absl::StatusOr<std::unique_ptr<CudaMatrix>> Load(TensorType type, int outputs, int inputs,
                                                   absl::Span<const uint8_t> data);
  absl::StatusOr<std::unique_ptr<CudaVector>> Load(absl::Span<const float> values);

 private:
  struct Buffer {
    std::unique_ptr<Memory> memory;
    std::unique_ptr<Event> copied;
  };

  // A buffer of that many bytes at least, whose last copy is done.
  absl::StatusOr<Buffer*> Next(size_t bytes);
  absl::Status Send(Buffer& from, size_t bytes, uint8_t* to);

  Runtime* const runtime_;
  Stream* const stream_;
  ThreadPool pool_;
  Buffer buffers_[2];
  size_t used_ = 0;  // how many times a buffer was
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_UPLOADER_H_
