// Encoders of the layouts with fifth bits and of the K-quants. Only for tests: scales are found in one simple pass.
#ifndef KEDGE_COMMON_TESTING_QUANT_ENCODERS_H_
#define KEDGE_COMMON_TESTING_QUANT_ENCODERS_H_

#include <string>

#include "common/kernels/tensor_type.h"

namespace kedge {

// BlockSize(type) values as one block. REQUIRES: the type is Q5_0, Q5_1, Q4_K, Q5_K or Q6_K.
std::string EncodeBlock(TensorType type, const float* values);

}  // namespace kedge

#endif  // KEDGE_COMMON_TESTING_QUANT_ENCODERS_H_
