// KV rows of the cpu backend.
#ifndef KEDGE_COMMON_KERNELS_CPU_CPU_PAGES_H_
#define KEDGE_COMMON_KERNELS_CPU_CPU_PAGES_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/kernels/lazy_memory.h"
#include "common/kernels/ops.h"

namespace kedge {

// A page is [layer][kv head][keys, values]. Keys lie [head_dim][32 rows], so that a vector holds the scores of 8 rows
// and each score is one chain over the head; values lie [32 rows][head_dim filled up to a multiple of 8]. Behind either
// lie the scales, where the type has some, [blocks][32 rows].
// Thread-compatible: different rows may be stored at the same time.
class CpuPages final : public PageMemory {
 public:
  static absl::StatusOr<std::unique_ptr<CpuPages>> Create(const RowShape& shape, uint32_t num_pages);

  const RowShape& shape() const { return shape_; }
  KvType type() const { return PageType(shape_.type); }
  // Of one head's key or value: the numbers, then their scales.
  size_t part_bytes() const { return PagePartBytes(shape_.type, shape_.head_dim); }
  // Numbers of one row of values.
  size_t value_stride() const { return value_stride_; }

  // Keys or values of a page.
  struct Part {
    const uint8_t* numbers;
    const uint8_t* scales;  // halves; null: the type has none
  };
  Part Keys(PageId page, int layer, int kv_head) const;
  Part Values(PageId page, int layer, int kv_head) const;

  // One row's: `key` and `value` have part_bytes() each. Load is the inverse of Store.
  void Store(RowRef row, int layer, int kv_head, const uint8_t* key, const uint8_t* value);
  void Load(RowRef row, int layer, int kv_head, uint8_t* key, uint8_t* value) const;

 private:
  const uint8_t* Head(PageId page, int layer, int kv_head) const;  // its keys, and behind them its values

  RowShape shape_;
  size_t value_stride_ = 0;
  // Of one page, layer and KV head.
  size_t key_bytes_ = 0;    // numbers of keys
  size_t value_bytes_ = 0;  // numbers of values
  size_t scale_bytes_ = 0;  // scales of either
  uint32_t num_pages_ = 0;
  LazyMemory memory_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_CPU_PAGES_H_
