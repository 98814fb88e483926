// One attention head of a model, and how its attention is told.
#ifndef KEDGE_COMMON_KERNELS_HEAD_REF_H_
#define KEDGE_COMMON_KERNELS_HEAD_REF_H_

#include <cstdint>

namespace kedge {

// A query head.
struct HeadRef {
  uint32_t layer = 0;
  uint32_t head = 0;
  friend bool operator==(const HeadRef&, const HeadRef&) = default;
};

// Attention is told in whole numbers, so that sums of it are exact: a row's attention over all that it sees is
// kMassOne in all, up to the rounding of each part to the nearest.
inline constexpr uint32_t kMassOne = 1 << 24;

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_HEAD_REF_H_
