// Tested by defects_test.cc.
#include "common/kernels/cuda/emulated/seen.h"

#include <cstring>

namespace kedge::cuda::emulated {

void SeenCopy(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void SeenFill(void* to, uint8_t value, size_t bytes) { std::memset(to, value, bytes); }

}  // namespace kedge::cuda::emulated
