// The one operation on tiles that products need, by the instructions and by plain code.
//
// The instructions are written as assembly that says that it reads and writes memory: the intrinsics of gcc 12 do not
// (their tile registers and what they load and store are invisible to the optimiser).
#ifndef KEDGE_COMMON_KERNELS_CPU_AMX_TILES_H_
#define KEDGE_COMMON_KERNELS_CPU_AMX_TILES_H_

#include <cstddef>
#include <cstdint>

#include "common/kernels/cpu/kernels.h"

namespace kedge::amx {

inline constexpr int kTileRows = 16;

// Multiply: out[r][o] = sum over i < kInputs of a[r][i] * b[i / 4][o][i % 4], for 16 rows and 16 outputs; kInputs is 32
// or 16. Rows of `a` are a_stride bytes apart; b is [kInputs / 4][16][4]. Exact: no sum comes near 2^31. To be called
// between Begin and End, on one thread.
template <int kInputs>
struct EmulatedTiles {
  static void Begin() {}
  static void End() {}
  static void Multiply(const int8_t* a, size_t a_stride, const int8_t* b, int32_t* out) {
    for (int r = 0; r < kTileRows; ++r) {
      for (int o = 0; o < kPanelOutputs; ++o) {
        int32_t sum = 0;
        for (int i = 0; i < kInputs; ++i) sum += a[r * a_stride + i] * b[(i / 4 * kPanelOutputs + o) * 4 + i % 4];
        out[r * kPanelOutputs + o] = sum;
      }
    }
  }
};

#if defined(__x86_64__)

// As ldtilecfg takes it.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// Begin gives the thread its tiles, End takes them away: until then each switch of threads saves 8 KiB more.
template <int kInputs>
struct HardwareTiles {
  // Tile 0: sums; 1: rows of activations; 2: 16 outputs.
  static constexpr TileShapes kShapes = {.row_bytes = {64, kInputs, 64}, .rows = {16, 16, kInputs / 4}};

  static void Begin() { asm volatile("ldtilecfg %0" ::"m"(kShapes) : "memory"); }
  static void End() { asm volatile("tilerelease" ::: "memory"); }
  static void Multiply(const int8_t* a, size_t a_stride, const int8_t* b, int32_t* out) {
    constexpr size_t kLine = 64;
    asm volatile(
        "tilezero %%tmm0\n\t"
        "tileloadd (%0,%1,1), %%tmm1\n\t"
        "tileloadd (%2,%4,1), %%tmm2\n\t"
        "tdpbssd %%tmm2, %%tmm1, %%tmm0\n\t"
        "tilestored %%tmm0, (%3,%4,1)" ::"r"(a),
        "r"(a_stride), "r"(b), "r"(out), "r"(kLine)
        : "memory");
  }
};

#endif

}  // namespace kedge::amx

#endif  // KEDGE_COMMON_KERNELS_CPU_AMX_TILES_H_
