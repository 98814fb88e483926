// Tested by warp_test.cc.
#include "common/kernels/cuda/emulated/warp.h"

#include <algorithm>

#include "common/kernels/cuda/emulated/block.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

namespace kedge::cuda::emulated {
namespace {

template <typename T>
Met MeetWith(uint32_t mask, const char* what, T value) {
  static_assert(sizeof(T) <= sizeof(Offer));
  Offer offer{};
  std::memcpy(&offer, &value, sizeof(T));
  return Meet(mask, what, offer, Ordering::kNone);
}

template <typename T>
T Of(const Offer& offer) {
  T value;
  std::memcpy(&value, &offer, sizeof(T));
  return value;
}

int64_t Joined(int64_t a, int64_t b, Join join) {
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
  return 0;
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
  const Met met = MeetWith(mask, what, uint32_t{predicate});
  uint32_t yes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if (met.present >> lane & 1) yes |= met.offers[lane].words[0] << lane;
  }
  *came = met.present;
  return yes;
}

int64_t Reduce(uint32_t mask, const char* what, int64_t value, Join join) {
  const Met met = MeetWith(mask, what, value);
  int64_t result = value;
  for (int lane = 0; lane < 32; ++lane) {
    if ((met.present >> lane & 1) == 0 || lane == Lane()) continue;
    result = Joined(result, Of<int64_t>(met.offers[lane]), join);
  }
  return result;
}

}  // namespace kedge::cuda::emulated
