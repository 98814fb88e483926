// The operations of a forward pass, one backend a folder: `cpu` (threads and vectors), `cuda` (kernels of a device) and
// `reference` (slow, obvious, float, a dense mask; the oracle of the tests). The backend is chosen once, in main. What a
// backend may want to do at once is one operation here; those of the host do one thing after another (host_ops.h).
//
// Buffers and matrices are opaque: a backend may keep them in its own memory and layout. Calls queue and are ordered: an
// operation sees what earlier ones wrote, and fails, if it fails, where its step is waited for. Float activations; the
// bit contract of step.h holds for each operation, row by row.
#ifndef KEDGE_COMMON_KERNELS_OPS_H_
#define KEDGE_COMMON_KERNELS_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/payload.h"
#include "common/kernels/row_buffer.h"
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

// A row whose keys or values are infinite or no numbers in the KV type.
struct KvFault {
  uint32_t row = 0;  // of the plan
  int layer = 0;
  bool overflowed = false;  // they were finite before they were rounded to the type
};

// What came of a step, on the host.
struct StepOutcome {
  struct Output {
    std::optional<uint32_t> token;
    bool is_finite = false;           // all its logits are numbers
    absl::Span<const float> logits;  // [vocab], where there is no token
  };
  std::vector<Output> outputs;
  // Of row i of those that want mass and head h of the plan's, at [i * heads + h]: StepFuture::Mass.
  std::vector<absl::Span<const uint32_t>> mass;
  std::vector<KvFault> faults;  // the first one of each row, at least
  std::optional<absl::Duration> device_time;  // StepFuture::DeviceTime
};

// What a backend may have to know of a model before its weights come.
struct ModelSizes {
  int hidden_size = 0;
  int heads = 0;  // of queries
  int head_dim = 0;
  int logit_columns = 0;
};

// Work that was queued. Destroying it does not end the work.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual bool Ready() = 0;  // whether Wait would return at once
  virtual absl::Status Wait() = 0;
};

class PendingStep : public Pending {
 public:
  // Valid as long as this lives. REQUIRES: Wait() returned OK.
  virtual const StepOutcome& outcome() const = 0;
};

// What suits a backend.
struct OpsTraits {
  bool roles_agree = false;    // StepDevice::roles_agree
  bool runs_ahead = false;     // StepDevice::runs_ahead
  // Weights are copied to its memory; pages lie there, and the backend knows how much of it is left (BytesForPages).
  bool has_own_memory = false;
  uint32_t max_rows = 0;       // of one step, unless somebody asks for another number
  uint32_t logit_rows = 0;     // whose logits are computed at a time: a matrix is read again for those that follow
  absl::Duration step_target;  // StepDevice::step_target
};

// Owned by one thread (backends use further threads inside), but for NewRowBuffer.
class Ops {
 public:
  virtual ~Ops() = default;

  virtual const std::string& numerics_class() const = 0;
  virtual const OpsTraits& traits() const = 0;
  // The first failure of what returns no status; nothing that is done after it means anything. StepDevice::status.
  virtual absl::Status status() const { return absl::OkStatus(); }

  // --- Memory ---
  virtual std::unique_ptr<Activations> NewActivations(int max_rows, int columns) = 0;
  // The weights of a model will follow. kInvalidArgument says what of it the backend does not take.
  virtual absl::Status BeginLoading(const ModelSizes& sizes) { return absl::OkStatus(); }
  // `data` (the file's bytes) may be referenced for as long as the matrix lives, unless the backend has its own memory.
  // `inputs` is a multiple of the type's block size. kResourceExhausted if the memory cannot be had, as for vectors.
  virtual absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadMatrix(TensorType type, int outputs, int inputs,
                                                                   absl::Span<const uint8_t> data) = 0;
  virtual absl::StatusOr<std::unique_ptr<WeightVector>> LoadVector(absl::Span<const float> values) = 0;
  // Neither matrix nor vector will follow.
  virtual void FinishLoading() {}
  // What pages of this shape may take of memory that nothing else wants, where the backend has its own.
  virtual std::optional<uint64_t> BytesForPages(const RowShape& shape) { return std::nullopt; }
  // kResourceExhausted if the memory cannot be had.
  virtual absl::StatusOr<std::unique_ptr<PageMemory>> NewPages(const RowShape& shape, uint32_t num_pages) = 0;
  // StepDevice::NewRowBuffer.
  virtual RowBuffer NewRowBuffer(size_t size) { return RowBuffer::Plain(size); }

