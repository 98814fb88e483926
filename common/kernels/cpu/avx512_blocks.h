// Quantised panels, block by block, as AVX-512 kernels take them. Included by their sources only.
#ifndef KEDGE_COMMON_KERNELS_CPU_AVX512_BLOCKS_H_
#define KEDGE_COMMON_KERNELS_CPU_AVX512_BLOCKS_H_

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "absl/types/span.h"
#include "common/kernels/cpu/avx512_math.h"
#include "common/kernels/cpu/panels.h"

namespace kedge::avx512 {

KEDGE_AVX512_INLINE __m512i Load(const void* data) { return _mm512_loadu_si512(data); }

// 4 bytes to all lanes.
KEDGE_AVX512_INLINE __m512i Broadcast4(const int8_t* data) {
  int32_t bytes;
  std::memcpy(&bytes, data, sizeof(bytes));
  return _mm512_set1_epi32(bytes);
}

constexpr bool HasFloatScales(PanelForm form) { return form >= PanelForm::kNibblesFloat; }
// Parts of a block, each with a scale.
constexpr int Parts(PanelForm form) { return form == PanelForm::kBytesTwoScales ? 2 : 1; }

// One block of 32 inputs of a panel, as it was packed; the next one after Next().
template <PanelForm kForm>
struct PackedBlock {
  const uint8_t* scales = nullptr;
  const uint8_t* quants = nullptr;

  PackedBlock() = default;
  PackedBlock(const PanelView& weights, int panel)
      : scales(weights.data + panel * weights.panel_bytes), quants(scales + weights.quants) {}

  // Weights 4g .. 4g + 3 of each output, unsigned.
  KEDGE_AVX512_INLINE __m512i Group(int g) const {
    if constexpr (kForm == PanelForm::kBytes) {
      return _mm512_xor_si512(Load(quants + 64 * g), _mm512_set1_epi8(-128));
    } else if constexpr (!IsNibbles(kForm)) {
      return Load(quants + 64 * g);
    } else {
      const __m512i pairs = Load(quants + 64 * (g % 4));
      return _mm512_and_si512(g < 4 ? pairs : _mm512_srli_epi16(pairs, 4), _mm512_set1_epi8(15));
    }
  }
  // 0: the (first) scale of each output; 1: the minimum or the second scale.
  KEDGE_AVX512_INLINE __m512 Scale(int index) const {
    constexpr Number kNumber = HasFloatScales(kForm) ? Number::kF32 : Number::kF16;
    return LoadNumbers<kNumber>(scales, index * kPanelOutputs);
  }
  KEDGE_AVX512_INLINE void Next() {
    scales += PanelScalesBytes(kForm);
    quants += PanelQuantsBytes(kForm);
  }
};

// The same, brought to bytes and floats.
struct alignas(64) WideBlock {
  uint8_t groups[8][64];
  float scales[2][kPanelOutputs];
};

struct UnpackedBlock {
  const WideBlock* block;

  KEDGE_AVX512_INLINE __m512i Group(int g) const { return _mm512_load_si512(block->groups[g]); }
  KEDGE_AVX512_INLINE __m512 Scale(int index) const { return _mm512_load_ps(block->scales[index]); }
  KEDGE_AVX512_INLINE void Next() { ++block; }
};

// What was added to weights to make them unsigned.
constexpr int Offset(PanelForm form) {
  switch (form) {
    case PanelForm::kBytes:
      return 128;
    case PanelForm::kNibbles:
      return 8;
    case PanelForm::kBytesTwoScales:
      return 32;
    default:
      return 0;
  }
}

// To unsigned bytes, or to signed ones without the offset.
template <PanelForm kForm, bool kSigned>
KEDGE_AVX512 void Unpack(PackedBlock<kForm> from, int blocks, WideBlock* to) {
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(kSigned ? Offset(kForm) : 0));
  for (int b = 0; b < blocks; ++b, from.Next(), ++to) {
    KEDGE_UNROLL
    for (int g = 0; g < 8; ++g) _mm512_store_si512(to->groups[g], _mm512_sub_epi8(from.Group(g), offset));
    _mm512_store_ps(to->scales[0], from.Scale(0));
    if (HasMinimum(kForm) || Parts(kForm) == 2) _mm512_store_ps(to->scales[1], from.Scale(1));
  }
}

// What the sum of products of a part begins with.
template <PanelForm kForm>
KEDGE_AVX512_INLINE __m512i Start(const QuantizedBlock& x, int part) {
  if constexpr (Offset(kForm) == 0) return _mm512_setzero_si512();
  const __m512i excess = _mm512_set1_epi32(x.excess);
  if constexpr (kForm == PanelForm::kBytes) return excess;
  if constexpr (kForm == PanelForm::kNibbles) return _mm512_srai_epi32(excess, 4);  // 8 instead of 128
  const __m512i first = _mm512_set1_epi32(x.first_excess);
  return _mm512_srai_epi32(part == 0 ? first : _mm512_sub_epi32(excess, first), 2);  // 32 instead of 128
}

// Brings what is read next nearer, some lines with each block of the present panels: with many rows a panel is
// multiplied for longer than it takes to read the next one.
class Prefetch {
 public:
  // All of `data` during so many calls of Step.
  Prefetch(absl::Span<const uint8_t> data, int steps) : left_(data), step_bytes_(data.size() / steps + 1) {}

  KEDGE_AVX512_INLINE void Step() {
    const size_t bytes = std::min((step_bytes_ + kLine - 1) / kLine * kLine, left_.size());
    for (size_t i = 0; i < bytes; i += kLine) _mm_prefetch(left_.data() + i, _MM_HINT_T1);
    left_.remove_prefix(bytes);
  }

 private:
  static constexpr size_t kLine = 64;
  absl::Span<const uint8_t> left_;
  size_t step_bytes_;
};

}  // namespace kedge::avx512

#endif  // KEDGE_COMMON_KERNELS_CPU_AVX512_BLOCKS_H_
