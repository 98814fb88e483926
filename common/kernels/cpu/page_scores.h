// The scores of a page's rows, and its scales as floats. Shared by attention and by what tells of it.
#ifndef KEDGE_COMMON_KERNELS_CPU_PAGE_SCORES_H_
#define KEDGE_COMMON_KERNELS_CPU_PAGE_SCORES_H_

#include <cstdint>
#include <vector>

#include "common/kernels/cpu/kernels.h"
#include "common/kernels/row_shape.h"

namespace kedge {

// Some queries, and the keys of a page.
struct PageScores {
  KvType type;  // of the keys
  int head_dim;
  const void* keys;     // numbers, [head_dim][kPageRows]
  const float* scales;  // [blocks][kPageRows]; null: the keys have none
  int queries;
  const float* scaled;          // the queries, [queries][head_dim]
  int block_begin, block_end;   // of 8 rows of the page
};

// scores [queries][kPageRows]: of the rows [8 * block_begin, 8 * block_end).
void ScorePage(const CpuKernels& kernels, const PageScores& page, float* scores);

// Scales [blocks][kPageRows] of a page's keys or values as floats in `scales`, whose data it returns; null without any.
const float* LoadScales(const CpuKernels& kernels, const uint8_t* halves, uint32_t head_dim, std::vector<float>& scales);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_PAGE_SCORES_H_
