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
// and each score is one chain over the head; values lie [32 rows][head_dim filled up to a multiple of 8].
// Thread-compatible: different rows may be stored at the same time.
class CpuPages final : public PageMemory {
 public:
  static absl::StatusOr<std::unique_ptr<CpuPages>> Create(const RowShape& shape, uint32_t num_pages);

  const RowShape& shape() const { return shape_; }
  // Elements of one row of values.
  size_t value_stride() const { return value_stride_; }

  const uint8_t* Keys(PageId page, int layer, int kv_head) const;
  const uint8_t* Values(PageId page, int layer, int kv_head) const;

  // `key` and `value` are [head_dim] in the KV type. Load is the inverse of Store.
  void Store(RowRef row, int layer, int kv_head, const uint8_t* key, const uint8_t* value);
  void Load(RowRef row, int layer, int kv_head, uint8_t* key, uint8_t* value) const;

 private:
  RowShape shape_;
  size_t value_stride_ = 0;
  size_t key_bytes_ = 0;   // of the keys of one page, layer and KV head
  size_t head_bytes_ = 0;  // keys and values
  uint32_t num_pages_ = 0;
  LazyMemory memory_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_CPU_PAGES_H_
