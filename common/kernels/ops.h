// The plain operations of a forward pass, one backend a folder: `cpu` (threads and vectors) and `reference` (slow,
// obvious, float, a dense mask; the oracle of the tests). The backend is chosen once, in main. The forward pass calls
// them by groups where a backend may want to do several at once; without an own way it does one after another.
//
// Buffers and matrices are opaque: a backend may keep them in its own memory and layout. Calls are asynchronous in
// principle and ordered: an operation sees what earlier ones wrote. Float activations; the bit contract of step.h
// holds for each operation, row by row.
#ifndef KEDGE_COMMON_KERNELS_OPS_H_
#define KEDGE_COMMON_KERNELS_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"
#include "common/kernels/tensor_type.h"

namespace kedge {

// Float activations [rows, columns], row-major in meaning. Rows beyond those in use have no meaning.
class Activations {
 public:
  virtual ~Activations() = default;
};

// Weights [outputs, inputs] in a backend's own packing.
class WeightMatrix {
 public:
  virtual ~WeightMatrix() = default;
};

// A vector of float weights or factors.
class WeightVector {
 public:
  virtual ~WeightVector() = default;
};

// Pages of KV rows.
class PageMemory {
 public:
  virtual ~PageMemory() = default;
};

// A step's plan where the backend computes: what operations need to know of rows is brought there once.
class StepView {
 public:
  virtual ~StepView() = default;
};

// What suits a backend.
struct OpsTraits {
  bool roles_agree = false;    // StepDevice::roles_agree
  uint32_t max_rows = 0;       // of one step, unless somebody asks for another number
  uint32_t logit_rows = 0;     // whose logits are computed at a time: a matrix is read again for those that follow
  absl::Duration step_target;  // StepDevice::step_target
};

// Owned by one thread (backends use further threads inside).
class Ops {
 public:
  virtual ~Ops() = default;

  virtual const std::string& numerics_class() const = 0;
  virtual const OpsTraits& traits() const = 0;

  // --- Memory ---
  virtual std::unique_ptr<Activations> NewActivations(int max_rows, int columns) = 0;
  // `data` (the file's bytes) may be referenced for as long as the matrix lives. `inputs` is a multiple of the type's
  // block size.
  virtual std::unique_ptr<WeightMatrix> LoadMatrix(TensorType type, int outputs, int inputs,
                                                   absl::Span<const uint8_t> data) = 0;
  // No matrix will follow.
  virtual void FinishLoading() {}
  virtual std::unique_ptr<WeightVector> LoadVector(absl::Span<const float> values) = 0;
  // kResourceExhausted if the memory cannot be had.
  virtual absl::StatusOr<std::unique_ptr<PageMemory>> NewPages(const RowShape& shape, uint32_t num_pages) = 0;

  // --- One step; `rows` rows of activations are in use ---
  // `plan` must outlive the view, which may refer to it. Valid until the next Begin.
  virtual std::unique_ptr<StepView> Begin(const StepPlan& plan) = 0;
  // out[r] = table[token of r].
  virtual void Embed(const WeightMatrix& table, const StepView& step, Activations& out) = 0;
  // out[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight.
  virtual void RmsNorm(int rows, const Activations& x, const WeightVector& weight, float epsilon, Activations& out) = 0;
  // The same for each head of x[r], in place. x: [rows, heads * head_dim], weight: [head_dim].
  virtual void RmsNormHeads(int rows, int heads, const WeightVector& weight, float epsilon, Activations& x) = 0;
  // out[r] = weights * x[r], of several matrices that multiply the same x.
  struct Product {
    const WeightMatrix* weights;
    Activations* out;
  };
  virtual void MatMul(int rows, const Activations& x, absl::Span<const Product> products) = 0;
  void MatMul(int rows, const Activations& x, const WeightMatrix& weights, Activations& out) {
    MatMul(rows, x, {{&weights, &out}});
  }
  // Rotates pairs (2i, 2i+1) of the first rope_dim values of each head by position * inverse_frequencies[i], and makes
  // them `magnitude` times as long: GGUF's llama layout, in which a head's two halves are interleaved.
  // x: [rows, heads * head_dim].
  struct Rotation {
    int head_dim;
    const WeightVector* inverse_frequencies;  // [rope_dim / 2]
    float magnitude;
  };
  virtual void Rope(const StepView& step, int heads, const Rotation& rotation, Activations& x) = 0;
  // Writes keys and values [rows, kv_heads * head_dim] of one layer to R, and to K where kept_index >= 0.
  virtual void WriteKv(const StepView& step, int layer, const Activations& keys, const Activations& values,
                       PageMemory& pages) = 0;
  // A row whose keys or values are infinite or no numbers in the KV type.
  struct KvFault {
    uint32_t row = 0;  // of the plan
    int layer = 0;
    bool overflowed = false;  // they were finite before they were rounded to the type
  };
  // out[r] = attention of queries[r] [heads * head_dim] over the rows that its two spans show, scaled by
  // 1/sqrt(head_dim). Query head h reads KV head h * kv_heads / heads.
  virtual void Attention(const StepView& step, int layer, int heads, const Activations& queries,
                         const PageMemory& pages, Activations& out) = 0;
  // Fills each query's `mass` (StepFuture::Mass), of heads of this layer.
  struct MassQuery {
    uint32_t row = 0;  // of the plan
    uint32_t head = 0;
    absl::Span<uint32_t> mass;  // [MassEnds of the row], on the host
  };
  virtual void AttentionMass(const StepView& step, int layer, int heads, absl::Span<const MassQuery> wanted,
                             const Activations& queries, const PageMemory& pages) = 0;
  // x[r] += y[r].
  virtual void Add(int rows, const Activations& y, Activations& x) = 0;
  // x[r] += bias, which has as many values as x has columns.
  virtual void AddVector(int rows, const WeightVector& bias, Activations& x) = 0;
  // gate[r] = silu(gate[r]) * up[r].
  virtual void SwiGlu(int rows, const Activations& up, Activations& gate) = 0;
  // out[i] = x[r], for those `rows` rows r that have an output and stand behind `first` others.
  virtual void Gather(const StepView& step, size_t first, int rows, const Activations& x, Activations& out) = 0;
  // Sums across the shards of a model. Does nothing on one device.
  virtual void SumAcrossShards(int rows, Activations& x) = 0;