  // --- One step: Begin, operations, Finish; `rows` rows of activations are in use ---
  // `plan` must outlive the view, which may refer to it.
  virtual std::unique_ptr<StepView> Begin(const StepPlan& plan) = 0;
  // Whether the backend has queued all of the step by itself, because an earlier one was like it: then no operation is
  // called. Else it may note what is called.
  virtual bool Replay(StepView& step) { return false; }
  // `step` is of no use afterwards.
  virtual std::unique_ptr<PendingStep> Finish(std::unique_ptr<StepView> step) = 0;

  // out[r] = table[token of r].
  virtual void Embed(const WeightMatrix& table, const StepView& step, Activations& out) = 0;
  // x[r] += y[r], unless there is no y; out[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight.
  virtual void AddNorm(int rows, const Activations* y, Activations& x, const WeightVector& weight, float epsilon,
                       Activations& out) = 0;
  // The norm of each head of x[r], in place. x: [rows, heads * head_dim], weight: [head_dim].
  virtual void RmsNormHeads(int rows, int heads, const WeightVector& weight, float epsilon, Activations& x) = 0;
  // out[r] = weights * x[r] + bias, of several matrices that multiply the same x.
  struct Product {
    const WeightMatrix* weights;
    Activations* out;
    const WeightVector* bias = nullptr;  // null: none
  };
  virtual void MatMul(int rows, const Activations& x, absl::Span<const Product> products) = 0;
  void MatMul(int rows, const Activations& x, const WeightMatrix& weights, Activations& out) {
    MatMul(rows, x, {{&weights, &out}});
  }
  // Rotates pairs (2i, 2i+1) of the first rope_dim values of each head by position * inverse_frequencies[i], and makes
  // them `magnitude` times as long: GGUF's llama layout, in which a head's two halves are interleaved.
  struct Rotation {
    int head_dim;
    const WeightVector* inverse_frequencies;  // [rope_dim / 2]
    float magnitude;
  };
  // Rotates queries [rows, heads * head_dim] and keys [rows, kv_heads * head_dim] and adds key_shift [kv_heads *
  // head_dim], where there is one, to the keys behind that; writes keys and values of one layer to R, and to K where
  // kept_index >= 0.
  virtual void RopeAndWriteKv(const StepView& step, int layer, int heads, int kv_heads, const Rotation& rotation,
                              Activations& queries, Activations& keys, const WeightVector* key_shift,
                              const Activations& values, PageMemory& pages) = 0;
  // out[r] = attention of queries[r] [heads * head_dim] over the rows that its two spans show, scaled by
  // 1/sqrt(head_dim). Query head h reads KV head h * kv_heads / heads.
  virtual void Attention(const StepView& step, int layer, int heads, const Activations& queries,
                         const PageMemory& pages, Activations& out) = 0;
  // The mass (StepOutcome) that the plan asks of heads of this layer.
  virtual void AttentionMass(const StepView& step, int layer, int heads, const Activations& queries,
                             const PageMemory& pages) = 0;
  // gate = silu(x * gate_weights) * (x * up_weights); `up` holds nothing of use afterwards.
  virtual void GateUp(int rows, const Activations& x, const WeightMatrix& gate_weights, const WeightMatrix& up_weights,
                      Activations& gate, Activations& up) = 0;
  // x[r] += y[r].
  virtual void Add(int rows, const Activations& y, Activations& x) = 0;
  // out[i] = x[r], for those `rows` rows r that have an output and stand behind `first` others.
  virtual void Gather(const StepView& step, size_t first, int rows, const Activations& x, Activations& out) = 0;
  // Of outputs [first, first + rows), whose logits those are: tokens, or the logits, come to the host.
  virtual void TakeOutputs(const StepView& step, size_t first, int rows, const Activations& logits) = 0;
  // Sums across the shards of a model. Does nothing on one device.
  virtual void SumAcrossShards(int rows, Activations& x) = 0;

  // --- Copies of rows, in turn with the steps (StepDevice) ---
  virtual std::unique_ptr<Pending> ReadRows(const PageMemory& pages, std::vector<RowRef> rows, RowBuffer out) = 0;
  // Passes over rows whose page is kNoPage.
  virtual void WriteRows(PageMemory& pages, std::vector<RowRef> rows, Payload in) = 0;
  virtual void CopyRows(PageMemory& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to) = 0;

  // Rows [first, first + rows) to the host; waits. For tests.
  virtual void CopyToHost(int first, int rows, const Activations& x, absl::Span<float> out) = 0;
  void CopyToHost(int rows, const Activations& x, absl::Span<float> out) { CopyToHost(0, rows, x, out); }
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_OPS_H_
