// KV rows in pages, as kernels meet them: where they lie, which of them a row of a step sees, and their elements as
// floats. An element is a float, a __half, a __nv_bfloat16, or an int8_t, whose scale is apart; kernels take two or
// more at a time (head_dim is even).
#ifndef KEDGE_COMMON_KERNELS_CUDA_PAGES_H_
#define KEDGE_COMMON_KERNELS_CUDA_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/status/status.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/device.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// --- Where ---

template <typename T>
inline constexpr bool kHasScales = std::is_same_v<T, int8_t>;
// Of a row of one head.
template <typename T>
__device__ constexpr int ScalesOfRow(int head_dim) {
  return kHasScales<T> ? (head_dim + static_cast<int>(kScaleBlock) - 1) / static_cast<int>(kScaleBlock) : 0;
}

// A page's keys or values and their scales.
template <typename T>
__device__ inline size_t PartBytes(const Pages& pages) {
  return kPageRows * (pages.stride() * sizeof(T) + ScalesOfRow<T>(pages.head_dim) * sizeof(__half));
}
template <typename T>
__device__ inline T* KeysOf(const Pages& pages, PageId page, int layer, int kv_head) {
  const size_t head = (size_t{page} * pages.layers + layer) * pages.kv_heads + kv_head;
  return reinterpret_cast<T*>(pages.data + head * 2 * PartBytes<T>(pages));
}
template <typename T>
__device__ inline T* ValuesOf(const Pages& pages, PageId page, int layer, int kv_head) {
  return reinterpret_cast<T*>(reinterpret_cast<uint8_t*>(KeysOf<T>(pages, page, layer, kv_head)) + PartBytes<T>(pages));
}
// Of keys or values that begin there.
template <typename T>
__device__ inline __half* ScalesBehind(T* numbers, int stride) {
  return reinterpret_cast<__half*>(numbers + kPageRows * stride);
}

// --- Which: pages of K in ascending order of index, then pages of R in ascending order of position ---

__device__ inline uint32_t KeptPages(const StepRow& row) { return (row.kept_end + kPageRows - 1) / kPageRows; }
__device__ inline uint32_t SeenPages(const StepRow& row) {
  return KeptPages(row) + row.position / kPageRows - row.recent_begin / kPageRows + 1;
}

struct PagePlace {
  PageId page;
  bool is_kept;
  uint32_t start;  // the index in K, or the position, of the page's first row
};
// REQUIRES: i < SeenPages(row).
__device__ inline PagePlace PlaceOf(const StepRow& row, const PageId* pages, uint32_t i) {
  const uint32_t kept = KeptPages(row);
  if (i < kept) return {pages[row.kept_pages + i], true, i * kPageRows};
  const uint32_t index = row.recent_begin / kPageRows + i - kept;
  return {pages[row.recent_pages + index], false, index * kPageRows};
}

// What a row sees of a page: its rows [begin, end), none where end is not above begin.
struct SeenRows {
  int begin, end;
};
__device__ inline SeenRows SeenOf(const StepRow& row, const PagePlace& place) {
  const auto in_page = [&](uint32_t at) {
    return static_cast<int>(min(max(at, place.start) - place.start, kPageRows));
  };
  if (place.is_kept) return {0, in_page(row.kept_end)};
  return {in_page(row.recent_begin), in_page(row.position + 1)};
}

// --- Elements ---

struct __attribute__((aligned(2))) BytePair {
  int8_t x, y;
};
template <typename T>
using PairOf =
    std::conditional_t<std::is_same_v<T, float>, float2,
                       std::conditional_t<std::is_same_v<T, __half>, __half2,
                                          std::conditional_t<std::is_same_v<T, int8_t>, BytePair, __nv_bfloat162>>>;

__device__ inline float2 FloatsOf(float2 pair) { return pair; }
__device__ inline float2 FloatsOf(__half2 pair) { return __half22float2(pair); }
__device__ inline float2 FloatsOf(__nv_bfloat162 pair) { return __bfloat1622float2(pair); }
__device__ inline float2 FloatsOf(BytePair pair) { return {static_cast<float>(pair.x), static_cast<float>(pair.y)}; }

// Without scales.
template <typename T>
__device__ inline PairOf<T> Rounded(float2 pair) {
  if constexpr (std::is_same_v<T, float>) {
    return pair;
  } else if constexpr (std::is_same_v<T, __half>) {
    return __floats2half2_rn(pair.x, pair.y);
  } else {
    return __floats2bfloat162_rn(pair.x, pair.y);
  }
}

template <typename T>
__device__ inline float2 LoadPair(const T* from) {
  return FloatsOf(*reinterpret_cast<const PairOf<T>*>(from));
}
// `from` is aligned to 16 bytes, or to eight elements.
template <typename T>
__device__ inline void LoadEight(const T* from, float (&out)[8]) {
  if constexpr (std::is_same_v<T, int8_t>) {
    const uint2 bytes = *reinterpret_cast<const uint2*>(from);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      out[i] = static_cast<float>(static_cast<int8_t>(bytes.x >> 8 * i));
      out[4 + i] = static_cast<float>(static_cast<int8_t>(bytes.y >> 8 * i));
    }
  } else {
    constexpr int kPieces = sizeof(T) / 2;
    uint4 pieces[kPieces];
#pragma unroll
    for (int i = 0; i < kPieces; ++i) pieces[i] = reinterpret_cast<const uint4*>(from)[i];
    const PairOf<T>* pairs = reinterpret_cast<const PairOf<T>*>(pieces);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = FloatsOf(pairs[i]);
      out[2 * i] = pair.x;
      out[2 * i + 1] = pair.y;
    }
  }
}

// --- The host's side ---

inline constexpr size_t kMostSharedBytes = 99 << 10;  // that every device has for a block

// body.operator()<T>() for the type's element.
template <typename Body>
absl::Status ForElement(KvType type, Body body) {
  switch (type) {
    case KvType::kF32:
      return body.template operator()<float>();
    case KvType::kF16:
      return body.template operator()<__half>();
    case KvType::kBF16:
      return body.template operator()<__nv_bfloat16>();
    case KvType::kQ8:
    case KvType::kK6V4:
      return body.template operator()<int8_t>();
  }
  return absl::InvalidArgumentError("pages: unknown KV type");
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_PAGES_H_
