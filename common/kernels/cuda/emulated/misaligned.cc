// Kernels are compiled with -fsanitize=alignment (KERNEL_COPTS): before a read or write of a float4 and the like its
// address is looked at, and this is called where a device would stop. Where UBSan itself is linked it may be there
// already. Tested by grid_test.cc.
#include <cstdint>

#include "common/kernels/cuda/emulated/block.h"

namespace {

// What the compiler passes: the beginning of libubsan's TypeMismatchData.
struct Mismatch {
  const char* file;
  uint32_t line, column;
};

}  // namespace

extern "C" [[gnu::weak]] void __ubsan_handle_type_mismatch_v1_abort(Mismatch* where, uintptr_t address) {
  kedge::cuda::emulated::Fail("%s:%u:%u: the address %p is not aligned for the type that is read or written there",
                              where->file, where->line, where->column, reinterpret_cast<void*>(address));
}
