// The fragments of mma.m16n8k32 and ldmatrix, by the tables of the PTX ISA. Tested by tensor_cores_test.cc.
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/seen.h"

namespace kedge::cuda::emulated {
namespace {

constexpr uint32_t kAllLanes = ~0u;

int8_t ByteOf(uint32_t word, int i) { return static_cast<int8_t>(word >> 8 * i); }

}  // namespace

void MultiplyAddInWarp(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]) {
  const Met met = Meet(kAllLanes, "mma", {{a[0], a[1], a[2], a[3], b[0], b[1]}}, Ordering::kNone);
  if (met.present != kAllLanes) Fail("mma: a lane of the warp has ended");
  const int lane = RunningThread().lane;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    uint32_t sum = static_cast<uint32_t>(c[i]);  // wraps, as the instruction without .satfinite does
    for (int k = 0; k < 32; ++k) {
      // Inputs 4 t .. 4 t + 3 are lane t's of a row's or column's four, and so are those 16 behind.
      const uint32_t x = met.offers[row % 8 * 4 + k % 16 / 4].words[k / 16 * 2 + row / 8];
      const uint32_t y = met.offers[column * 4 + k % 16 / 4].words[4 + k / 16];
      sum += static_cast<uint32_t>(ByteOf(x, k % 4) * ByteOf(y, k % 4));
    }
    c[i] = static_cast<int>(sum);
  }
}

void LoadMatrices(const void* shared, bool turned, uint32_t (&out)[4]) {
  Offer row{};
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) Fail("ldmatrix: the row %p is not aligned to 16 bytes", shared);
  if (!RunningBlock().shared.Holds(shared, 16)) Fail("ldmatrix: the row %p is not in shared memory", shared);
  SeenCopy(&row, shared, 16);
  const Met met = Meet(kAllLanes, "ldmatrix", row, Ordering::kNone);
  if (met.present != kAllLanes) Fail("ldmatrix: a lane of the warp has ended");
  const int lane = RunningThread().lane;
  for (int matrix = 0; matrix < 4; ++matrix) {
    const auto half = [&](int of_row, int column) {
      return met.offers[8 * matrix + of_row].words[column / 2] >> column % 2 * 16 & 0xffff;
    };
    const int major = lane / 4, minor = lane % 4 * 2;
    out[matrix] =
        turned ? half(minor, major) | half(minor + 1, major) << 16 : half(major, minor) | half(major, minor + 1) << 16;
  }
}

}  // namespace kedge::cuda::emulated
