// Tested by tests/cuda_steps_test.cc.
#include "common/kernels/cuda/uploader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/status.h"
#include "common/kernels/cuda/weights.h"

namespace kedge::cuda {
namespace {

constexpr size_t kBufferBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<Uploader::Buffer*> Uploader::Next(size_t bytes) {
  Buffer& buffer = buffers_[used_++ % 2];
  if (buffer.copied == nullptr) {
    KEDGE_ASSIGN_OR_RETURN(buffer.copied, runtime_->NewEvent());
  }
  KEDGE_RETURN_IF_ERROR(buffer.copied->Wait());
  if (buffer.memory == nullptr || buffer.memory->bytes() < bytes) {
    KEDGE_ASSIGN_OR_RETURN(buffer.memory, runtime_->NewPinnedMemory(std::max(kBufferBytes, bytes)));
  }
  return &buffer;
}

absl::Status Uploader::Send(Buffer& from, size_t bytes, uint8_t* to) {
  KEDGE_RETURN_IF_ERROR(stream_->Copy(to, from.memory->data(), bytes));
  return stream_->Record(*from.copied);
}

absl::StatusOr<std::unique_ptr<CudaMatrix>> Uploader::Load(TensorType type, int outputs, int inputs,
                                                           absl::Span<const uint8_t> data) {
  auto matrix = std::make_unique<CudaMatrix>();
  const WeightForm form = FormOf(type);
  KEDGE_ASSIGN_OR_RETURN(matrix->memory, runtime_->NewMemory(PackedBytes(form, outputs, inputs)));
  matrix->view = {form, outputs, inputs, matrix->memory->data()};
  // A piece is whole groups: all have the same size.
  const int groups = static_cast<int>(Groups(form, outputs));
  const size_t group_bytes = GroupBytes(form, inputs);
  const int at_once = static_cast<int>(std::max<size_t>(kBufferBytes / group_bytes, 1));
  for (int first = 0; first < groups; first += at_once) {
    const int count = std::min(at_once, groups - first);
    KEDGE_ASSIGN_OR_RETURN(Buffer * buffer, Next(count * group_bytes));
    pool_.ParallelFor(count, 1, [&](int begin, int end) {
      PackGroups(type, outputs, inputs, data, first + begin, end - begin,
                 buffer->memory->data() + begin * group_bytes);
    });
    KEDGE_RETURN_IF_ERROR(Send(*buffer, count * group_bytes, matrix->memory->data() + first * group_bytes));
  }
  return matrix;
}

absl::StatusOr<std::unique_ptr<CudaVector>> Uploader::Load(absl::Span<const float> values) {
  auto vector = std::make_unique<CudaVector>();
  const size_t bytes = values.size() * sizeof(float);
  KEDGE_ASSIGN_OR_RETURN(vector->memory, runtime_->NewMemory(std::max<size_t>(bytes, 1)));
  vector->data = reinterpret_cast<const float*>(vector->memory->data());
  vector->size = static_cast<int>(values.size());
  for (size_t done = 0; done < bytes; done += kBufferBytes) {
    const size_t size = std::min(kBufferBytes, bytes - done);
    KEDGE_ASSIGN_OR_RETURN(Buffer * buffer, Next(size));
    std::memcpy(buffer->memory->data(), reinterpret_cast<const uint8_t*>(values.data()) + done, size);
    KEDGE_RETURN_IF_ERROR(Send(*buffer, size, vector->memory->data() + done));
  }
  return vector;
}

}  // namespace kedge::cuda
