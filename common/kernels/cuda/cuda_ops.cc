// One operation is one kernel, or a few. Steps of generated rows are recorded the first time that their shape is met,
// and replayed from then on: what differs is in the arrays of the step, which are copied in front of them. Nothing here
// waits; what fails is kept, and every later step ends with it. Tested by tests/cuda_steps_test.cc and
// tests/equality_test.cc.
#include "common/kernels/cuda/cuda_ops.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/kernels/cuda/block_pool.h"
#include "common/kernels/cuda/device_data.h"
#include "common/kernels/cuda/fragments.h"
#include "common/kernels/cuda/kernels.h"
#include "common/kernels/cuda/pending_step.h"
#include "common/kernels/cuda/row_copies.h"
#include "common/kernels/cuda/step_arrays.h"
#include "common/kernels/cuda/step_memory.h"
#include "common/kernels/cuda/uploader.h"

namespace kedge::cuda {
namespace {

struct CudaStep final : StepView {
  std::unique_ptr<const StepArrays> arrays;
  std::optional<GraphShape> shape;
  std::shared_ptr<Block> host_logits;  // null: none may come
  std::shared_ptr<Event> begin;        // the arrays are on the device
  Step step;
};

CudaActivations& Cast(Activations& x) { return static_cast<CudaActivations&>(x); }
const CudaActivations& Cast(const Activations& x) { return static_cast<const CudaActivations&>(x); }
const CudaMatrix& Cast(const WeightMatrix& x) { return static_cast<const CudaMatrix&>(x); }
const CudaVector& Cast(const WeightVector& x) { return static_cast<const CudaVector&>(x); }
const CudaPages& Cast(const PageMemory& x) { return static_cast<const CudaPages&>(x); }
const CudaStep& Cast(const StepView& x) { return static_cast<const CudaStep&>(x); }

// Of a model.
absl::Status AtMost(absl::string_view field, int value, int most) {
  if (value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, "; the cuda backend takes at most ", most));
}

class CudaOps final : public Ops {
 public:
  CudaOps(std::shared_ptr<Runtime> runtime, const Kernels& kernels, const CudaOptions& options)
      : runtime_(std::move(runtime)),
        kernels_(kernels),
        traits_{.roles_agree = true,
                .runs_ahead = true,
                .has_own_memory = true,
                .max_rows = options.max_rows,
                .logit_rows = 256,
                .step_target = options.step_target},
        threads_(options.threads),
        sharers_(options.sharers),
        pinned_([runtime = runtime_](size_t bytes) { return runtime->NewPinnedMemory(bytes); }) {}

  absl::Status Start() {
    KEDGE_ASSIGN_OR_RETURN(stream_, runtime_->NewStream());
    KEDGE_ASSIGN_OR_RETURN(copies_, RowCopies::Create(runtime_.get(), &kernels_, stream_.get(), &pinned_, health_));
    memory_ = std::make_unique<StepMemory>(runtime_.get(), stream_.get());
    uploader_ = std::make_unique<Uploader>(runtime_.get(), stream_.get(), threads_);
    return absl::OkStatus();
  }

  const std::string& numerics_class() const override { return numerics_class_; }
  const OpsTraits& traits() const override { return traits_; }
  absl::Status status() const override { return health_->ok() ? *health_ : DeviceLost(*health_); }

  // --- Memory ---

  std::unique_ptr<Activations> NewActivations(int max_rows, int columns) override {
    auto x = std::make_unique<CudaActivations>();
    const int stride = (columns + 31) / 32 * 32;
    const size_t rows = (max_rows + kOperandRows - 1) / kOperandRows * kOperandRows;
    x->floats = NewZeros(rows * stride * sizeof(float));
    if (columns % 32 == 0) x->quantized = NewZeros(OperandBytes(rows, columns));
    x->view = {{x->floats == nullptr ? nullptr : reinterpret_cast<float*>(x->floats->data()), columns, stride},
               x->quantized == nullptr ? nullptr : x->quantized->data()};
    return x;
  }

