// Copies into shared memory that a thread does not make itself, the barriers that they report to, and kernels that
// begin early. Tested by copies_test.cc.
#include <cstring>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/emulated/seen.h"

namespace kedge::cuda::emulated {
namespace {

void CheckAddresses(const char* what, const void* shared, const void* global, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) Fail("%s: the target %p is not aligned to 16 bytes", what, shared);
  if (reinterpret_cast<uintptr_t>(global) % 16 != 0) Fail("%s: the source %p is not aligned to 16 bytes", what, global);
  if (bytes % 16 != 0) Fail("%s: %zu bytes are not a multiple of 16", what, bytes);
  if (!RunningBlock().shared->Holds(shared, bytes)) Fail("%s: the target %p is not in shared memory", what, shared);
}

PhaseBarrier& Find(const Barrier* barrier) {
  const auto it = RunningBlock().phase_barriers.find(barrier);
  if (it == RunningBlock().phase_barriers.end()) Fail("a barrier in shared memory is used without InitBarrier");
  // Who uses it without having waited for who made it is a race for TSan.
  Barrier word;
  SeenCopy(&word, barrier, sizeof(word));
  return it->second;
}

}  // namespace

void FinishCopies(uint32_t left) {
  Thread& self = RunningThread();
  size_t done = 0;
  for (; done < self.copies.size() && self.copies[done].group + left < self.copy_group; ++done) {
    const AsyncCopy& copy = self.copies[done];
    uint32_t now[4];
    SeenCopy(now, copy.from, sizeof(now));
    if (std::memcmp(now, copy.value, sizeof(now)) != 0) {
      Fail("CopyAsync: the source %p was written before the copy was waited for", copy.from);
    }
    SeenCopy(copy.to, now, sizeof(now));
  }
  const Unseen unseen;
  self.copies.erase(self.copies.begin(), self.copies.begin() + done);
}

}  // namespace kedge::cuda::emulated

namespace kedge::cuda::KEDGE_CUDA_TARGET {

using namespace emulated;

uint8_t* SharedMemory() { return RunningBlock().shared->data(); }

void CopyAsync(void* shared, const void* global) {
  Thread& self = RunningThread();
  AsyncCopy& copy = self.copies.emplace_back(AsyncCopy{shared, global, {}, self.copy_group});
  CheckAddresses("CopyAsync", shared, global, sizeof(copy.value));
  SeenCopy(copy.value, global, sizeof(copy.value));
  SeenFill(shared, 0xff, sizeof(copy.value));
}

void CommitCopies() { ++RunningThread().copy_group; }

void InitBarrier(Barrier* barrier, uint32_t arrivals) {
  if (reinterpret_cast<uintptr_t>(barrier) % sizeof(Barrier) != 0) Fail("InitBarrier: %p is not aligned", barrier);
  if (!RunningBlock().shared->Holds(barrier, sizeof(Barrier))) Fail("InitBarrier: %p is not in shared memory", barrier);
  if (arrivals == 0) Fail("InitBarrier: arrivals must be at least 1");
  if (RunningBlock().phase_barriers.contains(barrier)) Fail("InitBarrier: %p is a barrier already", barrier);
  {
    const Unseen unseen;
    RunningBlock().phase_barriers[barrier] = {.expected = arrivals, .pending = arrivals};
  }
  SeenFill(barrier, 0, sizeof(Barrier));
}

void PublishBarriers() {}

void Arrive(Barrier* barrier) {
  PhaseBarrier& state = Find(barrier);
  if (state.pending == 0) Fail("more threads arrive at a barrier than InitBarrier said (%u)", state.expected);
  Release(state.turns.At(state.phase));
  --state.pending;
  OpenIfComplete(state);
}

void ArriveForBytes(Barrier* barrier, uint32_t bytes) {
  if (RunningThread().lane == 0) Find(barrier).bytes += bytes;
  Arrive(barrier);
}

void WaitForBarrier(Barrier* barrier, uint32_t parity) {
  PhaseBarrier& state = Find(barrier);
  if (state.phase % 2 == parity) Wait(state.waiters, "WaitForBarrier");
  Acquire(state.turns.At(parity));
}

void CopyBulk(void* shared, const void* global, uint32_t bytes, Barrier* barrier) {
  CheckAddresses("CopyBulk", shared, global, bytes);
  if (RunningThread().lane != 0) return;
  PhaseBarrier& state = Find(barrier);
  SeenFill(shared, 0xff, bytes);
  std::list<BulkCopy>& copies = RunningBlock().bulk_copies;
  {
    const Unseen unseen;
    copies.push_back({shared, global, bytes, &state});
  }
  Release(copies.back().sync);
}

void StartNext() {}
void WaitForPrevious() { RunningThread().waited_for_previous = true; }

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
