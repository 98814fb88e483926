// The fragments of mma.m16n8k32 and ldmatrix, by the tables of the PTX ISA. Tested by tensor_cores_test.cc.
#include <cstring>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/seen.h"

namespace kedge::cuda::emulated {
namespace {

constexpr uint32_t kAllLanes = ~0u;

// From the lanes' parts of a and b to their parts of the product.
void MultiplyAll(Offer (&offers)[32], uint32_t) {
  int8_t bytes[24][32];  // rows of a, then columns of b
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 6; ++i) {
      // Words come by rows 0 .. 7 and 8 .. 15 of a, those 16 inputs behind, then b.
      const int row = lane / 4 + (i < 4 ? i % 2 * 8 : 16), input = lane % 4 * 4 + (i < 4 ? i / 2 : i - 4) * 16;
      std::memcpy(&bytes[row][input], &offers[lane].words[i], 4);
    }
  }
  int16_t wide[24][32];
  for (int row = 0; row < 24; ++row) {
    for (int k = 0; k < 32; ++k) wide[row][k] = bytes[row][k];
  }
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      int sum = 0;
      for (int k = 0; k < 32; ++k) sum += wide[row][k] * wide[16 + column][k];
      offers[row % 8 * 4 + column / 2].words[row / 8 * 2 + column % 2] = static_cast<uint32_t>(sum);
    }
  }
}

}  // namespace

void MultiplyAddInWarp(const uint32_t (&a)[4], const uint32_t* b, int (&c)[4]) {
  const Offer offer = {{a[0], a[1], a[2], a[3], b[0], b[1]}};
  const Met met = Meet(kAllLanes, "mma", offer, Ordering::kNone, &MultiplyAll);
  if (met.present != kAllLanes) Fail("mma: a lane of the warp has ended");
  const Offer& products = met.offers[RunningThread().lane];
  // Wraps, as the instruction without .satfinite does.
  for (int i = 0; i < 4; ++i) c[i] = static_cast<int>(static_cast<uint32_t>(c[i]) + products.words[i]);
}

void LoadMatrices(const void* shared, bool turned, uint32_t (&out)[4]) {
  Offer row{};
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) Fail("ldmatrix: the row %p is not aligned to 16 bytes", shared);
  if (!RunningBlock().shared->Holds(shared, 16)) Fail("ldmatrix: the row %p is not in shared memory", shared);
  SeenCopy(&row, shared, 16);
  const Met met = Meet(kAllLanes, "ldmatrix", row, Ordering::kNone);
  if (met.present != kAllLanes) Fail("ldmatrix: a lane of the warp has ended");
  const int lane = RunningThread().lane;
  for (int matrix = 0; matrix < 4; ++matrix) {
    const Offer* rows = met.offers + 8 * matrix;
    const auto half = [&](int of_row, int column) { return rows[of_row].words[column / 2] >> column % 2 * 16 & 0xffff; };
    const int major = lane / 4, minor = lane % 4;
    out[matrix] = turned ? half(2 * minor, major) | half(2 * minor + 1, major) << 16 : rows[major].words[minor];
  }
}

}  // namespace kedge::cuda::emulated
