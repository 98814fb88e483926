// Attention as it is usually written: per request, every row that its page tables reach is gathered, a dense mask
// [queries, gathered rows] is made from the spans, and each query takes the softmax over what its mask shows. Rows that
// a mask hides may hold anything (they may never have been written), so they are left out and not multiplied by zero.
// Tested by reference_ops_test.cc.
#include "common/kernels/reference/reference_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/kernels/number_format.h"
#include "common/kernels/rounded_blocks.h"

namespace kedge {

absl::StatusOr<std::unique_ptr<ReferencePages>> ReferencePages::Create(const RowShape& shape, uint32_t num_pages) {
  absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(size_t{num_pages} * kPageRows * shape.row_bytes());
  if (!memory.ok()) return memory.status();
  auto pages = std::make_unique<ReferencePages>();
  pages->shape_ = shape;
  pages->num_pages_ = num_pages;
  pages->memory_ = *std::move(memory);
  return pages;
}

uint8_t* ReferencePages::Row(RowRef row) { return const_cast<uint8_t*>(std::as_const(*this).Row(row)); }

const uint8_t* ReferencePages::Row(RowRef row) const {
  KEDGE_CHECK(row.page < num_pages_ && row.index < kPageRows);
  return memory_.data() + (size_t{row.page} * kPageRows + row.index) * shape_.row_bytes();
}

size_t ReferencePages::PartOffset(int layer, int kv_head, KvPart part) const {
  return shape_.FrameOffset(1, size_t(layer) * shape_.kv_heads + kv_head, part, 0);
}

void ReferencePages::StorePart(RowRef row, int layer, int kv_head, KvPart part, const float* values) {
  uint8_t* bytes = Row(row) + PartOffset(layer, kv_head, part);
  if (HasScales(shape_.type)) {
    std::vector<uint8_t> rounded(PagePartBytes(shape_.type, shape_.head_dim));
    RoundBlocks(values, static_cast<int>(shape_.head_dim), RoundingSteps(shape_.type, part), rounded.data());
    return PackPart(shape_.type, part, shape_.head_dim, rounded.data(), bytes);
  }
  for (uint32_t d = 0; d < shape_.head_dim; ++d) {
    if (shape_.type == KvType::kF32) {
      std::memcpy(bytes + 4 * d, &values[d], 4);
    } else {
      const uint16_t bits = shape_.type == KvType::kF16 ? ToHalf(values[d]) : ToBFloat16(values[d]);
      std::memcpy(bytes + 2 * d, &bits, 2);
    }
  }
}

std::vector<float> ReferencePages::LoadPart(RowRef row, int layer, int kv_head, KvPart part) const {
  const uint8_t* bytes = Row(row) + PartOffset(layer, kv_head, part);
  std::vector<float> values(shape_.head_dim);
  std::vector<uint8_t> unpacked(PagePartBytes(shape_.type, shape_.head_dim));
  if (HasScales(shape_.type)) {
    UnpackPart(shape_.type, part, shape_.head_dim, bytes, unpacked.data());
    bytes = unpacked.data();
  }
  for (uint32_t d = 0; d < shape_.head_dim; ++d) {
    if (shape_.type == KvType::kF32) {
      std::memcpy(&values[d], bytes + 4 * d, 4);
    } else if (HasScales(shape_.type)) {
      const float scale = FromHalf(BlockScaleAt(bytes, shape_.head_dim, d / kScaleBlock));
      values[d] = scale * static_cast<float>(static_cast<int8_t>(bytes[d]));
    } else {
      uint16_t bits;
      std::memcpy(&bits, bytes + 2 * d, 2);
      values[d] = shape_.type == KvType::kF16 ? FromHalf(bits) : FromBFloat16(bits);
    }
  }
  return values;
}

namespace {

// A row that the tables of a request reach: in K at an index, or in R at a position.
struct GatheredRow {
  RowRef ref;
  bool kept;
  uint32_t place;
};

std::vector<GatheredRow> GatherRows(const PageTables& tables) {
  std::vector<GatheredRow> rows;
  for (size_t page = 0; page < tables.kept.size(); ++page) {
    for (uint32_t i = 0; i < kPageRows; ++i) {
      rows.push_back({{tables.kept[page], i}, true, static_cast<uint32_t>(page * kPageRows + i)});
    }
  }
  for (size_t page = 0; page < tables.recent.size(); ++page) {
    for (uint32_t i = 0; i < kPageRows; ++i) {
      const uint32_t position = static_cast<uint32_t>((tables.first_recent_page + page) * kPageRows + i);
      rows.push_back({{tables.recent[page], i}, false, position});
    }
  }
  return rows;
}

bool Visible(const PlanRow& query, const GatheredRow& row) {
  if (row.kept) return row.place < query.kept_end;
  return query.recent_begin <= row.place && row.place <= query.position;
}

}  // namespace

void ReferenceAttention(const StepPlan& plan, int layer, int heads, const float* queries, const ReferencePages& pages,
                        float* out) {
  const int kv_heads = static_cast<int>(pages.shape().kv_heads);
  const int head_dim = static_cast<int>(pages.shape().head_dim);
  for (size_t table = 0; table < plan.tables.size(); ++table) {
    const std::vector<GatheredRow> rows = GatherRows(plan.tables[table]);
    std::vector<size_t> members;  // the queries of this request
    for (size_t r = 0; r < plan.rows.size(); ++r) {
      if (plan.rows[r].tables == table) members.push_back(r);
    }
    std::vector<std::vector<bool>> mask(members.size(), std::vector<bool>(rows.size()));  // [queries, gathered rows]
    for (size_t q = 0; q < members.size(); ++q) {
      for (size_t j = 0; j < rows.size(); ++j) mask[q][j] = Visible(plan.rows[members[q]], rows[j]);
    }

    for (int kv_head = 0; kv_head < kv_heads; ++kv_head) {
      std::vector<std::vector<float>> keys, values;  // [gathered rows][head_dim]
      for (const GatheredRow& row : rows) {
        keys.push_back(pages.LoadPart(row.ref, layer, kv_head, KvPart::kKey));
        values.push_back(pages.LoadPart(row.ref, layer, kv_head, KvPart::kValue));
      }
      for (int head = 0; head < heads; ++head) {
        if (head * kv_heads / heads != kv_head) continue;
        for (size_t q = 0; q < members.size(); ++q) {
          const size_t offset = (members[q] * heads + head) * head_dim;
          std::vector<double> scores(rows.size());
          double max = -INFINITY;
          for (size_t j = 0; j < rows.size(); ++j) {
            if (!mask[q][j]) continue;
            for (int d = 0; d < head_dim; ++d) scores[j] += double{queries[offset + d]} * keys[j][d];
            scores[j] /= std::sqrt(double(head_dim));
            max = std::max(max, scores[j]);
          }
          double sum = 0;
          std::vector<double> result(head_dim);
          for (size_t j = 0; j < rows.size(); ++j) {
            if (!mask[q][j]) continue;
            const double weight = std::exp(scores[j] - max);
            sum += weight;
            for (int d = 0; d < head_dim; ++d) result[d] += weight * values[j][d];
          }
          for (int d = 0; d < head_dim; ++d) out[offset + d] = static_cast<float>(result[d] / sum);
        }
      }
    }
  }
}

void ReferenceMass(const StepPlan& plan, int layer, int heads, absl::Span<const MassQuery> wanted,
                   const float* queries, const ReferencePages& pages) {
  const int kv_heads = static_cast<int>(pages.shape().kv_heads);
  const int head_dim = static_cast<int>(pages.shape().head_dim);
  for (const MassQuery& query : wanted) {
    const PlanRow& row = plan.rows[query.row];
    const float* values = queries + (size_t{query.row} * heads + query.head) * head_dim;
    std::vector<double> weights(row.position + 1);
    double sum = 0;
    for (const GatheredRow& seen : GatherRows(plan.tables[row.tables])) {
      if (!Visible(row, seen)) continue;
      const std::vector<float> key =
          pages.LoadPart(seen.ref, layer, static_cast<int>(query.head) * kv_heads / heads, KvPart::kKey);
      double score = 0;
      for (int d = 0; d < head_dim; ++d) score += double{values[d]} * key[d];
      const double weight = std::exp(score / std::sqrt(double(head_dim)));
      sum += weight;
      if (!seen.kept) weights[seen.place] = weight;
    }
    uint32_t begin = 0;
    for (size_t range = 0; range < query.mass.size(); ++range) {
      const uint32_t end = MassEnds(plan, row)[range];
      query.mass[range] = 0;
      for (uint32_t j = begin; j < std::min(end, row.position + 1); ++j) {
        query.mass[range] += static_cast<uint32_t>(std::llround(weights[j] / sum * kMassOne));
      }
      begin = end;
    }
  }
}

}  // namespace kedge
