// Pages are the fixed blocks of the bit contract: a page's scores, their maximum and the sum of their weights are
// computed for the page alone and then joined to what came before, pages of K in ascending order of index first, then
// pages of R in ascending order of position. So the bits follow from positions and indices, whatever memory the rows
// lie in and however the prompt was cut. Rows outside the spans may be memory of an earlier owner: their scores are
// replaced, not multiplied, and their values are not read. Scales of 8-bit rows count once for a block of numbers: with
// the sum of a key's products, with the weight of a value's row. Tested by attention_test.cc.
#include "common/kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "common/kernels/cpu/page_scores.h"

namespace kedge {
namespace {

// More queries than this read a page's rows as floats, converted once.
constexpr size_t kWorthConverting = 6;

}  // namespace

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
  Start(rows.size(), heads, queries, stride, pages);
  for (uint32_t start = 0; start < kept_end; start += kPageRows) {
    for (size_t r = 0; r < rows.size(); ++r) {
      seen_[r] = {0, std::min(std::max(rows[r].kept_end, start) - start, kPageRows)};
    }
    const PageId page = tables.kept[start / kPageRows];
    AttendPage(kernels, pages.Keys(page, layer, kv_head), pages.Values(page, layer, kv_head), rows.size(), heads,
               pages);
  }
  for (uint32_t index = first_page; index <= last_page; ++index) {
    const uint32_t start = index * kPageRows;
    for (size_t r = 0; r < rows.size(); ++r) {
      seen_[r] = {std::min(std::max(rows[r].recent_begin, start) - start, kPageRows),
                  std::min(std::max(rows[r].position + 1, start) - start, kPageRows)};
    }
    const PageId page = tables.recent[index - tables.first_recent_page];
    AttendPage(kernels, pages.Keys(page, layer, kv_head), pages.Values(page, layer, kv_head), rows.size(), heads,
               pages);
  }
  Finish(rows.size(), heads, pages, out, stride);
}

void AttentionWorker::Start(size_t rows, int heads, const float* queries, size_t stride, const CpuPages& pages) {
  const size_t head_dim = pages.shape().head_dim;
  const size_t row_size = heads * head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  queries_.resize(rows * row_size);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < row_size; ++i) queries_[r * row_size + i] = queries[r * stride + i] * scale;
  }
  values_.assign(rows * heads * pages.value_stride(), 0.0f);
  states_.assign(rows * heads, SoftmaxState{-std::numeric_limits<float>::infinity(), 0.0f});
  scores_.resize(rows * heads * kPageRows);
  weights_.resize(rows * heads * kPageRows);
}

void AttentionWorker::AttendPage(const CpuKernels& kernels, const CpuPages::Part& keys, const CpuPages::Part& values,
                                 size_t rows, int heads, const CpuPages& pages) {
  const int head_dim = static_cast<int>(pages.shape().head_dim);
  const int stride = static_cast<int>(pages.value_stride());
  const auto sees = [&](size_t r) { return seen_[r].begin < seen_[r].end; };
  size_t first = 0;  // rows that see nothing of the page stand at the ends: spans grow and move with the position
  while (first < rows && !sees(first)) ++first;
  size_t end = rows;
  while (end > first && !sees(end - 1)) --end;
  if (first == end) return;

  KvType type = pages.type();
  const void* key_data = keys.numbers;
  const void* value_data = values.numbers;
  const float* key_scales = LoadScales(kernels, keys.scales, pages.shape().head_dim, key_scales_);
  const float* value_scales = LoadScales(kernels, values.scales, pages.shape().head_dim, value_scales_);
  if (type != KvType::kF32 && (end - first) * heads > kWorthConverting) {
    keys_.resize(head_dim * kPageRows);
    rows_.resize(kPageRows * stride);
    kernels.from_kv(type, key_data, static_cast<int>(keys_.size()), keys_.data());
    kernels.from_kv(type, value_data, static_cast<int>(rows_.size()), rows_.data());
    type = KvType::kF32;
    key_data = keys_.data();
    value_data = rows_.data();
  }
  uint32_t column = kPageRows, column_end = 0;
  for (size_t r = first; r < end; ++r) {
    if (!sees(r)) continue;
    column = std::min(column, seen_[r].begin);
    column_end = std::max(column_end, seen_[r].end);
  }
  ScorePage(kernels,
            {.type = type,
             .head_dim = head_dim,
             .keys = key_data,
             .scales = key_scales,
             .queries = static_cast<int>(end - first) * heads,
             .scaled = &queries_[first * heads * head_dim],
             .block_begin = static_cast<int>(column / 8),
             .block_end = static_cast<int>(column_end + 7) / 8},
            &scores_[first * heads * kPageRows]);
  for (size_t r = first; r < end;) {
    size_t next = r + 1;  // rows that see the same go through the values together
    while (next < end && seen_[next] == seen_[r]) ++next;
    if (sees(r)) {
      const int seen_begin = static_cast<int>(seen_[r].begin), seen_end = static_cast<int>(seen_[r].end);
      for (size_t q = r * heads; q < next * heads; ++q) {
        kernels.softmax_page(&scores_[q * kPageRows], seen_begin, seen_end, &states_[q], &weights_[q * kPageRows],
                             &values_[q * stride], stride);
      }
      AddValues(kernels, type, value_data, value_scales, r * heads, (next - r) * heads, seen_[r], stride);
    }
    r = next;
  }
}

void AttentionWorker::AddValues(const CpuKernels& kernels, KvType type, const void* values, const float* scales,
                                size_t first, size_t count, Seen seen, int stride) {
  const int queries = static_cast<int>(count);
  const float* weights = &weights_[first * kPageRows];
  const int block = scales == nullptr ? stride : static_cast<int>(kScaleBlock);
  for (int column = 0; column < stride; column += block) {
    if (scales != nullptr) {
      scaled_weights_.resize(count * kPageRows);
      kernels.scale_weights(scales + column / block * kPageRows, queries, &weights_[first * kPageRows],
                            scaled_weights_.data());
      weights = scaled_weights_.data();
    }
    kernels.accumulate(type, queries, weights, kPageRows, values, stride, static_cast<int>(seen.begin),
                       static_cast<int>(seen.end), column / 8, std::min(column + block, stride) / 8, nullptr,
                       &values_[first * stride], stride);
  }
}

void AttentionWorker::Finish(size_t rows, int heads, const CpuPages& pages, float* out, size_t stride) const {
  const size_t head_dim = pages.shape().head_dim;
  for (size_t q = 0; q < rows * heads; ++q) {
    const float inverse = 1.0f / states_[q].sum;
    float* to = out + q / heads * stride + q % heads * head_dim;
    for (size_t d = 0; d < head_dim; ++d) to[d] = values_[q * pages.value_stride() + d] * inverse;
  }
}

}  // namespace kedge
