// Rows out of pages into a frame and back. A thread copies the same piece of a row in several parts, a part being keys
// or values of a layer and KV head: neighbours copy neighbouring pieces, whichever the row. Types that are smaller in a
// frame than in a page have a kernel of their own. Tested by kv_rows_test.cc.
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/pages.h"

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

constexpr int kGroup = 4;  // numbers of a thread: in 6 bits and in 4 they are whole bytes

// `left` numbers are there from here on. sign: the highest of a number's bits.
template <bool to_frame>
__device__ void MoveGroup(int bits, int left, uint8_t* paged, uint8_t* framed) {
  const int numbers = min(left, kGroup), bytes = (numbers * bits + 7) / 8;
  const unsigned sign = 1u << (bits - 1), mask = 2 * sign - 1;
  unsigned held = 0;
  if (to_frame) {
    for (int i = 0; i < numbers; ++i) held |= (paged[i] & mask) << i * bits;
    for (int i = 0; i < bytes; ++i) framed[i] = static_cast<uint8_t>(held >> 8 * i);
  } else {
    for (int i = 0; i < bytes; ++i) held |= static_cast<unsigned>(framed[i]) << 8 * i;
    for (int i = 0; i < numbers; ++i) paged[i] = static_cast<uint8_t>(((held >> i * bits & mask) ^ sign) - sign);
  }
}

struct PackedPart {
  int bits;
  int number_bytes;  // of a row in a frame
};

// A grid of (groups and scales of all rows, heads of all layers, key and value). Parts in a frame may begin anywhere.
template <bool to_frame>
__global__ void __launch_bounds__(kThreads)
    MovePackedRows(Pages pages, PackedPart key, PackedPart value, const RowRef* rows, int count, uint8_t* frame) {
  const int groups = (pages.head_dim + kGroup - 1) / kGroup, scales = ScalesOfRow<int8_t>(pages.head_dim);
  const int scale_bytes = scales * static_cast<int>(sizeof(uint16_t));
  const size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x, row = i / (groups + scales);
  if (row >= static_cast<size_t>(count)) return;
  const RowRef ref = rows[row];
  if (!to_frame && ref.page == kNoPage) return;
  const int piece = static_cast<int>(i % (groups + scales)), heads = pages.layers * pages.kv_heads;
  const PackedPart part = blockIdx.z == 0 ? key : value;
  const size_t key_bytes = key.number_bytes + scale_bytes, pair_bytes = key_bytes + value.number_bytes + scale_bytes;
  uint8_t* const framed = frame + count * (blockIdx.y * pair_bytes + (blockIdx.z == 0 ? 0 : key_bytes)) +
                          row * (part.number_bytes + scale_bytes);
  uint8_t* const paged = pages.data + ((size_t{ref.page} * heads + blockIdx.y) * 2 + blockIdx.z) * kPageRows *
                                          (pages.stride() + scale_bytes);
  if (piece < groups) {
    const int first = piece * kGroup;
    MoveGroup<to_frame>(part.bits, pages.head_dim - first, paged + ref.index * pages.stride() + first,
                        framed + first * part.bits / 8);
    return;
  }
  const int at = (piece - groups) * static_cast<int>(sizeof(uint16_t));
  uint8_t* const paged_scale = paged + kPageRows * pages.stride() + ref.index * scale_bytes + at;
  uint8_t* const framed_scale = framed + part.number_bytes + at;
  for (int byte = 0; byte < static_cast<int>(sizeof(uint16_t)); ++byte) {
    if (to_frame) framed_scale[byte] = paged_scale[byte];
    if (!to_frame) paged_scale[byte] = framed_scale[byte];
  }
}

template <bool to_frame>
absl::Status MovePacked(Stream& stream, const Pages& pages, const RowRef* rows, int count, uint8_t* frame) {
  const uint32_t head_dim = static_cast<uint32_t>(pages.head_dim);
  const auto part_of = [&](KvPart part) {
    return PackedPart{static_cast<int>(KvBits(pages.type, part)),
                      static_cast<int>(KvNumberBytes(pages.type, part, head_dim))};
  };
  const size_t pieces = (head_dim + kGroup - 1) / kGroup + ScaleBlocks(head_dim);
  return Launch(stream,
                {.grid = {static_cast<unsigned>((count * pieces + kThreads - 1) / kThreads),
                          static_cast<unsigned>(pages.layers * pages.kv_heads), 2},
                 .block = {kThreads}},
                MovePackedRows<to_frame>, pages, part_of(KvPart::kKey), part_of(KvPart::kValue), rows, count, frame);
}

template <bool to_frame>
absl::Status Move(Stream& stream, const Pages& pages, const RowRef* rows, int count, uint8_t* frame) {
  if (count == 0) return absl::OkStatus();
  if (PageType(pages.type) != pages.type) return MovePacked<to_frame>(stream, pages, rows, count, frame);
  const int element = KvTypeBytes(pages.type);
  const PartShape shape = {2 * pages.layers * pages.kv_heads, static_cast<int>(PagePartBytes(pages.type, pages.head_dim)),
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
