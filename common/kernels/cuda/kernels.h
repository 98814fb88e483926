// The kernels of the CUDA backend, as functions that queue them: compiled once by nvcc for devices and once by g++ for
// the emulated one, with the same bits, which are those of common/kernels/cpu/kernels.h.
//
// All of them queue and return; kInvalidArgument and what Stream::Launch returns are the only errors. They keep no state
// and record into graphs: what differs from step to step is in the arrays. Addresses are aligned to 256 bytes unless
// they point into an array. Rows of a step are Step::num_rows, and `rows` where there is no step.
#ifndef KEDGE_COMMON_KERNELS_CUDA_KERNELS_H_
#define KEDGE_COMMON_KERNELS_CUDA_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/kernels/cuda/arrays.h"
#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda {

// Of models that all kernels take.
inline constexpr int kMostHeadDim = 256;
inline constexpr int kMostNormColumns = 16384;  // of add_norm

// One of several matrices that multiply the same x: out[r] = matrix * x[r], + bias where there is one.
struct Product {
  const Matrix* matrix = nullptr;
  const float* bias = nullptr;  // [outputs]
  FloatRows out;
};

// A head turned by its row's position (Ops::Rotation).
struct Turning {
  const float* inverse_frequencies = nullptr;  // [pairs]
  int pairs = 0;
  float magnitude = 1;
};

struct Kernels {
  // --- Row by row (row_kernels.cu.cc) ---
  // out[r] = the weights of the row's token.
  absl::Status (*embed)(Stream& stream, const Matrix& table, const Step& step, const FloatRows& out);
  // hidden += update, unless update.data is null; out = RmsNorm of hidden.
  absl::Status (*add_norm)(Stream& stream, int rows, const FloatRows& update, const FloatRows& hidden,
                           const float* weight, float epsilon, const OperandRows& out);
  // RmsNorm of each head, in place.
  absl::Status (*norm_heads)(Stream& stream, int rows, int heads, int head_dim, const float* weight, float epsilon,
                             const FloatRows& x);
  // x += y.
  absl::Status (*add)(Stream& stream, int rows, const FloatRows& y, const FloatRows& x);
  // out = silu(gate) * up; out.floats may be gate.
  absl::Status (*swiglu)(Stream& stream, int rows, const FloatRows& gate, const FloatRows& up, const OperandRows& out);
  // Writes x.quantized.
  absl::Status (*quantize)(Stream& stream, int rows, const OperandRows& x);
  // out[i] = x[wanting[i]].
  absl::Status (*gather)(Stream& stream, int rows, const uint32_t* wanting, const FloatRows& x, const FloatRows& out);

  // --- Products (products.cu.cc, float_products.cu.cc) ---
  // Of any forms, which all have as many inputs as x has columns. Rows of x.quantized up to the next multiple of
  // kOperandRows are there.
  absl::Status (*multiply)(Stream& stream, const DeviceProperties& device, int rows, const OperandRows& x,
                           absl::Span<const Product> products);

  // --- Attention ---
  // Fills Step::turns (rotation.cu.cc).
  absl::Status (*make_turns)(Stream& stream, const Step& step, const Turning& turning);
  // Turns queries and keys in place, adds key_shift to keys, unless it is null, and writes keys and values to R, and to
  // K where kept_index >= 0; faults.
  absl::Status (*turn_and_write)(Stream& stream, const Step& step, int layer, int heads, int pairs,
                                 const FloatRows& queries, const FloatRows& keys, const float* key_shift,
                                 const FloatRows& values, const Pages& pages);
  // Ops::Attention, with the pages of each row divided among blocks of threads: for few rows. most_pages: no row sees
  // more, K and R together. scores: SplitScoresBytes, of no meaning before and after (split_attention.cu.cc).
  absl::Status (*attend_split)(Stream& stream, const DeviceProperties& device, const Step& step, int layer, int heads,
                               int most_pages, const FloatRows& queries, const Pages& pages, float* scores,
                               const OperandRows& out);
  // The same by tiles, which cover all rows (tile_attention.cu.cc).
  absl::Status (*attend_tiles)(Stream& stream, const Step& step, int layer, int heads, const RowTile* tiles,
                               int num_tiles, const FloatRows& queries, const Pages& pages, const OperandRows& out);
  // Adds to mass, which is 0 before (attention_mass.cu.cc). `queries` are turned.
  absl::Status (*give_mass)(Stream& stream, const Step& step, int layer, int heads, const MassQuery* wanted,
                            int num_wanted, const uint32_t* ends, const FloatRows& queries, const Pages& pages,
                            uint32_t* mass);

  // --- KV rows in the order of a frame, [layer][kv head][keys, values][row][head_dim] (kv_rows.cu.cc) ---
  absl::Status (*gather_rows)(Stream& stream, const Pages& pages, const RowRef* rows, int count, uint8_t* frame);
  // Passes over rows whose page is kNoPage.
  absl::Status (*scatter_rows)(Stream& stream, const uint8_t* frame, const RowRef* rows, int count, const Pages& pages);
  // sums[i] = XXH3-64 (seed 0) of the i-th frame's prefix and data; leaves sums[i] where data has fewer than
  // kLeastSummedBytes (checksum.cu.cc).
  absl::Status (*checksum)(Stream& stream, const SummedFrame* frames, int count, uint64_t* sums);

  // --- Outputs (choose_token.cu.cc) ---
  // For each row of logits: its token by ChooseToken of common/kernels/choose_token.h, or, where the host is to decide
  // or wants the logits, the logits to the wish's host_logits. scratch: ChooseScratchBytes.
  absl::Status (*choose_tokens)(Stream& stream, const DeviceProperties& device, int rows, const FloatRows& logits,
                                const OutputWish* wishes, uint8_t* scratch, ChosenToken* chosen);
};

// pages: seen by all rows together.
constexpr size_t SplitScoresBytes(size_t pages, size_t heads) { return pages * heads * kPageRows * sizeof(float); }
size_t ChooseScratchBytes(const DeviceProperties& device, int rows, int columns);

const Kernels& EmulatedKernels();
const Kernels& DeviceKernels();  // only where the CUDA toolkit was there at build time

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_KERNELS_H_
