// Numbers to compute with where only the time matters: finite, of ordinary size, the same on every machine.
#ifndef KEDGE_BENCH_RANDOM_DATA_H_
#define KEDGE_BENCH_RANDOM_DATA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/kernels/tensor_type.h"

namespace kedge {

// Bytes of a matrix of `count` values. REQUIRES: the block size of `type` divides `count`.
std::vector<uint8_t> RandomWeights(TensorType type, size_t count);

// Halves (f16) or the same bits as bf16: small positive numbers either way.
std::vector<uint8_t> RandomHalves(size_t count);

std::vector<float> RandomFloats(size_t count);

}  // namespace kedge

#endif  // KEDGE_BENCH_RANDOM_DATA_H_
