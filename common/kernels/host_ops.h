// What the backends on the host have in common: they do one plain operation after another, within the call, and a step is
// done when its last one returns.
#ifndef KEDGE_COMMON_KERNELS_HOST_OPS_H_
#define KEDGE_COMMON_KERNELS_HOST_OPS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "common/kernels/host_step.h"
#include "common/kernels/ops.h"

namespace kedge {

class HostOps : public Ops {
 public:
  // --- Plain operations ---
  virtual int ColumnsOf(const Activations& x) const = 0;
  // out[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight.
  virtual void RmsNorm(int rows, const Activations& x, const WeightVector& weight, float epsilon, Activations& out) = 0;
  // out[r] = weights * x[r]; the products' biases are left out.
  virtual void Multiply(int rows, const Activations& x, absl::Span<const Product> products) = 0;
  // x[r] += bias, which has as many values as x has columns.
  virtual void AddVector(int rows, const WeightVector& bias, Activations& x) = 0;
  // x: [rows, heads * head_dim].
  virtual void Rope(const StepView& step, int heads, const Rotation& rotation, Activations& x) = 0;
  virtual void WriteKv(const StepView& step, int layer, const Activations& keys, const Activations& values,
                       PageMemory& pages) = 0;
  // Fills each query's `mass`, of heads of this layer.
  virtual void GiveMass(const StepView& step, int layer, int heads, absl::Span<const MassQuery> wanted,
                        const Activations& queries, const PageMemory& pages) = 0;
  // gate[r] = silu(gate[r]) * up[r].
  virtual void SwiGlu(int rows, const Activations& up, Activations& gate) = 0;
  // A token to be chosen from a row of logits.
  struct TokenQuery {
    uint32_t row = 0;  // of the logits
    TokenChoice choice;
    // The answers.
    bool is_finite = false;  // all logits of the row are numbers; else the token means nothing
    uint32_t token = 0;
  };
  virtual void ChooseTokens(const Activations& logits, absl::Span<TokenQuery> queries) = 0;
  virtual void LoadRows(const PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<uint8_t> out) = 0;
  virtual void StoreRows(PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<const uint8_t> in) = 0;

  // --- Groups of them ---
  std::unique_ptr<StepView> Begin(const StepPlan& plan) override;
  std::unique_ptr<PendingStep> Finish(std::unique_ptr<StepView> step) override;
  void AddNorm(int rows, const Activations* y, Activations& x, const WeightVector& weight, float epsilon,
               Activations& out) override;
  void MatMul(int rows, const Activations& x, absl::Span<const Product> products) override;
  using Ops::MatMul;
  void RopeAndWriteKv(const StepView& step, int layer, int heads, int kv_heads, const Rotation& rotation,
                      Activations& queries, Activations& keys, const WeightVector* key_shift, const Activations& values,
                      PageMemory& pages) override;
  void AttentionMass(const StepView& step, int layer, int heads, const Activations& queries,
                     const PageMemory& pages) override;
  void GateUp(int rows, const Activations& x, const WeightMatrix& gate_weights, const WeightMatrix& up_weights,
              Activations& gate, Activations& up) override;
  void TakeOutputs(const StepView& step, size_t first, int rows, const Activations& logits) override;
  void SumAcrossShards(int rows, Activations& x) override {}
  std::unique_ptr<Pending> ReadRows(const PageMemory& pages, std::vector<RowRef> rows, RowBuffer out) override;
  void WriteRows(PageMemory& pages, std::vector<RowRef> rows, Payload in) override;

 private:
  std::shared_ptr<HostResults> results_;  // of the last step; who waited for it holds them as well
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_HOST_OPS_H_
