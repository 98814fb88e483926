// Tested by warp_test.cc.
#include "common/kernels/cuda/emulated/warp.h"

#include <algorithm>
#include <bit>

#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

namespace kedge::cuda::emulated {
namespace {

template <typename T>
Met MeetWith(uint32_t mask, const char* what, T value, Conclusion conclusion = nullptr) {
  static_assert(sizeof(T) <= sizeof(Offer));
  Offer offer{};
  std::memcpy(&offer, &value, sizeof(T));
  return Meet(mask, what, offer, Ordering::kNone, conclusion);
}

template <typename T>
T Of(const Offer& offer) {
  T value;
  std::memcpy(&value, &offer, sizeof(T));
  return value;
}

template <Join join>
int64_t Joined(int64_t a, int64_t b) {
  switch (join) {
    case Join::kAdd:
      return a + b;
    case Join::kMin:
      return std::min(a, b);
    case Join::kMax:
      return std::max(a, b);
    case Join::kAnd:
      return a & b;
    case Join::kOr:
      return a | b;
    case Join::kXor:
      return a ^ b;
  }
}

template <Join join>
void JoinAll(Offer (&offers)[32], uint32_t present) {
  int64_t result = Of<int64_t>(offers[std::countr_zero(present)]);
  for (uint32_t rest = present & (present - 1); rest != 0; rest &= rest - 1) {
    result = Joined<join>(result, Of<int64_t>(offers[std::countr_zero(rest)]));
  }
  for (Offer& offer : offers) std::memcpy(&offer, &result, sizeof(result));
}

void CountVotes(Offer (&offers)[32], uint32_t present) {
  uint32_t yes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if ((present >> lane & 1) != 0) yes |= offers[lane].words[0] << lane;
  }
  for (Offer& offer : offers) offer.words[0] = yes;
}

char fence = 0;

}  // namespace

int Lane() { return RunningThread().lane; }

void Fence() {
  Release(fence);
  Acquire(fence);
}

void SyncWarp(uint32_t mask) { Meet(mask, "__syncwarp", {}, Ordering::kMemory); }

uint64_t Shuffle(uint32_t mask, const char* what, uint64_t bits, int source) {
  const Met met = MeetWith(mask, what, bits);
  return Of<uint64_t>(met.offers[source & 31]);
}

uint32_t Vote(uint32_t mask, const char* what, bool predicate, uint32_t* came) {
  const Met met = MeetWith(mask, what, uint32_t{predicate}, &CountVotes);
  *came = met.present;
  return met.offers[0].words[0];
}

int64_t Reduce(uint32_t mask, const char* what, int64_t value, Join join) {
  constexpr Conclusion kConclusions[] = {&JoinAll<Join::kAdd>, &JoinAll<Join::kMin>, &JoinAll<Join::kMax>,
                                         &JoinAll<Join::kAnd>, &JoinAll<Join::kOr>,  &JoinAll<Join::kXor>};
  return Of<int64_t>(MeetWith(mask, what, value, kConclusions[static_cast<int>(join)]).offers[0]);
}

}  // namespace kedge::cuda::emulated
