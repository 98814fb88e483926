// Attention of a few query rows of one request over the pages that their spans show.
#ifndef KEDGE_COMMON_KERNELS_CPU_ATTENTION_H_
#define KEDGE_COMMON_KERNELS_CPU_ATTENTION_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "common/kernels/cpu/cpu_pages.h"
#include "common/kernels/cpu/kernels.h"
#include "common/kernels/step.h"

namespace kedge {

// Neighbouring rows of a prompt see nearly the same pages, so they go through them together, a page at a time.
inline constexpr size_t kAttentionRows = 8;

// Scratch of one thread. Owned by one thread.
class AttentionWorker {
 public:
  // rows: at most kAttentionRows, all of one request with page tables `tables`. queries, out: for each row, `stride`
  // floats apart, `heads` heads of head_dim, all of which read KV head `kv_head`.
  void Attend(const CpuKernels& kernels, absl::Span<const PlanRow> rows, const PageTables& tables, int layer,
              int kv_head, int heads, const float* queries, const CpuPages& pages, float* out, size_t stride);

 private:
  // One query row under way, for up to kMaxSharedHeads heads.
  struct Row {
    std::vector<float> queries;  // [heads][head_dim], scaled
    std::vector<float> values;   // [heads][value_stride]: the weighted sum so far
    SoftmaxState states[kMaxSharedHeads];
  };

  void Start(const float* queries, int heads, const CpuPages& pages, Row& row);
  // Rows [begin, end) of one page.
  void AttendPage(const CpuKernels& kernels, const uint8_t* keys, const uint8_t* values, int begin, int end, int heads,
                  const CpuPages& pages, Row& row);
  static void Finish(const Row& row, int heads, const CpuPages& pages, float* out);

  Row rows_[kAttentionRows];
  float scores_[kMaxSharedHeads][kPageRows];
  float weights_[kMaxSharedHeads][kPageRows];
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_ATTENTION_H_
