// Where threads wait for each other: the block's barrier, meetings of warps, barriers in shared memory. Tested by
// grid_test.cc, warp_test.cc, copies_test.cc.
#include <cstring>

#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

namespace kedge::cuda::emulated {
namespace {

Meeting& Find(Warp& warp, uint32_t mask) {
  for (Meeting& meeting : warp.meetings) {
    if (meeting.mask == mask) return meeting;
  }
  const Unseen unseen;
  return warp.meetings.emplace_back(mask);
}

}  // namespace

void OpenIfComplete(Block& block, BlockBarrier& barrier) {
  if (barrier.arrived == 0 || barrier.arrived < block.live) return;
  barrier.arrived = 0;
  ++barrier.generation;
  barrier.yes[barrier.generation % 2] = 0;
}

void OpenIfComplete(const Warp& warp, Meeting& meeting) {
  if (meeting.arrived == 0 || (meeting.mask & warp.live & ~meeting.arrived) != 0) return;
  meeting.present[meeting.generation % 2] = meeting.arrived;
  meeting.arrived = 0;
  ++meeting.generation;
}

void OpenIfComplete(PhaseBarrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  barrier.pending = barrier.expected;
  ++barrier.phase;
}

int MeetBlock(const char* what, bool predicate) {
  Block& block = RunningBlock();
  BlockBarrier& barrier = block.barrier;
  const uint32_t generation = barrier.generation;
  Release(barrier.turns.At(generation));
  ++barrier.arrived;
  barrier.yes[generation % 2] += predicate;
  OpenIfComplete(block, barrier);
  if (barrier.generation == generation) WaitWhile(barrier.generation, generation, what);
  Acquire(barrier.turns.At(generation));
  return barrier.yes[generation % 2];
}

Met Meet(uint32_t mask, const char* what, const Offer& offer, Ordering ordering) {
  const Thread& self = RunningThread();
  const uint32_t bit = 1u << self.lane;
  if ((mask & bit) == 0) Fail("%s: the mask %08x leaves out lane %d, which calls", what, mask, self.lane);
  Warp& warp = RunningBlock().warps[self.warp];
  Meeting& meeting = Find(warp, mask);
  const uint32_t generation = meeting.generation, slot = generation % 2;
  {
    const Unseen unseen;
    if (meeting.arrived == 0) {
      meeting.what = what;
      std::memset(meeting.offers[slot], 0xff, sizeof(meeting.offers[slot]));
    }
    meeting.offers[slot][self.lane] = offer;
    meeting.arrived |= bit;
  }
  if (std::strcmp(meeting.what, what) != 0) {
    Fail("lanes of the mask %08x meet at different calls: %s and %s", mask, meeting.what, what);
  }
  if (ordering == Ordering::kMemory) Release(meeting.turns.At(generation));
  OpenIfComplete(warp, meeting);
  if (meeting.generation == generation) WaitWhile(meeting.generation, generation, what);
  if (ordering == Ordering::kMemory) Acquire(meeting.turns.At(generation));
  return {meeting.offers[slot], meeting.present[slot]};
}

}  // namespace kedge::cuda::emulated
