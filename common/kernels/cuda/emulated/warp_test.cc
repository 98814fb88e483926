// Shuffles, votes and sums by the definitions of CUDA's manual.
#include "common/kernels/cuda/emulated/warp.h"

#include <bit>
#include <cmath>
#include <vector>

#include "common/kernels/cuda/emulated/grid.h"
#include "common/kernels/cuda/emulated/stand_in/cuda_runtime.h"
#include "gtest/gtest.h"

namespace kedge::cuda::emulated {
namespace {

constexpr unsigned kAll = ~0u;

// Of each lane of one warp, in several orders.
void InWarp(const std::function<void(int lane)>& body) {
  for (const std::optional<uint64_t> seed : {std::optional<uint64_t>(), {1}, {2}}) {
    RunGrid({.block = {32}}, {seed}, [&] { body(threadIdx.x); });
  }
}

TEST(Warp, ShufflesByIndex) {
  InWarp([](int lane) {
    EXPECT_EQ(__shfl_sync(kAll, lane * 10, 7), 70);
    EXPECT_EQ(__shfl_sync(kAll, lane * 10, 31 - lane), (31 - lane) * 10);
    EXPECT_EQ(__shfl_sync(kAll, lane, 35), 3);                    // modulo the warp
    EXPECT_EQ(__shfl_sync(kAll, lane, 3, 8), lane / 8 * 8 + 3);   // within groups
    EXPECT_EQ(__shfl_sync(kAll, lane, 13, 8), lane / 8 * 8 + 5);  // modulo the group
    EXPECT_EQ(__shfl_sync(kAll, lane + 0.25, 30), 30.25);         // 8 bytes
    EXPECT_EQ(__shfl_sync(kAll, static_cast<float>(lane), 9), 9.0f);
  });
}

TEST(Warp, ShufflesUpDownAndXor) {
  InWarp([](int lane) {
    EXPECT_EQ(__shfl_up_sync(kAll, lane, 3), lane < 3 ? lane : lane - 3);
    EXPECT_EQ(__shfl_up_sync(kAll, lane, 3, 8), lane % 8 < 3 ? lane : lane - 3);
    EXPECT_EQ(__shfl_down_sync(kAll, lane, 3), lane > 28 ? lane : lane + 3);
    EXPECT_EQ(__shfl_down_sync(kAll, lane, 3, 8), lane % 8 > 4 ? lane : lane + 3);
    EXPECT_EQ(__shfl_xor_sync(kAll, lane, 21), lane ^ 21);
    EXPECT_EQ(__shfl_xor_sync(kAll, lane, 9, 8), (lane & 8) != 0 ? lane ^ 9 : lane);  // groups before, not behind
  });
}

TEST(Warp, MasksMeetEachForItself) {
  InWarp([](int lane) {
    const unsigned eight = 0xffu << lane / 8 * 8;
    int sum = lane;
    // Groups that go different ways, and not as often.
    for (int repeat = 0; repeat <= lane / 8; ++repeat) {
      sum = lane;
      for (int m = 4; m > 0; m /= 2) sum += __shfl_xor_sync(eight, sum, m);
    }
    EXPECT_EQ(sum, 28 + lane / 8 * 64);
    if (lane % 2 == 0) {
      EXPECT_EQ(__ballot_sync(0x55555555u, lane >= 16), 0x55550000u);
    } else {
      EXPECT_EQ(__reduce_add_sync(0xaaaaaaaau, lane), 256);
    }
    __syncwarp();
    EXPECT_EQ(__ballot_sync(kAll, lane % 3 == 0), 0x49249249u);
  });
}

TEST(Warp, VotesAndSums) {
  InWarp([](int lane) {
    EXPECT_EQ(__ballot_sync(kAll, lane == 5 || lane == 31), 0x80000020u);
    EXPECT_TRUE(__any_sync(kAll, lane == 9));
    EXPECT_FALSE(__any_sync(kAll, lane == 99));
    EXPECT_TRUE(__all_sync(kAll, lane < 32));
    EXPECT_FALSE(__all_sync(kAll, lane < 31));
    EXPECT_EQ(__reduce_add_sync(kAll, lane - 20), 496 - 640);
    EXPECT_EQ(__reduce_add_sync(kAll, 0xf0000000u + lane), static_cast<unsigned>(32ull * 0xf0000000ull + 496));
    EXPECT_EQ(__reduce_min_sync(kAll, lane - 20), -20);
    EXPECT_EQ(__reduce_max_sync(kAll, static_cast<unsigned>(lane - 20)), 0xffffffffu);
    EXPECT_EQ(__reduce_and_sync(kAll, 0xf0u | lane), 0xf0u & ~0xfu);
    EXPECT_EQ(__reduce_or_sync(kAll, static_cast<unsigned>(lane)), 31u);
    EXPECT_EQ(__reduce_xor_sync(kAll, 1u << lane), kAll);
  });
}

TEST(Warp, WhoHasEndedIsNotWaitedFor) {
  InWarp([](int lane) {
    if (lane >= 20) return;
    EXPECT_EQ(__ballot_sync(kAll, true), 0xfffffu);
    EXPECT_TRUE(__all_sync(kAll, true));
    EXPECT_EQ(__reduce_add_sync(kAll, 1), 20);
    EXPECT_TRUE(std::isnan(__shfl_sync(kAll, 1.0f, 25)));  // undefined: NaN shows it
  });
  RunGrid({.block = {40}}, {}, [] {  // the second warp has eight lanes
    EXPECT_EQ(__ballot_sync(kAll, true), threadIdx.x < 32 ? kAll : 0xffu);
  });
}

TEST(Warp, WordsOfFourBytes) {
  for (uint32_t a : {0x00000000u, 0x7f80ff01u, 0x12345678u, 0xffffffffu, 0x80808080u}) {
    for (uint32_t b : {0x00000000u, 0x08080808u, 0x8001fe7fu, 0xdeadbeefu, 0xffffffffu}) {
      uint32_t sum = 0, difference = 0;
      int product = 7;
      for (int i = 0; i < 32; i += 8) {
        sum |= (((a >> i) + (b >> i)) & 0xff) << i;
        difference |= (((a >> i) - (b >> i)) & 0xff) << i;
        product += static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i);
      }
      EXPECT_EQ(__vadd4(a, b), sum);
      EXPECT_EQ(__vsub4(a, b), difference);
      EXPECT_EQ(__dp4a(static_cast<int>(a), static_cast<int>(b), 7), product);
      EXPECT_EQ(__byte_perm(a, b, 0x3210), a);
      EXPECT_EQ(__byte_perm(a, b, 0x7654), b);
      EXPECT_EQ(__byte_perm(a, b, 0x0123), __builtin_bswap32(a));
      EXPECT_EQ(__popc(a), std::popcount(a));
    }
  }
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
}

TEST(WarpDeathTest, MistakesAreReported) {
  EXPECT_DEATH(RunGrid({.block = {32}}, {}, [] { __shfl_sync(0xfu, 1, 0); }),
               "thread \\(4, 0, 0\\): __shfl_sync: the mask 0000000f leaves out lane 4");
  EXPECT_DEATH(RunGrid({.block = {32}}, {},
                       [] {
                         if (threadIdx.x == 3) {
                           __syncwarp();
                         } else {
                           __any_sync(kAll, 1);
                         }
                       }),
               "meet at different calls: __any_sync and __syncwarp");
}

}  // namespace
}  // namespace kedge::cuda::emulated
