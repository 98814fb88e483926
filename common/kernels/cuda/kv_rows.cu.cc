// Rows out of pages into a frame and back. A thread copies the same piece of a row in several parts, a part being keys
// or values of a layer and KV head: neighbours copy neighbouring pieces, whichever the row. Tested by kv_rows_test.cc.
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr int kParts = 4;  // of a thread

struct PartShape {
  int parts;         // of a row
  int head_bytes;    // of a row in a part, in a frame: numbers, then scales
  int number_bytes;  // of these the numbers
  int row_bytes;     // those in a page, whose scales lie behind the numbers of all rows
  __device__ int scale_bytes() const { return head_bytes - number_bytes; }
};

// A grid of (pieces of all rows, parts / kParts).
template <bool to_frame, typename Piece>
__global__ void __launch_bounds__(kThreads)
    MoveRows(PartShape shape, uint8_t* pages, const RowRef* rows, int count, uint8_t* frame) {
  const int pieces = shape.head_bytes / static_cast<int>(sizeof(Piece));
  const size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x, row = i / pieces;
  if (row >= static_cast<size_t>(count)) return;
  const RowRef ref = rows[row];
  if (!to_frame && ref.page == kNoPage) return;
  const size_t in_row = i % pieces * sizeof(Piece);
  const size_t number_bytes = shape.number_bytes, in_frame = row * shape.head_bytes + in_row;
  const size_t in_page = in_row < number_bytes ? size_t{ref.index} * shape.row_bytes + in_row
                                               : size_t{kPageRows} * shape.row_bytes +
                                                     size_t{ref.index} * shape.scale_bytes() + (in_row - number_bytes);
  const auto paged = [&](int part) {
    const size_t begin = (size_t{ref.page} * shape.parts + part) * kPageRows * (shape.row_bytes + shape.scale_bytes());
    return reinterpret_cast<Piece*>(pages + begin + in_page);
  };
  const auto framed = [&](int part) {
    return reinterpret_cast<Piece*>(frame + size_t(part) * count * shape.head_bytes + in_frame);
  };
  const int first = blockIdx.y * kParts;
  Piece held[kParts];
#pragma unroll
  for (int k = 0; k < kParts; ++k) {
    if (first + k < shape.parts) held[k] = to_frame ? *paged(first + k) : *framed(first + k);
  }
#pragma unroll
  for (int k = 0; k < kParts; ++k) {
    if (first + k < shape.parts) *(to_frame ? framed(first + k) : paged(first + k)) = held[k];
  }
}

template <bool to_frame>
absl::Status Move(Stream& stream, const Pages& pages, const RowRef* rows, int count, uint8_t* frame) {
  if (count == 0) return absl::OkStatus();
  const int element = KvTypeBytes(pages.type);
  const PartShape shape = {2 * pages.layers * pages.kv_heads, static_cast<int>(KvPartBytes(pages.type, pages.head_dim)),
                           pages.head_dim * element, pages.stride() * element};
  const auto launch = [&]<typename Piece>() {
    const size_t threads = size_t(count) * (shape.head_bytes / sizeof(Piece));
    return Launch(stream,
                  {.grid = {static_cast<unsigned>((threads + kThreads - 1) / kThreads),
                            static_cast<unsigned>((shape.parts + kParts - 1) / kParts)},
                   .block = {kThreads}},
                  MoveRows<to_frame, Piece>, shape, pages.data, rows, count, frame);
  };
  // Rows of a frame lie one behind the other.
  const size_t alignment = reinterpret_cast<uintptr_t>(frame) | static_cast<size_t>(shape.head_bytes) |
                           static_cast<size_t>(shape.number_bytes);
  if (alignment % 16 == 0) return launch.template operator()<uint4>();
  if (alignment % 8 == 0) return launch.template operator()<uint2>();
  if (alignment % 4 == 0) return launch.template operator()<uint32_t>();
  return launch.template operator()<uint16_t>();
}

}  // namespace

absl::Status GatherRows(Stream& stream, const Pages& pages, const RowRef* rows, int count, uint8_t* frame) {
  return Move<true>(stream, pages, rows, count, frame);
}
absl::Status ScatterRows(Stream& stream, const uint8_t* frame, const RowRef* rows, int count, const Pages& pages) {
  return Move<false>(stream, pages, rows, count, const_cast<uint8_t*>(frame));
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