  absl::Status BeginLoading(const ModelSizes& sizes) override {
    KEDGE_RETURN_IF_ERROR(AtMost("hidden_size", sizes.hidden_size, kMostNormColumns));
    KEDGE_RETURN_IF_ERROR(AtMost("head_dim", sizes.head_dim, kMostHeadDim));
    pass_.heads = sizes.heads;
    pass_.logit_columns = sizes.logit_columns;
    pass_.logit_rows = static_cast<int>(traits_.logit_rows);
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadMatrix(TensorType type, int outputs, int inputs,
                                                           absl::Span<const uint8_t> data) override {
    return OrFailure(uploader_->Load(type, outputs, inputs, data));
  }
  absl::StatusOr<std::unique_ptr<WeightVector>> LoadVector(absl::Span<const float> values) override {
    return OrFailure(uploader_->Load(values));
  }
  void FinishLoading() override { uploader_ = nullptr; }  // and with it its pinned buffers

  std::optional<uint64_t> BytesForPages(const RowShape& shape) override {
    constexpr double kPart = 0.9;  // the rest is for rows on their way, graphs, and communicators
    const absl::StatusOr<size_t> free = runtime_->FreeBytes();
    if (!Keep(free.status())) return 0;
    const double share = static_cast<double>(runtime_->properties().memory_bytes) / sharers_;
    const double left = std::min(static_cast<double>(*free), share - static_cast<double>(runtime_->UsedBytes()));
    const double pages = kPart * std::max(left, 0.0) / static_cast<double>(PageBytes(shape));
    return static_cast<uint64_t>(pages) * shape.page_row_bytes() * kPageRows;
  }

  absl::StatusOr<std::unique_ptr<PageMemory>> NewPages(const RowShape& shape, uint32_t num_pages) override {
    auto pages = std::make_unique<CudaPages>();
    KEDGE_ASSIGN_OR_RETURN(pages->memory, runtime_->NewMemory((size_t{num_pages} + 1) * PageBytes(shape)));
    pages->shape = shape;
    pages->view = {pages->memory->data(), shape.type, static_cast<int>(shape.layers),
                   static_cast<int>(shape.kv_heads), static_cast<int>(shape.head_dim)};
    pages->spare = spare_ = num_pages;
    pass_.pairs = std::max(pass_.pairs, static_cast<int>(shape.head_dim + 1) / 2);
    return pages;
  }

  RowBuffer NewRowBuffer(size_t size) override { return copies_->NewBuffer(size); }

  // --- Steps ---

  std::unique_ptr<StepView> Begin(const StepPlan& plan) override {
    auto step = std::make_unique<CudaStep>();
    step->shape = ShapeOf(plan, std::min(traits_.max_rows, traits_.logit_rows));
    step->arrays = std::make_unique<const StepArrays>(plan, step->shape, spare_);
    plan_rows_ = static_cast<int>(plan.rows.size());
    padded_rows_ = step->arrays->num_rows();
    has_turns_ = false;
    if (health_->ok()) Keep(Upload(*step));
    return step;
  }

  bool Replay(StepView& view) override {
    const CudaStep& step = Cast(view);
    if (!step.shape.has_value() || !health_->ok()) return false;
    const auto known = graphs_.find(KeyOf(*step.shape));
    if (known != graphs_.end()) return Keep(stream_->Replay(*known->second));
    is_recording_ = Keep(stream_->BeginGraph());
    return false;
  }

  std::unique_ptr<PendingStep> Finish(std::unique_ptr<StepView> view) override {
    CudaStep& step = static_cast<CudaStep&>(*view);
    Keep(EndRecording(step));
    absl::StatusOr<std::unique_ptr<PendingStep>> pending = Download(step);
    if (!Keep(pending.status())) return std::make_unique<FailedStep>(status());
    return *std::move(pending);
  }

  void Embed(const WeightMatrix& table, const StepView& step, Activations& out) override {
    Queue(kernels_.embed, Cast(table).view, Cast(step).step, Floats(out));
  }

  void AddNorm(int rows, const Activations* y, Activations& x, const WeightVector& weight, float epsilon,
               Activations& out) override {
    const FloatRows update = y == nullptr ? FloatRows{} : Cast(*y).view.floats;
    Queue(kernels_.add_norm, Rows(rows), update, Floats(x), Cast(weight).data, epsilon, Operand(out));
  }

  void RmsNormHeads(int rows, int heads, const WeightVector& weight, float epsilon, Activations& x) override {
    Queue(kernels_.norm_heads, Rows(rows), heads, Cast(weight).size, Cast(weight).data, epsilon, Floats(x));
  }

  void MatMul(int rows, const Activations& x, absl::Span<const Ops::Product> products) override {
    std::vector<cuda::Product> all;
    bool needs_quantized = false;
    for (const Ops::Product& product : products) {
      needs_quantized |= IsQuantized(Cast(*product.weights).view.form);
      all.push_back({&Cast(*product.weights).view, product.bias == nullptr ? nullptr : Cast(*product.bias).data,
                     Floats(*product.out)});
    }
    if (needs_quantized && !Cast(x).has_quantized) Queue(kernels_.quantize, Rows(rows), Cast(x).view);
    Queue(kernels_.multiply, runtime_->properties(), Rows(rows), Cast(x).view, all);
  }

  void RopeAndWriteKv(const StepView& view, int layer, int heads, int kv_heads, const Rotation& rotation,
                      Activations& queries, Activations& keys, const WeightVector* key_shift, const Activations& values,
                      PageMemory& pages) override {
    const Step& step = Cast(view).step;
    const CudaVector& frequencies = Cast(*rotation.inverse_frequencies);
    if (!std::exchange(has_turns_, true)) {
      Queue(kernels_.make_turns, step, Turning{frequencies.data, frequencies.size, rotation.magnitude});
    }
    Queue(kernels_.turn_and_write, step, layer, heads, frequencies.size, Floats(queries), Floats(keys),
          key_shift == nullptr ? nullptr : Cast(*key_shift).data, Cast(values).view.floats, Cast(pages).view);
  }

  void Attention(const StepView& view, int layer, int heads, const Activations& queries, const PageMemory& pages,
                 Activations& out) override {
    const CudaStep& step = Cast(view);
    const FloatRows& from = Cast(queries).view.floats;
    if (float* const scores = memory_->scores(); scores != nullptr) {
      Queue(kernels_.attend_split, runtime_->properties(), step.step, layer, heads, step.arrays->most_pages(),
                                 from, Cast(pages).view, scores, Operand(out));
    } else {
      Queue(kernels_.attend_tiles, step.step, layer, heads, step.arrays->TilesAt(memory_->upload()),
                                 step.arrays->num_tiles(), from, Cast(pages).view, Operand(out));
    }
  }

  void AttentionMass(const StepView& view, int layer, int heads, const Activations& queries,
                     const PageMemory& pages) override {
    const CudaStep& step = Cast(view);
    const int wanted = step.arrays->NumMassQueries(layer);
    if (wanted == 0) return;
    Queue(kernels_.give_mass, step.step, layer, heads, step.arrays->MassQueriesAt(memory_->upload(), layer),
                            wanted, step.arrays->MassEndsAt(memory_->upload()), Cast(queries).view.floats,
                            Cast(pages).view,
                            reinterpret_cast<uint32_t*>(memory_->results() + step.arrays->mass_at()));
  }

  void GateUp(int rows, const Activations& x, const WeightMatrix& gate_weights, const WeightMatrix& up_weights,
              Activations& gate, Activations& up) override {
    MatMul(rows, x, {{&gate_weights, &gate}, {&up_weights, &up}});
    const FloatRows from = Cast(gate).view.floats;
    Queue(kernels_.swiglu, Rows(rows), from, Cast(up).view.floats, Operand(gate));
  }

  void Add(int rows, const Activations& y, Activations& x) override {
    Queue(kernels_.add, Rows(rows), Cast(y).view.floats, Floats(x));
  }

  void Gather(const StepView& step, size_t first, int rows, const Activations& x, Activations& out) override {
    Queue(kernels_.gather, Rows(rows), Cast(step).arrays->WantingAt(memory_->upload()) + first,
                         Cast(x).view.floats, Floats(out));
  }

  void TakeOutputs(const StepView& view, size_t first, int rows, const Activations& logits) override {
    const StepArrays& arrays = *Cast(view).arrays;
    Queue(kernels_.choose_tokens, runtime_->properties(), Rows(rows), Cast(logits).view.floats,
                                arrays.WishesAt(memory_->upload()) + first, memory_->choose_scratch(),
                                memory_->chosen() + first);
  }

  void SumAcrossShards(int rows, Activations& x) override {}

  // --- Rows ---

  std::unique_ptr<Pending> ReadRows(const PageMemory& pages, std::vector<RowRef> rows, RowBuffer out) override {
    if (!health_->ok()) return std::make_unique<FailedStep>(status());
    absl::StatusOr<std::unique_ptr<Pending>> pending = copies_->Read(Cast(pages), rows, std::move(out));
    // Nothing stands on it but what it was asked for.
    if (absl::IsResourceExhausted(pending.status())) return std::make_unique<FailedStep>(pending.status());
    if (!Keep(pending.status())) return std::make_unique<FailedStep>(status());
    return *std::move(pending);
  }
  void WriteRows(PageMemory& pages, std::vector<RowRef> rows, Payload in) override {
    if (health_->ok()) Keep(copies_->Write(Cast(pages), rows, std::move(in)));
  }
  void CopyRows(PageMemory& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to) override {
    if (health_->ok()) Keep(copies_->Copy(Cast(pages), from, to));
  }

  void CopyToHost(int first, int rows, const Activations& x, absl::Span<float> out) override {
    const FloatRows& from = Cast(x).view.floats;
    const absl::StatusOr<std::shared_ptr<Block>> block = pinned_.Take(sizeof(float) * from.stride * rows);
    if (!Keep(block.status())) return;
    float* const to = reinterpret_cast<float*>((*block)->data());
    if (!Keep(stream_->Copy(to, from.data + size_t(first) * from.stride, sizeof(float) * from.stride * rows))) return;
    if (!Keep(stream_->Wait())) return;
    for (int r = 0; r < rows; ++r) {
      std::copy_n(to + size_t(r) * from.stride, from.columns, out.begin() + size_t(r) * from.columns);
    }
  }

 private:
  // Returns whether all has gone well so far.
  bool Keep(const absl::Status& status) {
    if (health_->ok() && !status.ok()) *health_ = status;
    return health_->ok();
  }
  // One kernel, unless something has failed: then its arrays may not be there.
  template <typename... Parameters, typename... Arguments>
  void Queue(absl::Status (*kernel)(Stream&, Parameters...), Arguments&&... arguments) {
    if (health_->ok()) Keep(kernel(*stream_, std::forward<Arguments>(arguments)...));
  }
  template <typename T>
  absl::StatusOr<std::unique_ptr<T>> OrFailure(absl::StatusOr<std::unique_ptr<T>> made) {
    if (!Keep(made.status())) return status();
    return made;
  }

  std::unique_ptr<Memory> NewZeros(size_t bytes) {
    absl::StatusOr<std::unique_ptr<Memory>> memory = runtime_->NewMemory(bytes);
    if (!Keep(memory.status()) || !Keep(stream_->Fill((*memory)->data(), 0, bytes))) return nullptr;
    return *std::move(memory);
  }

  // Of the step at hand, where it is one that takes a graph's shape.
  int Rows(int rows) const { return rows == plan_rows_ ? padded_rows_ : rows; }
  // To be written as floats, or as both.
  FloatRows Floats(Activations& x) {
    Cast(x).has_quantized = false;
    return Cast(x).view.floats;
  }
  OperandRows Operand(Activations& x) {
    Cast(x).has_quantized = Cast(x).view.quantized != nullptr;
    return Cast(x).view;
  }

  // The shape, and whether pages are divided, which depends on what rows see together.
  using GraphKey = std::pair<GraphShape, bool>;
  GraphKey KeyOf(const GraphShape& shape) const { return {shape, memory_->scores() != nullptr}; }

  // Brings the step's arrays to the device.
  absl::Status Upload(CudaStep& step) {
    const StepArrays& arrays = *step.arrays;
    KEDGE_ASSIGN_OR_RETURN(const bool stayed, memory_->Fit(arrays, pass_));
    if (!stayed) graphs_.clear();
    if (arrays.NumHostLogits() > 0) {
      KEDGE_ASSIGN_OR_RETURN(step.host_logits,
                             pinned_.Take(sizeof(float) * arrays.NumHostLogits() * pass_.logit_columns));
    }
    KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> from, pinned_.Take(arrays.upload_bytes()));
    arrays.Write(step.host_logits == nullptr ? nullptr : reinterpret_cast<float*>(step.host_logits->data()),
                 pass_.logit_columns, from->data());
    KEDGE_RETURN_IF_ERROR(stream_->Copy(memory_->upload(), from->data(), arrays.upload_bytes()));
    KEDGE_ASSIGN_OR_RETURN(step.begin, runtime_->NewEvent());
    KEDGE_RETURN_IF_ERROR(stream_->Record(*step.begin));
    from->UsedUntil(step.begin);
    static_assert(kNoFault == UINT32_MAX);
    uint8_t* const results = memory_->results();
    KEDGE_RETURN_IF_ERROR(stream_->Fill(results, 0xff, arrays.mass_at()));
    if (arrays.result_bytes() > arrays.mass_at()) {
      KEDGE_RETURN_IF_ERROR(stream_->Fill(results + arrays.mass_at(), 0, arrays.result_bytes() - arrays.mass_at()));
    }
    step.step = arrays.StepAt(memory_->upload(), memory_->chosen(), results, memory_->turns());
    return absl::OkStatus();
  }

