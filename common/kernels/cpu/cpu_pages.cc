// The layout is private: what leaves is rows (Load), in the order of a frame. The filling of values is zero from the
// map and never written. Tested by cpu_ops_test.cc.
#include "common/kernels/cpu/cpu_pages.h"

#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {

absl::StatusOr<std::unique_ptr<CpuPages>> CpuPages::Create(const RowShape& shape, uint32_t num_pages) {
  auto pages = std::make_unique<CpuPages>();
  const size_t element = KvTypeBytes(shape.type);
  pages->shape_ = shape;
  pages->num_pages_ = num_pages;
  pages->value_stride_ = (size_t{shape.head_dim} + 7) / 8 * 8;
  pages->key_bytes_ = kPageRows * shape.head_dim * element;
  pages->value_bytes_ = kPageRows * pages->value_stride_ * element;
  if (HasScales(shape.type)) pages->scale_bytes_ = ScaleBlocks(shape.head_dim) * kPageRows * sizeof(uint16_t);
  const size_t head_bytes = pages->key_bytes_ + pages->value_bytes_ + 2 * pages->scale_bytes_;
  const size_t page_bytes = size_t{shape.layers} * shape.kv_heads * head_bytes;
  if (num_pages > 0 && page_bytes > std::numeric_limits<size_t>::max() / num_pages) {
    return absl::ResourceExhaustedError(absl::StrCat(num_pages, " pages of ", page_bytes, " bytes"));
  }
  absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(page_bytes * num_pages);
  if (!memory.ok()) return memory.status();
  pages->memory_ = *std::move(memory);
  return pages;
}

const uint8_t* CpuPages::Head(PageId page, int layer, int kv_head) const {
  KEDGE_CHECK(page < num_pages_);
  const size_t head = (size_t{page} * shape_.layers + layer) * shape_.kv_heads + kv_head;
  return memory_.data() + head * (key_bytes_ + value_bytes_ + 2 * scale_bytes_);
}

CpuPages::Part CpuPages::Keys(PageId page, int layer, int kv_head) const {
  const uint8_t* keys = Head(page, layer, kv_head);
  return {keys, scale_bytes_ > 0 ? keys + key_bytes_ : nullptr};
}

CpuPages::Part CpuPages::Values(PageId page, int layer, int kv_head) const {
  const uint8_t* values = Head(page, layer, kv_head) + key_bytes_ + scale_bytes_;
  return {values, scale_bytes_ > 0 ? values + value_bytes_ : nullptr};
}

namespace {

// One number of each column of 32. Their sizes are constants, so that the copies become plain moves.
template <size_t Bytes>
void ScatterOf(const uint8_t* row, size_t count, uint8_t* column) {
  for (size_t i = 0; i < count; ++i) std::memcpy(column + i * kPageRows * Bytes, row + i * Bytes, Bytes);
}
template <size_t Bytes>
void GatherOf(const uint8_t* column, size_t count, uint8_t* row) {
  for (size_t i = 0; i < count; ++i) std::memcpy(row + i * Bytes, column + i * kPageRows * Bytes, Bytes);
}

void Scatter(const uint8_t* row, size_t count, size_t bytes, uint8_t* column) {
  if (bytes == 4) return ScatterOf<4>(row, count, column);
  if (bytes == 2) return ScatterOf<2>(row, count, column);
  ScatterOf<1>(row, count, column);
}
void Gather(const uint8_t* column, size_t count, size_t bytes, uint8_t* row) {
  if (bytes == 4) return GatherOf<4>(column, count, row);
  if (bytes == 2) return GatherOf<2>(column, count, row);
  GatherOf<1>(column, count, row);
}

}  // namespace

void CpuPages::Store(RowRef row, int layer, int kv_head, const uint8_t* key, const uint8_t* value) {
  KEDGE_CHECK(row.index < kPageRows);
  const size_t element = KvTypeBytes(shape_.type), row_bytes = shape_.head_dim * element;
  uint8_t* const keys = memory_.data() + (Head(row.page, layer, kv_head) - memory_.data());
  uint8_t* const values = keys + key_bytes_ + scale_bytes_;
  Scatter(key, shape_.head_dim, element, keys + row.index * element);
  std::memcpy(values + row.index * value_stride_ * element, value, row_bytes);
  if (scale_bytes_ == 0) return;
  const size_t blocks = ScaleBlocks(shape_.head_dim);
  Scatter(key + row_bytes, blocks, sizeof(uint16_t), keys + key_bytes_ + row.index * sizeof(uint16_t));
  Scatter(value + row_bytes, blocks, sizeof(uint16_t), values + value_bytes_ + row.index * sizeof(uint16_t));
}

void CpuPages::Load(RowRef row, int layer, int kv_head, uint8_t* key, uint8_t* value) const {
  KEDGE_CHECK(row.index < kPageRows);
  const size_t element = KvTypeBytes(shape_.type), row_bytes = shape_.head_dim * element;
  const uint8_t* const keys = Head(row.page, layer, kv_head);
  const uint8_t* const values = keys + key_bytes_ + scale_bytes_;
  Gather(keys + row.index * element, shape_.head_dim, element, key);
  std::memcpy(value, values + row.index * value_stride_ * element, row_bytes);
  if (scale_bytes_ == 0) return;
  const size_t blocks = ScaleBlocks(shape_.head_dim);
  Gather(keys + key_bytes_ + row.index * sizeof(uint16_t), blocks, sizeof(uint16_t), key + row_bytes);
  Gather(values + value_bytes_ + row.index * sizeof(uint16_t), blocks, sizeof(uint16_t), value + row_bytes);
}

}  // namespace kedge
