// The scheduler gives each thread a turn that has not ended and whose wait is over; a round in which nobody had one is
// the time for bulk copies, and without those a deadlock. Tested by grid_test.cc.
#include "common/kernels/cuda/emulated/grid.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/emulated/seen.h"

// What stand_in/cuda_runtime.h declares.
__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace kedge::cuda::emulated {
namespace {

constexpr unsigned kMaxThreads = 1024, kMaxBlockZ = 64, kMaxGridYz = 65535, kMaxGridX = 0x7fffffff;
constexpr size_t kMaxSharedBytes = 227 << 10;

thread_local Block* running_block = nullptr;
thread_local Thread* running_thread = nullptr;

// Of the grid that runs.
struct Grid {
  const LaunchShape& shape;
  const std::function<void()>& body;
  std::optional<std::mt19937_64> random;
  char begin = 0, end = 0;  // of the grid, for TSan
};
thread_local Grid* running_grid = nullptr;

template <typename List>
void Shuffle(List& list) {
  if (running_grid->random) std::shuffle(list.begin(), list.end(), *running_grid->random);
}

void ThreadMain() {
  Block& block = *running_block;
  Thread& self = *running_thread;
  Acquire(running_grid->begin);
  running_grid->body();
  if (running_grid->shape.early && !self.waited_for_previous) {
    Fail("a kernel that may begin early ended without WaitForPrevious");
  }
  Release(running_grid->end);
  self.is_done = true;
  --block.live;
  OpenIfComplete(block, block.barrier);
  Warp& warp = block.warps[self.warp];
  warp.live &= ~(1u << self.lane);
  for (Meeting& meeting : warp.meetings) OpenIfComplete(warp, meeting);
  self.fiber.Leave(block.scheduler);
}

bool LandOneCopy(Block& block) {
  if (block.bulk_copies.empty()) return false;
  auto it = block.bulk_copies.begin();
  if (running_grid->random) std::advance(it, (*running_grid->random)() % block.bulk_copies.size());
  PhaseBarrier& barrier = *it->barrier;
  void* const scheduler = RunningActor();
  BecomeActor(block.copier);
  Acquire(it->sync);
  SeenCopy(it->to, it->from, it->bytes);
  Release(barrier.turns.At(barrier.phase));
  BecomeActor(scheduler);
  barrier.bytes -= it->bytes;
  const Unseen unseen;
  block.bulk_copies.erase(it);
  OpenIfComplete(barrier);
  return true;
}

void ReportDeadlock(const Block& block) {
  std::map<std::string, int> waiting;
  for (const Thread& thread : block.threads) {
    if (!thread.is_done) ++waiting[thread.where];
  }
  std::string text;
  for (const auto& [where, count] : waiting) absl::StrAppend(&text, text.empty() ? "" : ", ", count, " at ", where);
  Fail("deadlock: threads wait for each other: %s", text.c_str());
}

void RunBlock() {
  auto owned = std::make_unique<Block>(running_grid->shape.shared_bytes);
  Block& block = *owned;
  running_block = &block;
  const unsigned count = blockDim.x * blockDim.y * blockDim.z;
  block.live = count;
  block.warps.resize((count + 31) / 32);
  std::vector<Thread*> turns;
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = block.threads.emplace_back(&ThreadMain);
    thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    thread.lane = i % 32;
    thread.warp = i / 32;
    block.warps[thread.warp].live |= 1u << thread.lane;
    turns.push_back(&thread);
  }
  Shuffle(turns);
  Release(running_grid->begin);
  while (block.live > 0) {
    bool has_moved = false;
    for (Thread* thread : turns) {
      if (thread->is_done || (thread->word != nullptr && *thread->word == thread->value)) continue;
      has_moved = true;
      running_thread = thread;
      threadIdx = thread->index;
      block.scheduler.SwitchTo(thread->fiber);
    }
    running_thread = nullptr;
    if (!has_moved && !LandOneCopy(block)) ReportDeadlock(block);
  }
  if (!block.bulk_copies.empty()) Fail("the block ended before a bulk copy into its shared memory did");
  if (!block.shared.IsIntact()) Fail("the block wrote before or behind its shared memory");
  running_block = nullptr;
  // The scheduler has not seen the threads end: for TSan nothing orders a block before the next one.
  const Unseen unseen;
  owned.reset();
}

}  // namespace

Block& RunningBlock() { return *running_block; }
Thread& RunningThread() { return *running_thread; }

void Fail(const char* format, ...) {
  std::fprintf(stderr, "emulated device: block (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
  if (running_thread != nullptr) std::fprintf(stderr, ", thread (%u, %u, %u)", threadIdx.x, threadIdx.y, threadIdx.z);
  std::fprintf(stderr, ": ");
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "\n");
  std::abort();
}

void WaitWhile(const uint32_t& word, uint32_t value, const char* where) {
  Thread& self = *running_thread;
  self.word = &word;
  self.value = value;
  self.where = where;
  self.fiber.SwitchTo(running_block->scheduler);
  self.word = nullptr;
}

void RunGrid(const LaunchShape& shape, const GridOptions& options, const std::function<void()>& body) {
  Grid grid{shape, body};
  if (options.seed) grid.random.emplace(*options.seed);
  running_grid = &grid;
  gridDim = {shape.grid.x, shape.grid.y, shape.grid.z};
  blockDim = {shape.block.x, shape.block.y, shape.block.z};
  std::vector<uint3> blocks;
  for (unsigned z = 0; z < shape.grid.z; ++z) {
    for (unsigned y = 0; y < shape.grid.y; ++y) {
      for (unsigned x = 0; x < shape.grid.x; ++x) blocks.push_back({x, y, z});
    }
  }
  Shuffle(blocks);
  for (const uint3& block : blocks) {
    blockIdx = block;
    RunBlock();
  }
  Acquire(grid.end);
  running_grid = nullptr;
}

absl::Status CheckShape(const LaunchShape& shape) {
  const Extent &grid = shape.grid, &block = shape.block;
  const auto refuse = [](absl::string_view what, uint64_t value, uint64_t limit) {
    return absl::InvalidArgumentError(absl::StrCat("launch: ", what, " is ", value, ", must be in [1, ", limit, "]"));
  };
  const auto is_in = [](uint64_t value, uint64_t limit) { return value >= 1 && value <= limit; };
  if (!is_in(grid.x, kMaxGridX)) return refuse("grid.x", grid.x, kMaxGridX);
  if (!is_in(grid.y, kMaxGridYz)) return refuse("grid.y", grid.y, kMaxGridYz);
  if (!is_in(grid.z, kMaxGridYz)) return refuse("grid.z", grid.z, kMaxGridYz);
  if (!is_in(block.x, kMaxThreads)) return refuse("block.x", block.x, kMaxThreads);
  if (!is_in(block.y, kMaxThreads)) return refuse("block.y", block.y, kMaxThreads);
  if (!is_in(block.z, kMaxBlockZ)) return refuse("block.z", block.z, kMaxBlockZ);
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads > kMaxThreads) return refuse("the number of threads in a block", threads, kMaxThreads);
  if (shape.shared_bytes > kMaxSharedBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("launch: shared_bytes is ", shape.shared_bytes, ", must be at most ", kMaxSharedBytes));
  }
  return absl::OkStatus();
}

}  // namespace kedge::cuda::emulated