  // Does what was recorded, once, and keeps it.
  absl::Status EndRecording(const CudaStep& step) {
    if (!std::exchange(is_recording_, false)) return absl::OkStatus();
    KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Graph> graph, stream_->EndGraph());
    KEDGE_RETURN_IF_ERROR(*health_);
    constexpr size_t kMostGraphs = 512;  // more than there are shapes up to 64k rows; a device's memory for them is small
    if (graphs_.size() == kMostGraphs) graphs_.erase(graphs_.begin());
    return stream_->Replay(*(graphs_[KeyOf(*step.shape)] = std::move(graph)));
  }

  // What comes back of the step, behind it in the stream.
  absl::StatusOr<std::unique_ptr<PendingStep>> Download(CudaStep& step) {
    KEDGE_RETURN_IF_ERROR(*health_);
    const size_t bytes = step.arrays->result_bytes(), chosen_bytes = step.arrays->chosen_bytes();
    KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> to, pinned_.Take(bytes + chosen_bytes));
    KEDGE_RETURN_IF_ERROR(stream_->Copy(to->data(), memory_->results(), bytes));
    KEDGE_RETURN_IF_ERROR(stream_->Copy(to->data() + bytes, memory_->chosen(), chosen_bytes));
    KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Event> done, runtime_->NewEvent());
    KEDGE_RETURN_IF_ERROR(stream_->Record(*done));
    to->UsedUntil(done);
    if (step.host_logits != nullptr) step.host_logits->UsedUntil(done);
    return std::make_unique<CudaPendingStep>(std::move(step.arrays), std::move(step.begin), std::move(done), to,
                                             std::move(step.host_logits), pass_.logit_columns, health_);
  }

  const std::string numerics_class_ = "cpu-1";
  const std::shared_ptr<Runtime> runtime_;
  const Kernels& kernels_;
  const OpsTraits traits_;
  const int threads_;
  const int sharers_;
  const DeviceHealth health_ = std::make_shared<absl::Status>();
  BlockPool pinned_;
  std::unique_ptr<Stream> stream_;  // that computes
  std::unique_ptr<RowCopies> copies_;
  std::unique_ptr<StepMemory> memory_;
  std::unique_ptr<Uploader> uploader_;  // null when all weights are loaded
  std::map<GraphKey, std::unique_ptr<Graph>> graphs_;
  PassShape pass_;
  PageId spare_ = 0;

  // Of the step at hand.
  int plan_rows_ = 0, padded_rows_ = 0;
  bool is_recording_ = false;
  bool has_turns_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Ops>> CreateCudaOps(std::shared_ptr<Runtime> runtime, const Kernels& kernels,
                                                   const CudaOptions& options) {
  auto ops = std::make_unique<CudaOps>(std::move(runtime), kernels, options);
  KEDGE_RETURN_IF_ERROR(ops->Start());
  return ops;
}

}  // namespace kedge::cuda
