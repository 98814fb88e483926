// Attention itself never has all weights of a row at once: it goes through pages with a softmax under way. So the few
// heads and rows that are asked for are scored once more, by the same kernel, and all their scores kept. Weights are
// summed in ascending order of K's index, then of position, in double. Tested by attention_test.cc.
#include "common/kernels/cpu/attention_mass.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/kernels/cpu/exp.h"

namespace kedge {

void GiveMass(const CpuKernels& kernels, const PlanRow& row, const PageTables& tables, int layer, int kv_head,
              const float* query, const CpuPages& pages, absl::Span<uint32_t> mass) {
  const int head_dim = static_cast<int>(pages.shape().head_dim);
  std::vector<float> scaled(query, query + head_dim);
  for (float& value : scaled) value *= 1.0f / std::sqrt(static_cast<float>(head_dim));
  std::vector<float> scores;  // of K[0, kept_end), then of R[recent_begin, position]
  scores.reserve(row.kept_end + mass.size());
  const auto score_page = [&](PageId page, uint32_t begin, uint32_t end) {
    float sums[kPageRows] = {};
    kernels.accumulate(pages.shape().type, 1, scaled.data(), head_dim, pages.Keys(page, layer, kv_head), kPageRows, 0,
                       head_dim, 0, kPageRows / 8, sums, kPageRows);
    scores.insert(scores.end(), sums + begin, sums + end);
  };
  for (uint32_t start = 0; start < row.kept_end; start += kPageRows) {
    score_page(tables.kept[start / kPageRows], 0, std::min(row.kept_end - start, kPageRows));
  }
  for (uint32_t page = row.recent_begin / kPageRows; page <= row.position / kPageRows; ++page) {
    const uint32_t start = page * kPageRows;
    score_page(tables.recent[page - tables.first_recent_page], std::max(row.recent_begin, start) - start,
               std::min(row.position + 1 - start, kPageRows));
  }
  const float max = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (float& score : scores) {
    score = ExpFloat(score - max);
    sum += score;
  }
  for (size_t j = 0; j < mass.size(); ++j) {
    mass[j] = static_cast<uint32_t>(std::nearbyint(scores[row.kept_end + j] / sum * kMassOne));
  }
}

}  // namespace kedge
