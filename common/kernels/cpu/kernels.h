// The inner loops of the cpu backend, once in plain C++ and once per instruction set, all with the same bits.
//
// What makes the bits equal: sums of int8 products are int32 and exact; every float sum has one order that is written
// down here, where a "lane" of a vector is an output, a key row or a column and never a partial sum, except in the
// 8-lane trees below; products that are added are always fused (std::fma); exp is our own.
//
// The 8-lane tree: element i of a list goes to lane i % 8, each lane adds its elements in ascending order, and the
// lanes are joined as ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)).
#ifndef KEDGE_COMMON_KERNELS_CPU_KERNELS_H_
#define KEDGE_COMMON_KERNELS_CPU_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"

namespace kedge {

enum class InstructionSet { kScalar, kAvx2, kAvx512Vnni, kAmxInt8 };
inline constexpr InstructionSet kInstructionSets[] = {InstructionSet::kScalar, InstructionSet::kAvx2,
                                                      InstructionSet::kAvx512Vnni, InstructionSet::kAmxInt8};

// Whether this machine runs it, and the newest of those, which need not be the fastest (fastest_set.h).
bool IsAvailable(InstructionSet set);
InstructionSet BestInstructionSet();
// "scalar", "avx2", "avx512-vnni", "amx-int8".
std::string_view InstructionSetName(InstructionSet set);

// 32 activations in 8 bits: x = scale * value, rounded to nearest even, values in [-127, 127].
struct QuantizedBlock {
  int8_t values[32];
  float scale;         // largest |x| / 127
  float scaled_sum;    // scale * sum
  // -128 times the sum of all values, and of the first 16: what a product has too much where weights were moved up by
  // 128 to be unsigned, and 16 or 4 times too much where they were moved up by 8 or 32.
  int32_t excess, first_excess;
};

// Weights in panels of 16 outputs. In blocks of 32 inputs; panels.h has the layout.
inline constexpr int kPanelOutputs = 16;
enum class PanelForm {
  kF32,
  kF16,
  kBF16,
  kBytes,           // Q8_0: weight = half scale * int8
  kNibbles,         // Q4_0: half scale * (4 bits - 8)
  kNibblesMinimum,  // Q4_1: half scale * 4 bits + half minimum
  kNibblesFloat,    // Q4_K: the same with floats
  kBytesFloat,      // Q5_0, Q5_1, Q5_K: float scale * (0..31) + float minimum
  kBytesTwoScales,  // Q6_K: float scale * ((0..63) - 32), a scale for each 16 inputs
};
struct PanelView {
  PanelForm form;
  int inputs;
  size_t panel_bytes;
  size_t quants;  // offset in a panel
  const uint8_t* data;
};

struct SoftmaxState {
  float max;
  float sum;
};

struct CpuKernels {
  // --- Matrix products ---
  // Quantises x [inputs] into inputs / 32 blocks.
  void (*quantize_row)(const float* x, int inputs, QuantizedBlock* out);
  // out[r][16 p .. 16 p + 15] = panel p * x[r] for panels [panel_begin, panel_end), at least one; x: [rows][inputs /
  // 32]. For each block in ascending order: sum += int32 product * (weight scale * activation scale), twice for two
  // scales; then, where there are minima: sum += minimum * scaled_sum. `next` is what will probably be read next: it
  // may be fetched meanwhile.
  void (*multiply_quantized)(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x,
                             int rows, float* out, size_t out_stride, absl::Span<const uint8_t> next);
  // The same for float weights: sum += weight * x in ascending order of inputs.
  void (*multiply_float)(const PanelView& weights, int panel_begin, int panel_end, const float* x, size_t x_stride,
                         int rows, float* out, size_t out_stride);

  // --- Row by row ---
  // Squares are summed by the 8-lane tree; out = (x * (1 / sqrt(mean + epsilon))) * weight.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int size, float* out);
  // x[i] = x[i] * cos[i] + x[i ^ 1] * sin[i] with the second product rounded, the first fused; size is even.
  void (*rope)(const float* cos, const float* sin, int size, float* x);
  void (*add)(const float* y, int size, float* x);
  // gate = (gate / (1 + exp(-gate))) * up.
  void (*swiglu)(const float* up, int size, float* gate);
  // Rounds to the KV type: one head's key or value as pages have it, or anything where the type has no scales. All
  // others here know types of pages alone (PageType).
  void (*to_kv)(KvType type, KvPart part, const float* x, int size, void* out);

  // --- Attention, one page at a time ---
  // sums[q][c] += a[q][i] * b[i][c] for q in [0, queries), for i in [begin, end) in ascending order and columns c in
  // [8 * block_begin, 8 * block_end); b has the KV type, rows of b_stride numbers, which count as they are where the
  // type has scales. It computes scores (a: queries, b: keys, a column for each row of the page) and values (a:
  // weights, b: values). With `scales` [columns] the products have a sum of their own, which begins with 0, and
  // sums[q][c] += scales[c] * it, fused.
  void (*accumulate)(KvType type, int queries, const float* a, size_t a_stride, const void* b, size_t b_stride,
                     int begin, int end, int block_begin, int block_end, const float* scales, float* sums,
                     size_t sums_stride);
  // out[i] = data[i], exactly; without scales. size is a multiple of 8.
  void (*from_kv)(KvType type, const void* data, int size, float* out);
  // out[q][j] = weights[q][j] * scales[j], for all rows j of a page, seen or not.
  void (*scale_weights)(const float* scales, int queries, const float* weights, float* out);
  // Takes the scores of rows [begin, end) of a page into a softmax under way: weights[j] = exp(scores[j] - max) for
  // those rows, 0 for the others, with the new maximum; values [size] and the sum so far are scaled to it. The page's
  // weights are summed as (w[0..7] + w[8..15]) + (w[16..23] + w[24..31]), then joined like the lanes of the tree.
  void (*softmax_page)(const float* scores, int begin, int end, SoftmaxState* state, float* weights, float* values,
                       int size);
};

// REQUIRES: IsAvailable(set).
const CpuKernels& KernelsFor(InstructionSet set);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_KERNELS_H_