  // --- Several at once; what a backend does in another way has the same bits ---
  // x += y, unless there is no y; out = RmsNorm of x.
  virtual void AddNorm(int rows, const Activations* y, Activations& x, const WeightVector& weight, float epsilon,
                       Activations& out) {
    if (y != nullptr) Add(rows, *y, x);
    RmsNorm(rows, x, weight, epsilon, out);
  }
  // MatMul, and where there is a bias, AddVector of it.
  struct BiasedProduct {
    const WeightMatrix* weights;
    const WeightVector* bias;  // null: none
    Activations* out;
  };
  virtual void MatMulBias(int rows, const Activations& x, absl::Span<const BiasedProduct> products) {
    std::vector<Product> plain;
    for (const BiasedProduct& product : products) plain.push_back({product.weights, product.out});
    MatMul(rows, x, plain);
    for (const BiasedProduct& product : products) {
      if (product.bias != nullptr) AddVector(rows, *product.bias, *product.out);
    }
  }
  // Rope of queries [rows, heads * head_dim] and of keys [rows, kv_heads * head_dim], and WriteKv.
  virtual void RopeAndWriteKv(const StepView& step, int layer, int heads, int kv_heads, const Rotation& rotation,
                              Activations& queries, Activations& keys, const Activations& values, PageMemory& pages) {
    Rope(step, heads, rotation, queries);
    Rope(step, kv_heads, rotation, keys);
    WriteKv(step, layer, keys, values, pages);
  }
  // gate = silu(x * gate_weights) * (x * up_weights); `up` holds nothing of use afterwards.
  virtual void GateUp(int rows, const Activations& x, const WeightMatrix& gate_weights, const WeightMatrix& up_weights,
                      Activations& gate, Activations& up) {
    MatMul(rows, x, {{&gate_weights, &gate}, {&up_weights, &up}});
    SwiGlu(rows, up, gate);
  }

  // --- To and from the host; these wait ---
  // A token to be chosen from a row of logits.
  struct TokenQuery {
    uint32_t row = 0;  // of the logits
    TokenChoice choice;
    // The answers.
    bool finite = false;            // all logits of the row are numbers; else the token means nothing
    std::optional<uint32_t> token;  // nullopt: the caller is to choose
  };
  virtual void ChooseTokens(const Activations& logits, absl::Span<TokenQuery> queries) = 0;
  // What WriteKv has met since the last call, layers in ascending order.
  virtual std::vector<KvFault> TakeKvFaults() = 0;
  // Rows [first, first + rows).
  virtual void CopyToHost(int first, int rows, const Activations& x, absl::Span<float> out) = 0;
  void CopyToHost(int rows, const Activations& x, absl::Span<float> out) { CopyToHost(0, rows, x, out); }
  virtual void ReadRows(const PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<uint8_t> out) = 0;
  // Passes over rows whose page is kNoPage.
  virtual void WriteRows(PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<const uint8_t> in) = 0;

  // --- Within the pages; does not wait ---
  // StepDevice::CopyRows.
  virtual void CopyRows(PageMemory& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to) = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_OPS_H_
