// Pages are the fixed blocks of the bit contract: a page's scores, their maximum and the sum of their weights are
// computed for the page alone and then joined to what came before, pages of K in ascending order of index first, then
// pages of R in ascending order of position. So the bits follow from positions and indices, whatever memory the rows
// lie in and however the prompt was cut. Rows outside the spans may be memory of an earlier owner: their scores are
// replaced, not multiplied, and their values are not read. Tested by attention_test.cc.
#include "common/kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/base/check.h"

namespace kedge {

void AttentionWorker::Attend(const CpuKernels& kernels, absl::Span<const PlanRow> rows, const PageTables& tables,
                             int layer, int kv_head, int heads, const float* queries, const CpuPages& pages, float* out,
                             size_t stride) {
  KEDGE_CHECK(!rows.empty() && rows.size() <= kAttentionRows);
  uint32_t kept_end = 0;
  uint32_t first_page = std::numeric_limits<uint32_t>::max();
  uint32_t last_page = 0;
  for (const PlanRow& row : rows) {
    kept_end = std::max(kept_end, row.kept_end);
    first_page = std::min(first_page, row.recent_begin / kPageRows);
    last_page = std::max(last_page, row.position / kPageRows);
  }
  for (int first_head = 0; first_head < heads; first_head += kMaxSharedHeads) {
    const int count = std::min(heads - first_head, kMaxSharedHeads);
    const size_t column = size_t(first_head) * pages.shape().head_dim;
    for (size_t r = 0; r < rows.size(); ++r) Start(queries + r * stride + column, count, pages, rows_[r]);
    // Calls AttendPage for the rows that see some of [begin, end) in this page.
    const auto visit = [&](PageId page, auto span) {
      const uint8_t* keys = pages.Keys(page, layer, kv_head);
      const uint8_t* values = pages.Values(page, layer, kv_head);
      for (size_t r = 0; r < rows.size(); ++r) {
        const auto [begin, end] = span(rows[r]);
        if (begin < end) AttendPage(kernels, keys, values, int(begin), int(end), count, pages, rows_[r]);
      }
    };
    for (uint32_t start = 0; start < kept_end; start += kPageRows) {
      visit(tables.kept[start / kPageRows], [start](const PlanRow& row) {
        return std::pair(0u, std::min(std::max(row.kept_end, start) - start, kPageRows));
      });
    }
    for (uint32_t page = first_page; page <= last_page; ++page) {
      const uint32_t start = page * kPageRows;
      visit(tables.recent[page - tables.first_recent_page], [start](const PlanRow& row) {
        return std::pair(std::min(std::max(row.recent_begin, start) - start, kPageRows),
                         std::min(std::max(row.position + 1, start) - start, kPageRows));
      });
    }
    for (size_t r = 0; r < rows.size(); ++r) Finish(rows_[r], count, pages, out + r * stride + column);
  }
}

void AttentionWorker::Start(const float* queries, int heads, const CpuPages& pages, Row& row) {
  const size_t head_dim = pages.shape().head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  row.queries.assign(queries, queries + heads * head_dim);
  for (float& query : row.queries) query *= scale;
  row.values.assign(heads * pages.value_stride(), 0.0f);
  std::fill_n(row.states, heads, SoftmaxState{-std::numeric_limits<float>::infinity(), 0.0f});
}

void AttentionWorker::AttendPage(const CpuKernels& kernels, const uint8_t* keys, const uint8_t* values, int begin,
                                 int end, int heads, const CpuPages& pages, Row& row) {
  const int head_dim = static_cast<int>(pages.shape().head_dim);
  const int stride = static_cast<int>(pages.value_stride());
  const KvType type = pages.shape().type;
  std::fill_n(&scores_[0][0], heads * kPageRows, 0.0f);
  kernels.accumulate(type, heads, row.queries.data(), head_dim, keys, kPageRows, 0, head_dim, begin / 8, (end + 7) / 8,
                     &scores_[0][0], kPageRows);
  for (int h = 0; h < heads; ++h) {
    kernels.softmax_page(scores_[h], begin, end, &row.states[h], weights_[h], &row.values[size_t(h) * stride], stride);
  }
  kernels.accumulate(type, heads, &weights_[0][0], kPageRows, values, stride, begin, end, 0, stride / 8,
                     row.values.data(), stride);
}

void AttentionWorker::Finish(const Row& row, int heads, const CpuPages& pages, float* out) {
  const size_t head_dim = pages.shape().head_dim;
  for (int h = 0; h < heads; ++h) {
    const float inverse = 1.0f / row.states[h].sum;
    for (size_t d = 0; d < head_dim; ++d) {
      out[h * head_dim + d] = row.values[h * pages.value_stride() + d] * inverse;
    }
  }
}

}  // namespace kedge
