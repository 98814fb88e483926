// KV rows and attention of the reference backend.
#ifndef KEDGE_COMMON_KERNELS_REFERENCE_REFERENCE_ATTENTION_H_
#define KEDGE_COMMON_KERNELS_REFERENCE_REFERENCE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/kernels/lazy_memory.h"
#include "common/kernels/host_step.h"

namespace kedge {

// Rows one after another, each [layer][kv head][key, value] in the KV type: a row's own bytes of a frame.
// Thread-compatible.
class ReferencePages final : public PageMemory {
 public:
  static absl::StatusOr<std::unique_ptr<ReferencePages>> Create(const RowShape& shape, uint32_t num_pages);

  const RowShape& shape() const { return shape_; }
  uint8_t* Row(RowRef row);
  const uint8_t* Row(RowRef row) const;

  // [head_dim], rounded to the KV type.
  void StorePart(RowRef row, int layer, int kv_head, KvPart part, const float* values);
  std::vector<float> LoadPart(RowRef row, int layer, int kv_head, KvPart part) const;

 private:
  size_t PartOffset(int layer, int kv_head, KvPart part) const;

  RowShape shape_;
  uint32_t num_pages_ = 0;
  LazyMemory memory_;
};

// queries, out: [plan.rows, heads * head_dim].
void ReferenceAttention(const StepPlan& plan, int layer, int heads, const float* queries, const ReferencePages& pages,
                        float* out);

// Ops::AttentionMass. queries: [plan.rows, heads * head_dim].
void ReferenceMass(const StepPlan& plan, int layer, int heads, absl::Span<const MassQuery> wanted,
                   const float* queries, const ReferencePages& pages);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_REFERENCE_REFERENCE_ATTENTION_H_
