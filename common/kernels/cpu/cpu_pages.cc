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
  pages->head_bytes_ = pages->key_bytes_ + kPageRows * pages->value_stride_ * element;
  const size_t page_bytes = size_t{shape.layers} * shape.kv_heads * pages->head_bytes_;
  if (num_pages > 0 && page_bytes > std::numeric_limits<size_t>::max() / num_pages) {
    return absl::ResourceExhaustedError(absl::StrCat(num_pages, " pages of ", page_bytes, " bytes"));
  }
  absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(page_bytes * num_pages);
  if (!memory.ok()) return memory.status();
  pages->memory_ = *std::move(memory);
  return pages;
}

const uint8_t* CpuPages::Keys(PageId page, int layer, int kv_head) const {
  KEDGE_CHECK(page < num_pages_);
  return memory_.data() + ((size_t{page} * shape_.layers + layer) * shape_.kv_heads + kv_head) * head_bytes_;
}

const uint8_t* CpuPages::Values(PageId page, int layer, int kv_head) const {
  return Keys(page, layer, kv_head) + key_bytes_;
}

namespace {

// Keys: one element of each column of 32. Element sizes are constants, so that the copies become plain moves.
template <size_t Element>
void ScatterKey(const uint8_t* key, uint32_t head_dim, uint8_t* column) {
  for (uint32_t d = 0; d < head_dim; ++d) std::memcpy(column + d * kPageRows * Element, key + d * Element, Element);
}

template <size_t Element>
void GatherKey(const uint8_t* column, uint32_t head_dim, uint8_t* key) {
  for (uint32_t d = 0; d < head_dim; ++d) std::memcpy(key + d * Element, column + d * kPageRows * Element, Element);
}

}  // namespace

void CpuPages::Store(RowRef row, int layer, int kv_head, const uint8_t* key, const uint8_t* value) {
  KEDGE_CHECK(row.index < kPageRows);
  const size_t element = KvTypeBytes(shape_.type);
  uint8_t* keys = memory_.data() + (Keys(row.page, layer, kv_head) - memory_.data());
  uint8_t* values = keys + key_bytes_;
  if (element == 4) {
    ScatterKey<4>(key, shape_.head_dim, keys + row.index * 4);
  } else {
    ScatterKey<2>(key, shape_.head_dim, keys + row.index * 2);
  }
  std::memcpy(values + row.index * value_stride_ * element, value, shape_.head_dim * element);
}

void CpuPages::Load(RowRef row, int layer, int kv_head, uint8_t* key, uint8_t* value) const {
  KEDGE_CHECK(row.index < kPageRows);
  const size_t element = KvTypeBytes(shape_.type);
  const uint8_t* keys = Keys(row.page, layer, kv_head);
  if (element == 4) {
    GatherKey<4>(keys + row.index * 4, shape_.head_dim, key);
  } else {
    GatherKey<2>(keys + row.index * 2, shape_.head_dim, key);
  }
  std::memcpy(value, keys + key_bytes_ + row.index * value_stride_ * element, shape_.head_dim * element);
}

}  // namespace kedge
