// What threads of a block do together, in ascending and in drawn orders.
#include "common/kernels/cuda/emulated/grid.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "common/kernels/cuda/device.h"
#include "gtest/gtest.h"

namespace kedge::cuda::emulated {
namespace {

const std::vector<GridOptions> kOrders = {{}, {.seed = 1}, {.seed = 2}, {.seed = 3}};

TEST(Grid, EachThreadRunsOnceAndKnowsItsPlace) {
  for (const GridOptions& order : kOrders) {
    std::vector<int> runs(2 * 2 * 2 * 5 * 7 * 2);
    RunGrid({.grid = {2, 2, 2}, .block = {5, 7, 2}}, order, [&] {
      const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
      const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
      EXPECT_EQ(Lane(), thread % 32);
      ++runs[block * 70 + thread];
    });
    EXPECT_EQ(runs, std::vector<int>(runs.size(), 1));
  }
}

TEST(Grid, OrderIsTheSeeds) {
  const auto order_of = [](GridOptions options) {
    int turn = 0;
    std::string turns(64, ' ');
    RunGrid({.grid = {8}, .block = {8}}, options,
            [&] { turns[8 * blockIdx.x + threadIdx.x] = static_cast<char>(' ' + atomicAdd(&turn, 1)); });
    return turns;
  };
  std::string ascending(64, ' ');
  std::iota(ascending.begin(), ascending.end(), ' ');
  EXPECT_EQ(order_of({}), ascending);
  EXPECT_EQ(order_of({.seed = 5}), order_of({.seed = 5}));
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 20; ++seed) orders.insert(order_of({seed}));
  EXPECT_GT(orders.size(), 15u);
}

TEST(Grid, NobodyPassesABarrierBeforeAllHaveCome) {
  for (const GridOptions& order : kOrders) {
    std::vector<int> step(200);
    int wrong = 0;
    RunGrid({.grid = {1}, .block = {200}}, order, [&] {
      for (int i = 0; i < 10; ++i) {
        step[threadIdx.x] = i;
        __syncthreads();
        for (int other : step) atomicAdd(&wrong, static_cast<int>(other != i));
        __syncthreads();
      }
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Grid, BarriersCount) {
  for (const GridOptions& order : kOrders) {
    RunGrid({.block = {100}}, order, [] {
      for (unsigned i = 0; i < 100; i += 7) {
        EXPECT_EQ(__syncthreads_count(threadIdx.x < i), static_cast<int>(i));
        EXPECT_EQ(__syncthreads_or(threadIdx.x == i), 1);
        EXPECT_EQ(__syncthreads_or(threadIdx.x == 100), 0);
        EXPECT_EQ(__syncthreads_and(threadIdx.x != i), 0);
        EXPECT_EQ(__syncthreads_and(threadIdx.x != 100), 1);
      }
    });
  }
}

TEST(Grid, WhoHasEndedIsNotWaitedFor) {
  for (const GridOptions& order : kOrders) {
    int count = 0;
    RunGrid({.block = {96}}, order, [&] {
      if (threadIdx.x % 3 == 0) return;
      __syncthreads();
      __syncwarp();
      if (threadIdx.x >= 50) return;
      const int came = __syncthreads_count(true);
      if (threadIdx.x == 1) count = came;
    });
    EXPECT_EQ(count, 33);
  }
}

TEST(Grid, SharedMemoryIsTheBlocksAndNewForEach) {
  RunGrid({.grid = {4}, .block = {64}, .shared_bytes = 64 * sizeof(float)}, {}, [] {
    float* shared = reinterpret_cast<float*>(SharedMemory());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(shared) % 1024, 0u);
    EXPECT_TRUE(std::isnan(shared[threadIdx.x]));
    __syncthreads();
    shared[63 - threadIdx.x] = static_cast<float>(threadIdx.x);
    __syncthreads();
    EXPECT_EQ(shared[threadIdx.x], static_cast<float>(63 - threadIdx.x));
  });
}

// Nothing is left of the grids before: they were larger, ended in pieces, or had other shared memory.
TEST(Grid, GridsOfAllSizesInTurn) {
  for (const unsigned threads : {1000u, 40u, 1u, 96u, 1024u, 33u}) {
    const size_t floats = 3 * threads % 64;
    int ends = 0;
    RunGrid({.grid = {3}, .block = {threads}, .shared_bytes = floats * sizeof(float)}, {.seed = threads}, [&] {
      float* shared = reinterpret_cast<float*>(SharedMemory());
      if (threadIdx.x < floats) EXPECT_TRUE(std::isnan(shared[threadIdx.x]));
      EXPECT_EQ(__syncthreads_count(true), static_cast<int>(threads));
      if (threadIdx.x < floats) shared[threadIdx.x] = 1;
      const unsigned lanes = std::min(32u, threads - threadIdx.x / 32 * 32);
      EXPECT_EQ(__reduce_add_sync(~0u, 1u), lanes);
      atomicAdd(&ends, 1);
      if (threadIdx.x % 2 == 0) return;
      EXPECT_EQ(__reduce_add_sync(0xaaaaaaaau, 1u), lanes / 2);
    });
    EXPECT_EQ(ends, static_cast<int>(3 * threads));
  }
}

TEST(Grid, AtomicsOfAllBlocks) {
  int count = 0, largest = 0, smallest = 0, bits = 0, swapped = 0;
  unsigned wrapped = 0;
  float sum = 0;
  RunGrid({.grid = {5}, .block = {40}}, {.seed = 1}, [&] {
    const int i = blockIdx.x * 40 + threadIdx.x;
    atomicAdd(&count, 1);
    atomicAdd(&sum, 0.5f);
    atomicMax(&largest, i);
    atomicMin(&smallest, -i);
    atomicOr(&bits, 1 << i % 31);
    atomicXor(&bits, 0);
    atomicInc(&wrapped, 6);
    while (atomicCAS(&swapped, i, i + 1) == i) {
    }
  });
  EXPECT_EQ(count, 200);
  EXPECT_EQ(sum, 100.0f);
  EXPECT_EQ(largest, 199);
  EXPECT_EQ(smallest, -199);
  EXPECT_EQ(bits, 0x7fffffff);
  EXPECT_EQ(wrapped, 200u % 7);
}

// The last block sums what all blocks left, ordered by fences: no race.
TEST(Grid, FencesOrderBlocks) {
  float parts[6], sum = 0;
  unsigned done = 0;
  RunGrid({.grid = {6}, .block = {1}}, {.seed = 3}, [&] {
    parts[blockIdx.x] = static_cast<float>(blockIdx.x);
    __threadfence();
    if (atomicInc(&done, 5) < 5) return;
    __threadfence();
    for (float part : parts) sum += part;
  });
  EXPECT_EQ(sum, 15.0f);
}

TEST(GridDeathTest, DeadlockIsReported) {
  EXPECT_DEATH(RunGrid({.block = {64}}, {},
                       [] {
                         if (threadIdx.x < 32) {
                           __syncthreads();
                         } else if (threadIdx.x < 40) {
                           __syncwarp();
                         } else {
                           __shfl_sync(0xffffff00u, 1, 8);
                           __syncthreads();
                         }
                       }),
               "block \\(0, 0, 0\\): deadlock: .*: 56 at __syncthreads, 8 at __syncwarp");
}

// Out of line: the compiler knows nothing of the address.
[[gnu::noinline]] float4 Read(const float* from) { return *reinterpret_cast<const float4*>(from); }

TEST(GridDeathTest, WideReadsAreAligned) {
  alignas(16) const float four[8] = {1, 2, 3, 4, 5};
  RunGrid({.block = {1}}, {}, [&] { EXPECT_EQ(Read(four + 4).x, 5.0f); });
  EXPECT_DEATH(RunGrid({.block = {3}}, {}, [&] { Read(four + threadIdx.x % 2); }),
               "thread \\(1, 0, 0\\): .*grid_test.cc:[0-9]+:[0-9]+: the address .* is not aligned|"
               "grid_test.cc:.* misaligned address");
}

TEST(GridDeathTest, EarlyKernelsWaitForTheOneBefore) {
  RunGrid({.block = {8}, .early = true}, {}, [] { WaitForPrevious(); });
  EXPECT_DEATH(RunGrid({.block = {8}, .early = true}, {},
                       [] {
                         if (threadIdx.x != 3) WaitForPrevious();
                       }),
               "thread \\(3, 0, 0\\): .* without WaitForPrevious");
}

TEST(Grid, RefusesShapesThatNoDeviceTakes) {
  EXPECT_TRUE(CheckShape({.grid = {0x7fffffff, 65535, 65535}, .block = {32, 32, 1}, .shared_bytes = 232448}).ok());
  const auto refusal = [](LaunchShape shape) { return std::string(CheckShape(shape).message()); };
  EXPECT_EQ(refusal({.grid = {0}}), "launch: grid.x is 0, must be in [1, 2147483647]");
  EXPECT_EQ(refusal({.grid = {1, 65536}}), "launch: grid.y is 65536, must be in [1, 65535]");
  EXPECT_EQ(refusal({.block = {1, 1, 65}}), "launch: block.z is 65, must be in [1, 64]");
  EXPECT_EQ(refusal({.block = {64, 32}}), "launch: the number of threads in a block is 2048, must be in [1, 1024]");
  EXPECT_EQ(refusal({.shared_bytes = 232449}), "launch: shared_bytes is 232449, must be at most 232448");
}

}  // namespace
}  // namespace kedge::cuda::emulated
