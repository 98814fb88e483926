// A model in the shape of a real one whose weights, and pages of rows, are a function of their place: as large as need
// be on the device, where a kernel makes them, and known to the host, which computes what it wants to check.
#ifndef KEDGE_TESTS_GPU_MADE_MODEL_CUH_
#define KEDGE_TESTS_GPU_MADE_MODEL_CUH_

#include <cuda_fp16.h>

#include <cstdint>

#include "tests/gpu/fragments.h"
#include "tests/gpu/host_reference.h"
#include "tests/gpu/probe.h"

namespace kedge::probe {

struct ModelShape {
  const char* name;
  int layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
  bool has_biases;
  double rope_base;
  int qkv_outputs() const { return (heads + 2 * kv_heads) * head_dim; }
};
inline constexpr ModelShape kLlama8B = {"8B", 32, 4096, 32, 8, 128, 14336, 128256, false, 500000};
inline constexpr ModelShape kQwen05B = {"0.5B", 24, 896, 14, 2, 64, 4864, 151936, true, 1000000};

__host__ __device__ inline uint32_t Mix(uint64_t place) {
  place = (place ^ (place >> 31)) * 0x9e3779b97f4a7c15u;
  place = (place ^ (place >> 29)) * 0xbf58476d1ce4e5b9u;
  return static_cast<uint32_t>(place >> 32);
}
// In [-1, 1).
__host__ __device__ inline float MadeFloat(uint64_t place) {
  return static_cast<float>(static_cast<int>(Mix(place) >> 8) - (1 << 23)) * 0x1p-23f;
}
__host__ __device__ inline uint16_t MadeHalf(uint64_t place) {
  return __half_as_ushort(__float2half_rn(MadeFloat(place)));
}

// Weights of a matrix in Q8_0: four at a time. An output is about as large as an input.
__host__ __device__ inline uint32_t MadeQuants(uint32_t matrix, uint64_t output, int inputs, int k) {
  return Mix((uint64_t{matrix} << 40) + (output * inputs + k) / 4);
}
__host__ __device__ inline uint16_t MadeScale(uint32_t matrix, uint64_t output, int inputs, int block) {
  const float size = 1.0f / (73 * sqrtf(static_cast<float>(inputs)));
  const float factor = MadeFloat((uint64_t{matrix} << 40) + (uint64_t{1} << 39) + output * (inputs / 32) + block);
  return __half_as_ushort(__float2half_rn(size * (1 + 0.5f * factor)));
}

// A thread four weights.
__global__ void MakeWeights(uint32_t matrix, int outputs, int inputs, uint8_t* chunks) {
  const size_t fours = size_t(outputs) * inputs / 4;
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < fours; i += size_t{gridDim.x} * blockDim.x) {
    const size_t output = i * 4 / inputs;
    const int k = static_cast<int>(i * 4 % inputs), in_chunk = k % kChunkInputs;
    uint8_t* half = chunks + (output / kGroup * (inputs / kChunkInputs) + k / kChunkInputs) * kQ8ChunkBytes +
                    output % kGroup / 8 * kQ8Half;
    const int row = static_cast<int>(output % 8);
    *reinterpret_cast<uint32_t*>(half + CoreByte(row, in_chunk)) = MadeQuants(matrix, output, inputs, k);
    if (k % 32 != 0) continue;
    reinterpret_cast<uint16_t*>(half + kQ8Scales)[row * kChunkBlocks + in_chunk / 32] =
        MadeScale(matrix, output, inputs, k / 32);
  }
}
__global__ void MakeHalves(uint64_t first, size_t size, uint16_t* out) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < size; i += size_t{gridDim.x} * blockDim.x) {
    out[i] = MadeHalf(first + i);
  }
}

// On the device, in chunks.
struct Matrix {
  Matrix(uint32_t id, int outputs, int inputs)
      : id(id), outputs(outputs), inputs(inputs), chunks(size_t(outputs) * inputs / 32 * 34) {
    LaunchNext(nullptr, MakeWeights, dim3(2048), 256, 0, id, outputs, inputs, chunks.data());
    PROBE_LAUNCHED();
  }
  uint32_t id;
  int outputs, inputs;
  Buffer<uint8_t> chunks;
};

// The same weights.
inline Q8Matrix MadeMatrix(uint32_t id, int outputs, int inputs) {
  Q8Matrix out(outputs, inputs);
  InParallel(outputs, [&](size_t begin, size_t end) {
    for (size_t output = begin; output < end; ++output) {
      for (int k = 0; k < inputs; k += 4) {
        const uint32_t quants = MadeQuants(id, output, inputs, k);
        std::memcpy(&out.quants[output * inputs + k], &quants, 4);
      }
      for (int b = 0; b < out.blocks(); ++b) {
        out.scales[output * out.blocks() + b] = MadeScale(id, output, inputs, b);
      }
    }
  });
  return out;
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_MADE_MODEL_CUH_
