// Tested by attention_test.cc.
#include "common/kernels/cpu/page_scores.h"

#include <algorithm>

#include "common/kernels/step.h"

namespace kedge {

void ScorePage(const CpuKernels& kernels, const PageScores& page, float* scores) {
  std::fill_n(scores, page.queries * kPageRows, 0.0f);
  // Without scales a score is one chain over the head.
  const int block = page.scales == nullptr ? page.head_dim : static_cast<int>(kScaleBlock);
  const float* scales = page.scales;
  for (int begin = 0; begin < page.head_dim; begin += block) {
    kernels.accumulate(page.type, page.queries, page.scaled, page.head_dim, page.keys, kPageRows, begin,
                       std::min(begin + block, page.head_dim), page.block_begin, page.block_end, scales, scores,
                       kPageRows);
    if (scales != nullptr) scales += kPageRows;
  }
}

const float* LoadScales(const CpuKernels& kernels, const uint8_t* halves, uint32_t head_dim,
                        std::vector<float>& scales) {
  if (halves == nullptr) return nullptr;
  scales.resize(ScaleBlocks(head_dim) * kPageRows);
  kernels.from_kv(KvType::kF16, halves, static_cast<int>(scales.size()), scales.data());
  return scales.data();
}

}  // namespace kedge
