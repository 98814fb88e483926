// The functions of Kernels (kernels.h), which says what each does, as they are compiled for one target.
#ifndef KEDGE_COMMON_KERNELS_CUDA_LAUNCHERS_H_
#define KEDGE_COMMON_KERNELS_CUDA_LAUNCHERS_H_

#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/target.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

// embed.cu.cc
absl::Status Embed(Stream& stream, const Matrix& table, const Step& step, const FloatRows& out);

// row_kernels.cu.cc
absl::Status AddNorm(Stream& stream, int rows, const FloatRows& update, const FloatRows& hidden, const float* weight,
                     float epsilon, const OperandRows& out);
absl::Status NormHeads(Stream& stream, int rows, int heads, int head_dim, const float* weight, float epsilon,
                       const FloatRows& x);
absl::Status Add(Stream& stream, int rows, const FloatRows& y, const FloatRows& x);
absl::Status SwiGlu(Stream& stream, int rows, const FloatRows& gate, const FloatRows& up, const OperandRows& out);
absl::Status Quantize(Stream& stream, int rows, const OperandRows& x);
absl::Status Gather(Stream& stream, int rows, const uint32_t* wanting, const FloatRows& x, const FloatRows& out);

// products.cu.cc
absl::Status Multiply(Stream& stream, const DeviceProperties& device, int rows, const OperandRows& x,
                      absl::Span<const Product> products);

// rotation.cu.cc
absl::Status MakeTurns(Stream& stream, const Step& step, const Turning& turning);
absl::Status TurnAndWrite(Stream& stream, const Step& step, int layer, int heads, int pairs, const FloatRows& queries,
                          const FloatRows& keys, const float* key_shift, const FloatRows& values, const Pages& pages);

// split_attention.cu.cc
absl::Status AttendSplit(Stream& stream, const DeviceProperties& device, const Step& step, int layer, int heads,
                         int most_pages, const FloatRows& queries, const Pages& pages, float* scores,
                         const OperandRows& out);

// tile_attention.cu.cc
absl::Status AttendTiles(Stream& stream, const Step& step, int layer, int heads, const RowTile* tiles, int num_tiles,
                         const FloatRows& queries, const Pages& pages, const OperandRows& out);

// attention_mass.cu.cc
absl::Status GiveMass(Stream& stream, const Step& step, int layer, int heads, const MassQuery* wanted, int num_wanted,
                      const uint32_t* ends, const FloatRows& queries, const Pages& pages, uint32_t* mass);

// kv_rows.cu.cc
absl::Status GatherRows(Stream& stream, const Pages& pages, const RowRef* rows, int count, uint8_t* frame);
absl::Status ScatterRows(Stream& stream, const uint8_t* frame, const RowRef* rows, int count, const Pages& pages);

// checksum.cu.cc
absl::Status Checksum(Stream& stream, const SummedFrame* frames, int count, uint64_t* sums);

// choose_token.cu.cc
absl::Status ChooseTokens(Stream& stream, const DeviceProperties& device, int rows, const FloatRows& logits,
                          const OutputWish* wishes, uint8_t* scratch, ChosenToken* chosen);

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_LAUNCHERS_H_
