// Tested by amx_matmul_test.cc, and by kernels_test.cc where there is AMX.
#if defined(__x86_64__)
#include "common/kernels/cpu/amx_matmul.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/kernels/cpu/amx.h"

namespace kedge::amx {

bool IsAvailable() {
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;  // EDX of leaf 7
  constexpr long kRequestState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM and the state's number
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kTile) == 0 || (edx & kInt8) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestState, kTileData) == 0;
}

void MultiplyQuantized(const PanelView& weights, int panel_begin, int panel_end, const QuantizedBlock* x, int rows,
                       float* out, size_t out_stride, absl::Span<const uint8_t> next) {
  Multiply<HardwareTiles>(weights, panel_begin, panel_end, x, rows, out, out_stride, next);
}

}  // namespace kedge::amx
#endif
