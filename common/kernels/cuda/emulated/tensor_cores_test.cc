// The products of a warp against a plain matrix product, and fragments as the PTX ISA numbers them.
#include <cstring>
#include <random>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/emulated/grid.h"
#include "gtest/gtest.h"

namespace kedge::cuda::emulated {
namespace {

struct Matrices {
  alignas(16) int8_t a[16][32];
  alignas(16) int8_t b[8][32];  // [column][row]
  int c[16][8];
};

Matrices Random(int seed) {
  std::mt19937 random(seed);
  Matrices m;
  for (auto& row : m.a) {
    for (int8_t& value : row) value = static_cast<int8_t>(random());
  }
  for (auto& column : m.b) {
    for (int8_t& value : column) value = static_cast<int8_t>(random());
  }
  for (auto& row : m.c) {
    for (int& value : row) value = static_cast<int>(random() % 2000) - 1000;
  }
  return m;
}

int Product(const Matrices& m, int row, int column) {
  int sum = 0;
  for (int k = 0; k < 32; ++k) sum += m.a[row][k] * m.b[column][k];
  return sum;
}

// As the PTX ISA has the fragments of mma.m16n8k32: element i of a thread's sixteen, eight and four.
void Fragments(const Matrices& m, int lane, uint32_t (&a)[4], uint32_t (&b)[2]) {
  const int group = lane >> 2, in_group = lane % 4;
  int8_t bytes[16];
  for (int i = 0; i < 16; ++i) {
    const int row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
    bytes[i] = m.a[row][in_group * 4 + (i & 3) + (i < 8 ? 0 : 16)];
  }
  std::memcpy(a, bytes, 16);
  for (int i = 0; i < 8; ++i) bytes[i] = m.b[group][in_group * 4 + (i & 3) + (i < 4 ? 0 : 16)];
  std::memcpy(b, bytes, 8);
}

TEST(TensorCores, MultiplyAddIsTheMatrixProduct) {
  for (int seed = 0; seed < 20; ++seed) {
    const Matrices m = Random(seed);
    RunGrid({.block = {32}}, {.seed = seed}, [&] {
      const int lane = threadIdx.x, group = lane >> 2, in_group = lane % 4;
      uint32_t a[4], b[2];
      Fragments(m, lane, a, b);
      int sums[4], products[4];
      for (int i = 0; i < 4; ++i) sums[i] = m.c[i < 2 ? group : group + 8][in_group * 2 + (i & 1)];
      MultiplyAdd(a, b, sums);
      MultiplyBlock(a, b, products);
      for (int i = 0; i < 4; ++i) {
        const int row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1);
        EXPECT_EQ(sums[i], m.c[row][column] + Product(m, row, column));
        EXPECT_EQ(__int_as_float(products[i]) - 12582912.0f, static_cast<float>(Product(m, row, column)));
      }
    });
  }
}

TEST(TensorCores, LoadFragmentsGivesThemFromRows) {
  const Matrices m = Random(1);
  RunGrid({.block = {32}, .shared_bytes = sizeof(Matrices)}, {}, [&] {
    const int lane = threadIdx.x;
    if (lane == 0) std::memcpy(SharedMemory(), &m, sizeof(m));
    __syncwarp();
    const Matrices& shared = *reinterpret_cast<const Matrices*>(SharedMemory());
    uint32_t a[4], b[2], loaded[4];
    Fragments(m, lane, a, b);
    LoadFragments(&shared.a[lane % 16][lane / 16 * 16], loaded);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(loaded[i], a[i]);
    LoadFragments(&shared.b[lane % 8][lane / 8 % 2 * 16], loaded);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(loaded[i], b[i % 2]);
  });
}

TEST(TensorCores, LoadFragmentsTurnedSwapsRowsAndColumns) {
  RunGrid({.block = {32}, .shared_bytes = 32 * 16}, {}, [] {
    const int lane = threadIdx.x;
    uint16_t(*halves)[8] = reinterpret_cast<uint16_t(*)[8]>(SharedMemory());  // [matrix and row][column]
    for (int i = 0; i < 8; ++i) halves[lane][i] = static_cast<uint16_t>(lane * 8 + i);
    __syncwarp();
    uint32_t loaded[4];
    LoadFragmentsTurned(halves[lane], loaded);
    for (int matrix = 0; matrix < 4; ++matrix) {
      const uint32_t low = (matrix * 8 + lane % 4 * 2) * 8 + lane / 4;
      EXPECT_EQ(loaded[matrix], low | (low + 8) << 16);
    }
  });
}

TEST(TensorCoresDeathTest, MistakesAreReported) {
  const auto load = [](int offset) {
    RunGrid({.block = {32}, .shared_bytes = 64}, {}, [&] {
      uint32_t loaded[4];
      LoadFragments(SharedMemory() + offset, loaded);
    });
  };
  load(48);
  EXPECT_DEATH(load(8), "ldmatrix: the row .* is not aligned to 16 bytes");
  EXPECT_DEATH(load(64), "ldmatrix: the row .* is not in shared memory");
  EXPECT_DEATH(RunGrid({.block = {31}}, {},
                       [] {
                         const uint32_t a[4] = {}, b[2] = {};
                         int c[4] = {};
                         MultiplyAdd(a, b, c);
                       }),
               "mma: a lane of the warp has ended");
}

}  // namespace
}  // namespace kedge::cuda::emulated
