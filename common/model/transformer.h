// A llama, qwen2 or qwen3 model as a StepDevice: what turns tokens and KV rows into logits and further KV rows.
#ifndef KEDGE_COMMON_MODEL_TRANSFORMER_H_
#define KEDGE_COMMON_MODEL_TRANSFORMER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/kernels/ops.h"
#include "common/kernels/step.h"
#include "common/model/config.h"
#include "common/model/model_files.h"
#include "common/model/rope.h"

namespace kedge {

// The forward pass over any Ops: Launch queues a step there, and its future says when it is done. Owns the Ops, the
// weights, the KV pages and the activations of one step. Owned by one thread; outlives its futures.
class TransformerDevice final : public StepDevice {
 public:
  // `kv_bytes`: of pages; 0: what the backend has left (OpsTraits::has_own_memory). `numerics_class`: what it is to be
  // called (common/kernels/numerics_class.h); "": what the backend says. kInvalidArgument names what is wrong with the
  // file or with kv_bytes, or what of the model the backend does not take; kResourceExhausted if there is no memory,
  // and for which tensor there was none.
  static absl::StatusOr<std::unique_ptr<TransformerDevice>> Create(Weights weights, std::unique_ptr<Ops> ops,
                                                                   KvType kv_type, uint64_t kv_bytes,
                                                                   uint32_t max_rows, std::string numerics_class = "");
  ~TransformerDevice() override;

  const ModelConfig& config() const { return config_; }

  const std::string& numerics_class() const override { return numerics_class_; }
  const RowShape& row_shape() const override { return row_shape_; }
  bool roles_agree() const override { return ops_->traits().roles_agree; }
  uint32_t num_pages() const override { return num_pages_; }
  uint32_t max_rows() const override { return max_rows_; }
  absl::Duration step_target() const override { return ops_->traits().step_target; }
  uint32_t vocab_size() const override { return static_cast<uint32_t>(config_.vocab_size); }
  bool runs_ahead() const override { return ops_->traits().runs_ahead; }
  absl::Status status() const override { return ops_->status(); }

  // The future of a plan that breaks its REQUIRES (token, page or span out of range) fails with kInvalidArgument, and
  // nothing is computed.
  std::unique_ptr<StepFuture> Launch(StepPlan plan) override;
  RowBuffer NewRowBuffer(size_t size) const override { return ops_->NewRowBuffer(size); }
  std::unique_ptr<StepFuture> ReadRows(std::vector<RowRef> rows, RowBuffer out) override;
  void WriteRows(std::vector<RowRef> rows, Payload in) override;
  void CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) override;

 private:
  struct Layer;    // weights of one layer
  struct Buffers;  // activations of one step

  explicit TransformerDevice(Weights weights);
  absl::Status LoadWeights();
  void MakeBuffers();
  absl::Status MakePages(uint64_t kv_bytes);
  template <typename T>
  absl::StatusOr<T> OfTensor(const std::string& name, absl::StatusOr<T> loaded) const;
  absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadMatrix(const std::string& name);
  absl::StatusOr<std::unique_ptr<WeightVector>> LoadVector(const std::string& name);
  absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadMatrix(const GgufTensor& tensor, absl::Span<const uint8_t> data);
  std::vector<float> ReadVector(const std::string& name) const;
  // Of queries or keys, with the outputs that are turned together side by side. A vector is of all heads, or of one.
  absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadTurnedMatrix(const std::string& name);
  absl::StatusOr<std::unique_ptr<WeightVector>> LoadTurnedVector(const std::string& name);
  std::vector<float> ReadTurnedVector(const std::string& name) const;
  absl::StatusOr<RopeTable> LoadRotation();
  absl::Status CheckPlan(const StepPlan& plan) const;

  void Forward(const StepView& step, int rows);
  void ForwardLayer(const StepView& step, int rows, int layer);
  void NormHeads(int rows, const Layer& w);
  void ComputeOutputs(const StepView& step, size_t outputs);

  const Weights weights_;  // the matrices may refer to their bytes
  // And to these, which are the file's in another order. None where the backend has its own memory.
  std::vector<std::vector<uint8_t>> turned_weights_;
  ModelConfig config_;
  RowShape row_shape_;
  uint32_t num_pages_ = 0;
  uint32_t max_rows_ = 0;
  std::string numerics_class_;
  std::unique_ptr<Ops> ops_;  // outlives the weights, pages and activations that it made

  std::unique_ptr<WeightMatrix> embedding_;  // [vocab, hidden]
  std::vector<Layer> layers_;
  std::unique_ptr<WeightVector> output_norm_;          // [hidden]
  std::unique_ptr<WeightMatrix> output_;               // [vocab, hidden]; null: the embedding serves
  std::unique_ptr<WeightVector> inverse_frequencies_;  // [rope.dim / 2]
  Ops::Rotation rotation_{};
  std::unique_ptr<PageMemory> pages_;
  std::unique_ptr<Buffers> buffers_;
  size_t outputs_before_ = 0;  // of the last step
};

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_TRANSFORMER_H_
