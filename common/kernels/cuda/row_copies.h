// KV rows between the host and pages, in turn with the steps: rows are gathered and scattered in the stream that
// computes, and cross in streams of their own beside it.
#ifndef KEDGE_COMMON_KERNELS_CUDA_ROW_COPIES_H_
#define KEDGE_COMMON_KERNELS_CUDA_ROW_COPIES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/payload.h"
#include "common/kernels/cuda/block_pool.h"
#include "common/kernels/cuda/device_data.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/pending_step.h"
#include "common/kernels/cuda/runtime.h"
#include "common/kernels/ops.h"
#include "common/kernels/row_buffer.h"

namespace kedge::cuda {

// Owned by one thread, but for NewBuffer.
class RowCopies {
 public:
  // All must outlive this. `pinned` serves others as well.
  static absl::StatusOr<std::unique_ptr<RowCopies>> Create(Runtime* runtime, const Kernels* kernels, Stream* compute,
                                                           BlockPool* pinned, DeviceHealth health);

  // Pinned; plain where no more can be pinned.
  RowBuffer NewBuffer(size_t size);

  // kResourceExhausted: there is no memory for it, and all else goes on.
  absl::StatusOr<std::unique_ptr<Pending>> Read(const CudaPages& pages, absl::Span<const RowRef> rows, RowBuffer out);
  absl::Status Write(const CudaPages& pages, absl::Span<const RowRef> rows, Payload in);
  absl::Status Copy(const CudaPages& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to);

 private:
  RowCopies(Runtime* runtime, const Kernels* kernels, Stream* compute, BlockPool* pinned, DeviceHealth health);

  // On the device when the stream that computes is there.
  absl::StatusOr<std::shared_ptr<Block>> Upload(absl::Span<const RowRef> rows);
  // Makes the checksum of rows that lie in `frame`, beside the stream that computes; null where it is the host's to
  // make. The block, pinned, begins with it.
  absl::StatusOr<std::shared_ptr<Block>> Sum(const RowSum& wanted, const Block& frame, size_t bytes);
  absl::StatusOr<std::shared_ptr<Event>> RecordIn(Stream& stream);
  // Payloads that a stream still reads or writes, and until when.
  using Held = std::deque<std::pair<Payload, std::shared_ptr<Event>>>;
  static void Hold(Payload payload, std::shared_ptr<Event> until, Held& held);

  Runtime* const runtime_;
  const Kernels* const kernels_;
  Stream* const compute_;
  BlockPool* const pinned_;
  BlockPool device_;
  std::unique_ptr<Stream> to_device_, to_host_;
  Held held_to_device_, held_to_host_;
  const DeviceHealth health_;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_ROW_COPIES_H_
