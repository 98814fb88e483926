// Where threads wait for each other: the block's barrier, meetings of warps, barriers in shared memory. Tested by
// grid_test.cc, warp_test.cc, copies_test.cc.
#include <cstring>

#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

namespace kedge::cuda::emulated {
namespace {

Meeting& Find(Warp& warp, uint32_t mask) {
  for (const auto& meeting : warp.meetings) {
    if (meeting->mask == mask) return *meeting;
  }
  const Unseen unseen;
  return *warp.meetings.emplace_back(std::make_unique<Meeting>(mask));
}

}  // namespace

void OpenIfComplete(Block& block, BlockBarrier& barrier) {
  if (barrier.arrived == 0 || barrier.arrived < block.live) return;
  barrier.arrived = 0;
  ++barrier.generation;
  barrier.yes[barrier.generation % 2] = 0;
  Wake(barrier.waiters);
}

void OpenIfComplete(const Warp& warp, Meeting& meeting) {
  if (meeting.arrived == 0 || (meeting.mask & warp.live & ~meeting.arrived) != 0) return;
  const uint32_t slot = meeting.generation % 2;
  {
    const Unseen unseen;
    for (int lane = 0; meeting.arrived != ~0u && lane < 32; ++lane) {
      if ((meeting.arrived >> lane & 1) == 0) std::memset(&meeting.offers[slot][lane], 0xff, sizeof(Offer));
    }
    if (meeting.conclusion != nullptr) meeting.conclusion(meeting.offers[slot], meeting.arrived);
  }
  meeting.present[slot] = meeting.arrived;
  meeting.arrived = 0;
  ++meeting.generation;
  Wake(meeting.waiters);
}

void OpenIfComplete(PhaseBarrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  barrier.pending = barrier.expected;
  ++barrier.phase;
  Wake(barrier.waiters);
}

int MeetBlock(const char* what, bool predicate) {
  Block& block = RunningBlock();
  BlockBarrier& barrier = block.barrier;
  const uint32_t generation = barrier.generation;
  Release(barrier.turns.At(generation));
  ++barrier.arrived;
  barrier.yes[generation % 2] += predicate;
  OpenIfComplete(block, barrier);
  if (barrier.generation == generation) Wait(barrier.waiters, what);
  Acquire(barrier.turns.At(generation));
  return barrier.yes[generation % 2];
}

Met Meet(uint32_t mask, const char* what, const Offer& offer, Ordering ordering, Conclusion conclusion) {
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
      meeting.conclusion = conclusion;
    }
    meeting.offers[slot][self.lane] = offer;
    meeting.arrived |= bit;
  }
  if (meeting.what != what && std::strcmp(meeting.what, what) != 0) {
    Fail("lanes of the mask %08x meet at different calls: %s and %s", mask, meeting.what, what);
  }
  if (ordering == Ordering::kMemory) Release(meeting.turns.At(generation));
  OpenIfComplete(warp, meeting);
  if (meeting.generation == generation) Wait(meeting.waiters, what);
  if (ordering == Ordering::kMemory) Acquire(meeting.turns.At(generation));
  return {meeting.offers[slot], meeting.present[slot]};
}

}  // namespace kedge::cuda::emulated
