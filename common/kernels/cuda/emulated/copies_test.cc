// Copies are there when they were waited for, and NaN before; barriers in shared memory.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/emulated/grid.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "gtest/gtest.h"

namespace kedge::cuda::emulated {
namespace {

struct alignas(16) Source {
  Source() {
    for (int i = 0; i < 1024; ++i) floats[i] = static_cast<float>(i);
  }
  float floats[1024];
};

float* SharedFloats() { return reinterpret_cast<float*>(SharedMemory()); }

TEST(Copies, AreThereWhenTheirGroupIsWaitedFor) {
  const Source source;
  RunGrid({.block = {4}, .shared_bytes = 1024}, {}, [&] {
    float* mine = SharedFloats() + 64 * threadIdx.x;
    for (int i = 0; i < 3; ++i) {  // three groups, the second of two copies
      CopyAsync(mine + 8 * i, source.floats + 100 * i);
      if (i == 1) CopyAsync(mine + 8 * i + 4, source.floats + 100 * i + 4);
      CommitCopies();
    }
    WaitForCopies<3>();
    for (int i = 0; i < 24; ++i) EXPECT_TRUE(std::isnan(mine[i]));
    WaitForCopies<2>();
    EXPECT_EQ(mine[3], 3.0f);
    EXPECT_TRUE(std::isnan(mine[8]));
    WaitForCopies<1>();
    EXPECT_EQ(mine[8], 100.0f);
    EXPECT_EQ(mine[15], 107.0f);
    EXPECT_TRUE(std::isnan(mine[16]));
    CommitCopies();  // an empty group counts
    WaitForCopies<1>();
    EXPECT_EQ(mine[19], 203.0f);
    CopyAsync(mine, source.floats + 4);
    WaitForCopies<0>();  // of groups: this copy is in none
    EXPECT_TRUE(std::isnan(mine[0]));
    CommitCopies();
    WaitForCopies<0>();
    EXPECT_EQ(mine[0], 4.0f);
  });
}

TEST(Copies, WhatIsReadWhileItIsFilledAgainIsNaN) {
  const Source source;
  RunGrid({.block = {1}, .shared_bytes = 16}, {}, [&] {
    std::fill_n(SharedFloats(), 4, 1.0f);
    CopyAsync(SharedFloats(), source.floats);
    EXPECT_TRUE(std::isnan(SharedFloats()[0]));
  });
}

TEST(CopiesDeathTest, AddressesAreChecked) {
  Source source;
  const auto copy = [&](int to, int from) {
    RunGrid({.block = {1}, .shared_bytes = 64}, {}, [&] { CopyAsync(SharedFloats() + to, source.floats + from); });
  };
  copy(12, 4);
  EXPECT_DEATH(copy(1, 0), "CopyAsync: the target .* is not aligned to 16 bytes");
  EXPECT_DEATH(copy(0, 1), "CopyAsync: the source .* is not aligned to 16 bytes");
  EXPECT_DEATH(copy(16, 0), "CopyAsync: the target .* is not in shared memory");
  EXPECT_DEATH(RunGrid({.block = {1}, .shared_bytes = 64}, {},
                       [&] {
                         CopyAsync(SharedFloats(), source.floats);
                         CommitCopies();
                         source.floats[3] = 7;
                         WaitForCopies<0>();
                       }),
               "CopyAsync: the source .* was written before the copy was waited for");
}

// A ring of two stages: one warp fills, all sum, and each stage is used often.
TEST(BulkCopies, FillARing) {
  constexpr int kStages = 2, kStageFloats = 64, kSteps = 16, kWarps = 3;
  struct Memory {
    float stages[kStages][kStageFloats];
    Barrier full[kStages], free[kStages];
  };
  const Source source;
  for (const GridOptions& order : std::vector<GridOptions>{{}, {.seed = 1}, {.seed = 2}, {.seed = 3}}) {
    float sums[kWarps] = {};
    RunGrid({.block = {32 * kWarps}, .shared_bytes = sizeof(Memory)}, order, [&] {
      Memory& memory = *reinterpret_cast<Memory*>(SharedMemory());
      const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
      if (threadIdx.x == 0) {
        for (int i = 0; i < kStages; ++i) {
          InitBarrier(&memory.full[i], kCopyArrivals);
          InitBarrier(&memory.free[i], kWarps);
        }
        PublishBarriers();
      }
      __syncthreads();
      const auto fill = [&](int step) {
        Barrier* full = &memory.full[step % kStages];
        float* to = memory.stages[step % kStages];
        const float* from = source.floats + step * kStageFloats;
        CopyBulk(to, from, 32 * 4, full);
        CopyBulk(to + 32, from + 32, 32 * 4, full);
        ArriveForBytes(full, kStageFloats * 4);
      };
      if (warp == 0) {
        for (int i = 0; i < kStages; ++i) fill(i);
      }
      float sum = 0;
      for (int step = 0; step < kSteps; ++step) {
        const uint32_t parity = step / kStages % 2;
        WaitForBarrier(&memory.full[step % kStages], parity);
        sum += memory.stages[step % kStages][lane] + memory.stages[step % kStages][lane + 32];
        __syncwarp();
        if (lane == 0) Arrive(&memory.free[step % kStages]);
        if (warp == 0 && step + kStages < kSteps) {
          WaitForBarrier(&memory.free[step % kStages], parity);
          fill(step + kStages);
        }
      }
      for (int m = 16; m > 0; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
      if (lane == 0) sums[warp] = sum;
    });
    for (float sum : sums) EXPECT_EQ(sum, 1023 * 512.0f);
  }
}

TEST(BulkCopies, AreNaNBeforeTheirBarrier) {
  const Source source;
  RunGrid({.block = {1}, .shared_bytes = 64}, {}, [&] {
    Barrier* barrier = reinterpret_cast<Barrier*>(SharedMemory() + 32);
    InitBarrier(barrier, 1);
    WaitForBarrier(barrier, 1);  // the phase before the first has ended
    CopyBulk(SharedMemory(), source.floats + 8, 32, barrier);
    ArriveForBytes(barrier, 32);
    if (!HasThreadSanitizer()) {  // for which it is a race
      EXPECT_TRUE(std::isnan(SharedFloats()[0]));
    }
    WaitForBarrier(barrier, 0);
    EXPECT_EQ(SharedFloats()[7], 15.0f);
  });
}

TEST(BulkCopiesDeathTest, MistakesAreReported) {
  const Source source;
  const auto run = [&](const std::function<void(Barrier*)>& body) {
    RunGrid({.block = {1}, .shared_bytes = 64}, {}, [&] { body(reinterpret_cast<Barrier*>(SharedMemory() + 48)); });
  };
  EXPECT_DEATH(run([](Barrier* barrier) { Arrive(barrier); }), "used without InitBarrier");
  EXPECT_DEATH(run([](Barrier* barrier) { InitBarrier(barrier + 2, 1); }), "InitBarrier: .* is not in shared memory");
  EXPECT_DEATH(run([](Barrier* barrier) {
                 InitBarrier(barrier, 1);
                 InitBarrier(barrier, 1);
               }),
               "is a barrier already");
  EXPECT_DEATH(run([](Barrier* barrier) {  // a warp that comes with one lane
                 InitBarrier(barrier, kCopyArrivals);
                 ArriveForBytes(barrier, 0);
                 WaitForBarrier(barrier, 0);
               }),
               "deadlock: .*: 1 at WaitForBarrier");
  EXPECT_DEATH(run([](Barrier* barrier) {  // bytes that nobody copies
                 InitBarrier(barrier, 1);
                 ArriveForBytes(barrier, 16);
                 WaitForBarrier(barrier, 0);
               }),
               "deadlock: .*: 1 at WaitForBarrier");
  EXPECT_DEATH(run([](Barrier* barrier) {
                 InitBarrier(barrier, 1);
                 ArriveForBytes(barrier, 16);
                 Arrive(barrier);
               }),
               "more threads arrive at a barrier than InitBarrier said \\(1\\)");
  EXPECT_DEATH(run([&](Barrier* barrier) {
                 InitBarrier(barrier, 1);
                 CopyBulk(SharedMemory(), source.floats, 20, barrier);
               }),
               "CopyBulk: 20 bytes are not a multiple of 16");
  EXPECT_DEATH(run([&](Barrier* barrier) {
                 InitBarrier(barrier, 1);
                 CopyBulk(SharedMemory(), source.floats, 16, barrier);
               }),
               "the block ended before a bulk copy into its shared memory did");
}

}  // namespace
}  // namespace kedge::cuda::emulated
