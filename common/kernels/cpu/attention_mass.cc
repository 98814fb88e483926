// Attention itself never has all weights of a row at once: it goes through pages with a softmax under way. So the few
// heads and rows that are asked for go through their pages once more, by the same kernels, and each page's weights are
// kept with the maximum that they stand on; in the end they are brought to the last one, and each is rounded before it
// is added up, so that sums over other ranges are sums of the same numbers. Tested by attention_test.cc.
#include "common/kernels/cpu/attention_mass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "common/kernels/cpu/exp.h"
#include "common/kernels/cpu/page_scores.h"

namespace kedge {

void GiveMass(const CpuKernels& kernels, const PlanRow& row, const PageTables& tables, int layer, int kv_head,
              const float* query, const CpuPages& pages, absl::Span<const uint32_t> ends, absl::Span<uint32_t> mass) {
  const int head_dim = static_cast<int>(pages.shape().head_dim);
  std::vector<float> scaled(query, query + head_dim);
  for (float& value : scaled) value *= 1.0f / std::sqrt(static_cast<float>(head_dim));
  std::vector<float> key_scales;
  SoftmaxState state{-std::numeric_limits<float>::infinity(), 0.0f};
  const auto weigh_page = [&](PageId page, uint32_t begin, uint32_t end, float* weights) {
    float scores[kPageRows];
    const CpuPages::Part keys = pages.Keys(page, layer, kv_head);
    ScorePage(kernels,
              {.type = pages.type(),
               .head_dim = head_dim,
               .keys = keys.numbers,
               .scales = LoadScales(kernels, keys.scales, pages.shape().head_dim, key_scales),
               .queries = 1,
               .scaled = scaled.data(),
               .block_begin = 0,
               .block_end = kPageRows / 8},
              scores);
    kernels.softmax_page(scores, static_cast<int>(begin), static_cast<int>(end), &state, weights, nullptr, 0);
  };
  float unused[kPageRows];
  for (uint32_t start = 0; start < row.kept_end; start += kPageRows) {
    weigh_page(tables.kept[start / kPageRows], 0, std::min(row.kept_end - start, kPageRows), unused);
  }
  struct Page {
    uint32_t start, begin, end;  // the page's first position, and rows [begin, end) of it
    float max;
    float weights[kPageRows];
  };
  thread_local std::vector<Page> seen;
  seen.clear();
  for (uint32_t page = row.recent_begin / kPageRows; page <= row.position / kPageRows; ++page) {
    const uint32_t start = page * kPageRows;
    Page& now = seen.emplace_back(Page{.start = start,
                                       .begin = std::max(row.recent_begin, start) - start,
                                       .end = std::min(row.position + 1 - start, kPageRows)});
    weigh_page(tables.recent[page - tables.first_recent_page], now.begin, now.end, now.weights);
    now.max = state.max;
  }
  std::fill(mass.begin(), mass.end(), 0);
  size_t range = 0;
  for (const Page& page : seen) {
    const float factor = ExpFloat(page.max - state.max) / state.sum * kMassOne;
    for (uint32_t i = page.begin; i < page.end; ++i) {
      while (range < ends.size() && ends[range] <= page.start + i) ++range;
      if (range == ends.size()) return;
      mass[range] += static_cast<uint32_t>(page.weights[i] * factor + 0.5f);
    }
  }
}

}  // namespace kedge
