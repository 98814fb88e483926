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
inline constexpr size_t kAttentionRows = 16;

// Scratch of one thread. Owned by one thread.
class AttentionWorker {
 public:
  // rows: at most kAttentionRows, all of one request with page tables `tables`. queries, out: for each row, `stride`
  // floats apart, `heads` heads of head_dim, all of which read KV head `kv_head`.
  void Attend(const CpuKernels& kernels, absl::Span<const PlanRow> rows, const PageTables& tables, int layer,
              int kv_head, int heads, const float* queries, const CpuPages& pages, float* out, size_t stride);

 private:
  // What a row sees of a page: its rows [begin, end).
  struct Seen {
    uint32_t begin, end;
    bool operator==(const Seen&) const = default;
  };

  void Start(size_t rows, int heads, const float* queries, size_t stride, const CpuPages& pages);
  // seen_ has what each row sees of the page.
  void AttendPage(const CpuKernels& kernels, const CpuPages::Part& keys, const CpuPages::Part& values, size_t rows,
                  int heads, const CpuPages& pages);
  // Adds the page's values, weighed, of queries [first, first + count), which all see the same.
  void AddValues(const CpuKernels& kernels, KvType type, const void* values, const float* scales, size_t first,
                 size_t count, Seen seen, int stride);
  void Finish(size_t rows, int heads, const CpuPages& pages, float* out, size_t stride) const;

  // A query is a head of a row: number row * heads + head.
  std::vector<float> queries_;        // [queries][head_dim], scaled
  std::vector<float> values_;         // [queries][value_stride]: the weighted sums so far
  std::vector<SoftmaxState> states_;  // [queries]
  std::vector<float> scores_;         // [queries][kPageRows], of the page at hand
  std::vector<float> weights_;        // [queries][kPageRows]
  std::vector<float> keys_;           // [head_dim][kPageRows]: the page's, where many queries read them
  std::vector<float> rows_;           // [kPageRows][value_stride]: its values
  // Where the KV type has scales.
  std::vector<float> key_scales_, value_scales_;  // [blocks][kPageRows]
  std::vector<float> scaled_weights_;             // [queries][kPageRows], of one block
  Seen seen_[kAttentionRows];
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_ATTENTION_H_
