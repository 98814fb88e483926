// What works on each column of a row by itself, or on 32 of them. A thread has four. Tested by row_kernels_test.cc.
#include "absl/strings/str_cat.h"
#include "common/kernels/cuda/exp.h"
#include "common/kernels/cuda/float_rows.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/operand.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

// Blocks of threads: (rows, columns).
LaunchShape RowsOfFours(int rows, int columns) {
  const unsigned fours = (columns + 3) / 4, threads = min(256u, (fours + 31) / 32 * 32);
  return {.grid = {static_cast<unsigned>(rows), (fours + threads - 1) / threads}, .block = {threads}};
}
__device__ int FirstColumn() { return 4 * static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x); }

__global__ void AddRows(FloatRows y, FloatRows x) {
  const int row = blockIdx.x, column = FirstColumn();
  if (column >= x.columns) return;
  StoreFour(x, row, column, Sum(LoadFour(x, row, column), LoadFour(y, row, column)));
}

__device__ float Gate(float gate, float up) { return gate / (1.0f + Exp(-gate)) * up; }

__global__ void SwiGluRows(FloatRows gate, FloatRows up, OperandRows out) {
  const int row = blockIdx.x, column = FirstColumn();
  StartNext();
  WaitForPrevious();
  if (column >= gate.columns) return;
  const float4 g = LoadFour(gate, row, column), u = LoadFour(up, row, column);
  const float4 v = {Gate(g.x, u.x), Gate(g.y, u.y), Gate(g.z, u.z), Gate(g.w, u.w)};
  StoreFour(out.floats, row, column, v);
  if (out.quantized != nullptr) QuantizeFour(v, row, column, gate.columns, out.quantized);
}

__global__ void QuantizeRows(OperandRows x) {
  const int row = blockIdx.x, column = FirstColumn();
  if (column >= x.floats.columns) return;
  QuantizeFour(LoadFour(x.floats, row, column), row, column, x.floats.columns, x.quantized);
}

__global__ void GatherRowsOf(const uint32_t* wanting, FloatRows x, FloatRows out) {
  const int row = blockIdx.x, column = FirstColumn();
  if (column >= out.columns) return;
  StoreFour(out, row, column, LoadFour(x, wanting[row], column));
}

}  // namespace

absl::Status Add(Stream& stream, int rows, const FloatRows& y, const FloatRows& x) {
  if (rows == 0) return absl::OkStatus();
  return Launch(stream, RowsOfFours(rows, x.columns), AddRows, y, x);
}

absl::Status SwiGlu(Stream& stream, int rows, const FloatRows& gate, const FloatRows& up, const OperandRows& out) {
  if (rows == 0) return absl::OkStatus();
  LaunchShape shape = RowsOfFours(rows, gate.columns);
  shape.early = true;
  return Launch(stream, shape, SwiGluRows, gate, up, out);
}

absl::Status Quantize(Stream& stream, int rows, const OperandRows& x) {
  if (rows == 0) return absl::OkStatus();
  if (x.quantized == nullptr || x.floats.columns % 32 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("quantize: x has ", x.floats.columns, " columns, must be a multiple of 32, and a place for them"));
  }
  return Launch(stream, RowsOfFours(rows, x.floats.columns), QuantizeRows, x);
}

absl::Status Gather(Stream& stream, int rows, const uint32_t* wanting, const FloatRows& x, const FloatRows& out) {
  if (rows == 0) return absl::OkStatus();
  return Launch(stream, RowsOfFours(rows, out.columns), GatherRowsOf, wanting, x, out);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
