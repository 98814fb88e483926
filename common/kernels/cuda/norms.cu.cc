// RMS norms. Their sums of squares are eight chains a row (common/kernels/cpu/kernels.h: the 8-lane tree), which eight
// threads walk down. Tested by row_kernels_test.cc.
#include "absl/strings/str_cat.h"
#include "common/kernels/cuda/float_rows.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/operand.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

// A row in shared memory as its chains want it: [columns / 32][8 lanes][4], and a gap behind each 32 so that warps meet
// every bank once when they write.
constexpr int kStep = 36;
__device__ int ChainPlace(int column) { return column / 32 * kStep + column % 8 * 4 + column / 8 % 4; }

// The lanes of the tree, which are eight neighbours of a warp, joined.
__device__ float JoinLanes(float sum) {
  const uint32_t eight = 0xffu << threadIdx.x % 32 / 8 * 8;
  for (int m = 4; m > 0; m /= 2) sum += __shfl_xor_sync(eight, sum, m);
  return sum;
}

__device__ float Scale(float squares, int size, float epsilon) {
  return 1.0f / sqrtf(squares / static_cast<float>(size) + epsilon);
}

// A block of threads a row, `pieces` times four columns a thread. Dynamic shared memory: kStep * steps + 1 floats.
//
// Numbers are read ahead of the chains, four at a time: what remains is the latency of the multiply-add.
template <int pieces>
__global__ void __launch_bounds__(1024)
    AddNormRows(FloatRows update, FloatRows hidden, const float* weight, float epsilon, OperandRows out) {
  float* chains = reinterpret_cast<float*>(SharedMemory());
  const int row = blockIdx.x, columns = hidden.columns, steps = (columns + 31) / 32;
  float* shared_scale = chains + steps * kStep;
  const auto column_of = [](int piece) { return 4 * static_cast<int>(piece * blockDim.x + threadIdx.x); };
  StartNext();
  float4 w[pieces];
#pragma unroll
  for (int p = 0; p < pieces; ++p) w[p] = LoadFour(weight + column_of(p), columns - column_of(p));
  WaitForPrevious();
  float4 x[pieces];
#pragma unroll
  for (int p = 0; p < pieces; ++p) {
    x[p] = LoadFour(hidden, row, column_of(p));
    if (update.data != nullptr) x[p] = Sum(x[p], LoadFour(update, row, column_of(p)));
  }
#pragma unroll
  for (int p = 0; p < pieces; ++p) {
    const int column = column_of(p);
    if (column >= steps * 32) continue;
    if (update.data != nullptr) StoreFour(hidden, row, column, x[p]);
    float* to = chains + ChainPlace(column);  // zeros behind the last column change no sum
    to[0] = x[p].x;
    to[4] = x[p].y;
    to[8] = x[p].z;
    to[12] = x[p].w;
  }
  __syncthreads();
  if (threadIdx.x < 8) {
    constexpr int kAhead = 4;
    const float4* from = reinterpret_cast<const float4*>(chains) + threadIdx.x;
    float4 next[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) next[i] = i < steps ? from[i * (kStep / 4)] : float4{};
    float sum = 0;
    for (int step = 0; step < steps; step += kAhead) {
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        if (step + i >= steps) break;
        const float4 v = next[i];
        if (step + kAhead + i < steps) next[i] = from[(step + kAhead + i) * (kStep / 4)];
        sum = __fmaf_rn(v.x, v.x, sum);
        sum = __fmaf_rn(v.y, v.y, sum);
        sum = __fmaf_rn(v.z, v.z, sum);
        sum = __fmaf_rn(v.w, v.w, sum);
      }
    }
    sum = JoinLanes(sum);
    if (threadIdx.x == 0) *shared_scale = Scale(sum, columns, epsilon);
  }
  __syncthreads();
  const float scale = *shared_scale;
#pragma unroll
  for (int p = 0; p < pieces; ++p) {
    const int column = column_of(p);
    if (column >= columns) continue;
    const float* at = chains + ChainPlace(column);
    const float4 v = {at[0] * scale * w[p].x, at[4] * scale * w[p].y, at[8] * scale * w[p].z, at[12] * scale * w[p].w};
    StoreFour(out.floats, row, column, v);
    if (out.quantized != nullptr) QuantizeFour(v, row, column, columns, out.quantized);
  }
}

// Eight threads a head.
__global__ void NormEachHead(FloatRows x, int rows, int heads, int head_dim, const float* weight, float epsilon) {
  const int index = (blockIdx.x * blockDim.x + threadIdx.x) / 8, lane = threadIdx.x % 8, row = index / heads;
  if (row >= rows) return;
  float* head = x.data + size_t(row) * x.stride + index % heads * head_dim;
  float sum = 0;
#pragma unroll 8
  for (int i = lane; i < head_dim; i += 8) sum = __fmaf_rn(head[i], head[i], sum);
  const float scale = Scale(JoinLanes(sum), head_dim, epsilon);
#pragma unroll 8
  for (int i = lane; i < head_dim; i += 8) head[i] = head[i] * scale * weight[i];
}

}  // namespace

absl::Status AddNorm(Stream& stream, int rows, const FloatRows& update, const FloatRows& hidden, const float* weight,
                     float epsilon, const OperandRows& out) {
  if (rows == 0) return absl::OkStatus();
  if (hidden.columns > kMostNormColumns) {
    return absl::InvalidArgumentError(
        absl::StrCat("add_norm: hidden.columns is ", hidden.columns, ", must be at most ", kMostNormColumns));
  }
  // Few rows: as many threads as there are. Many: their chains hide behind each other, as more rows are on the device.
  constexpr int kFewRows = 128;
  const int pieces = rows <= kFewRows && hidden.columns <= 4096 ? 1 : 4;
  const unsigned threads = (hidden.columns + 4 * pieces - 1) / (4 * pieces);
  const size_t steps = (hidden.columns + 31) / 32;
  const LaunchShape shape = {.grid = {static_cast<unsigned>(rows)},
                             .block = {(threads + 31) / 32 * 32},
                             .shared_bytes = (steps * kStep + 1) * sizeof(float),
                             .early = true};
  return Launch(stream, shape, pieces == 1 ? AddNormRows<1> : AddNormRows<4>, update, hidden, weight, epsilon, out);
}

absl::Status NormHeads(Stream& stream, int rows, int heads, int head_dim, const float* weight, float epsilon,
                       const FloatRows& x) {
  if (rows == 0) return absl::OkStatus();
  constexpr unsigned kThreads = 128;
  const unsigned threads = static_cast<unsigned>(rows) * heads * 8;
  return Launch(stream, {.grid = {(threads + kThreads - 1) / kThreads}, .block = {kThreads}}, NormEachHead, x, rows,
                heads, head_dim, weight, epsilon);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
