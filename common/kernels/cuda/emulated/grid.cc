// A thread that waits, or ends, switches to the next one in turn that has not ended and does not wait. Where there is
// none it is the time for bulk copies, and without those a deadlock. Tested by grid_test.cc.
#include "common/kernels/cuda/emulated/grid.h"

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/emulated/seen.h"

// What stand_in/cuda_runtime.h declares.
__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace kedge::cuda::emulated {

__thread Block* running_block = nullptr;
__thread Thread* running_thread = nullptr;

namespace {

constexpr unsigned kMaxThreads = 1024, kMaxBlockZ = 64, kMaxGridYz = 65535, kMaxGridX = 0x7fffffff;
constexpr size_t kMaxSharedBytes = 227 << 10;

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

bool LandOneCopy(Block& block) {
  if (block.bulk_copies.empty()) return false;
  auto it = block.bulk_copies.begin();
  if (running_grid->random) std::advance(it, (*running_grid->random)() % block.bulk_copies.size());
  PhaseBarrier& barrier = *it->barrier;
  void* const caller = RunningActor();
  BecomeActor(block.copier);
  Acquire(it->sync);
  SeenCopy(it->to, it->from, it->bytes);
  Release(barrier.turns.At(barrier.phase));
  BecomeActor(caller);
  barrier.bytes -= it->bytes;
  const Unseen unseen;
  block.bulk_copies.erase(it);
  OpenIfComplete(barrier);
  return true;
}

void ReportDeadlock(const Block& block) {
  std::map<std::string, int> waiting;
  for (const Thread& thread : block.threads) {
    if (thread.where != nullptr) ++waiting[thread.where];
  }
  std::string text;
  for (const auto& [where, count] : waiting) absl::StrAppend(&text, text.empty() ? "" : ", ", count, " at ", where);
  running_thread = nullptr;
  Fail("deadlock: threads wait for each other: %s", text.c_str());
}

void SetReady(Block& block, const Thread& thread, bool is_ready) {
  const uint64_t bit = uint64_t{1} << thread.turn % 64;
  uint64_t& word = block.ready[thread.turn / 64];
  word = is_ready ? word | bit : word & ~bit;
}

// The first thread from that turn on that is ready, or nullptr.
Thread* FindReady(const Block& block, uint32_t turn) {
  uint64_t hidden = (uint64_t{1} << turn % 64) - 1;
  for (size_t i = turn / 64; i < block.ready.size(); ++i, hidden = 0) {
    const uint64_t word = block.ready[i] & ~hidden;
    if (word != 0) return block.turns[64 * i + std::countr_zero(word)];
  }
  return nullptr;
}

// The thread that runs next: who calls switches to it.
Thread& TakeTurn(Block& block, uint32_t turn) {
  Thread* thread = FindReady(block, turn);
  if (thread == nullptr) thread = FindReady(block, 0);
  while (thread == nullptr) {
    if (!LandOneCopy(block)) ReportDeadlock(block);
    thread = FindReady(block, 0);
  }
  running_thread = thread;
  threadIdx = thread->index;
  return *thread;
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
  --block.live;
  OpenIfComplete(block, block.barrier);
  Warp& warp = block.warps[self.warp];
  warp.live &= ~(1u << self.lane);
  for (const auto& meeting : warp.meetings) OpenIfComplete(warp, *meeting);
  SetReady(block, self, false);
  self.fiber.Leave(block.live == 0 ? block.scheduler : TakeTurn(block, self.turn + 1).fiber);
}

// All of the block at its beginning.
void Prepare(Block& block) {
  const size_t shared_bytes = running_grid->shape.shared_bytes;
  if (block.shared.has_value() && block.shared->bytes() == shared_bytes) {
    block.shared->Forget();
  } else {
    block.shared.emplace(shared_bytes);
  }
  const unsigned count = blockDim.x * blockDim.y * blockDim.z, warps = (count + 31) / 32;
  while (block.threads.size() < count) block.threads.emplace_back(&ThreadMain);
  if (block.warps.size() < warps) block.warps.resize(warps);
  block.live = count;
  block.barrier = {};
  block.phase_barriers.clear();
  for (Warp& warp : block.warps) warp.live = 0;
  block.turns.resize(count);
  uint3 index{};
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = block.threads[i];
    thread.fiber.Rewind();
    thread.index = index;
    if (++index.x == blockDim.x) index.x = 0, ++index.y;
    if (index.y == blockDim.y) index.y = 0, ++index.z;
    thread.lane = i % 32;
    thread.warp = i / 32;
    thread.waited_for_previous = false;
    thread.copies.clear();
    thread.copy_group = 0;
    block.warps[thread.warp].live |= 1u << thread.lane;
    block.turns[i] = &thread;
  }
  Shuffle(block.turns);
  block.ready.assign((count + 63) / 64, 0);
  for (unsigned i = 0; i < count; ++i) {
    block.turns[i]->turn = i;
    SetReady(block, *block.turns[i], true);
  }
}

void RunBlock(Block& block) {
  running_block = &block;
  Prepare(block);
  Release(running_grid->begin);
  block.scheduler.SwitchTo(TakeTurn(block, 0).fiber);
  running_thread = nullptr;
  if (!block.bulk_copies.empty()) Fail("the block ended before a bulk copy into its shared memory did");
  if (!block.shared->IsIntact()) Fail("the block wrote before or behind its shared memory");
  running_block = nullptr;
}

// Of the calling thread. Blocks are many and short: most would end before theirs was made.
thread_local std::unique_ptr<Block> idle_block;

}  // namespace

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

void Wait(Waiters& waiters, const char* where) {
  Block& block = *running_block;
  Thread& self = *running_thread;
  self.where = where;
  self.next = waiters.first;
  waiters.first = &self;
  SetReady(block, self, false);
  Thread& next = TakeTurn(block, self.turn + 1);
  if (&next != &self) self.fiber.SwitchTo(next.fiber);  // a bulk copy may have woken it
}

void Wake(Waiters& waiters) {
  for (Thread* thread = std::exchange(waiters.first, nullptr); thread != nullptr; thread = thread->next) {
    thread->where = nullptr;
    SetReady(*running_block, *thread, true);
  }
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
    if (idle_block == nullptr) idle_block = std::make_unique<Block>();
    RunBlock(*idle_block);
    if (!HasThreadSanitizer()) continue;
    // It would take what a block left on stacks and in memory for a race with the next one. And the scheduler has not
    // seen the threads end: nothing orders a block before the next one.
    const Unseen unseen;
    idle_block.reset();
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
