// The forward pass reads like the paper: Forward, ForwardLayer and ComputeOutputs have one operation a line. Everything
// that makes a step special (which rows see which, where they are written) is in the plan, and only WriteKv and
// Attention look at it. The output matrix is the largest of a small model, so it is applied only to the rows with an
// output, and a few at a time, so that the device needs no buffer of all rows by the whole vocabulary.
//
// Backends turn neighbouring values of a head. Where a model turns the halves of a head instead (qwen2, qwen3), the
// outputs of its query and key matrices are reordered when they are loaded, and with them the biases or norms that
// follow: scores are sums over a head's values, whatever their order, so nothing else changes.
//
// Tested by transformer_test.cc.
#include "common/model/transformer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/kernels/dequantize.h"
#include "common/model/key_shift.h"
#include "common/model/rope.h"
#include "common/model/transformer_future.h"

namespace kedge {
namespace {

// Which output of a head of the file stands at place i when pairs are side by side: place 2j has output j, place 2j + 1
// has output j + rope.dim / 2, and those that are not turned stay.
int TurnedOutput(const ModelConfig& config, int i) {
  const int head = i / config.head_dim * config.head_dim;
  const int place = i % config.head_dim;
  if (place >= config.rope.dim) return i;
  return head + place / 2 + place % 2 * (config.rope.dim / 2);
}

}  // namespace

struct TransformerDevice::Layer {
  std::unique_ptr<WeightVector> attention_norm;        // [hidden]
  std::unique_ptr<WeightMatrix> query;                 // [heads * head_dim, hidden]
  std::unique_ptr<WeightMatrix> key, value;            // [kv_heads * head_dim, hidden]
  std::unique_ptr<WeightVector> query_bias;            // [heads * head_dim]; null without biases, as the next two
  std::unique_ptr<WeightVector> key_bias, value_bias;  // [kv_heads * head_dim]
  std::unique_ptr<WeightVector> key_shift;             // the same; null unless keys with biases go into few bits
  std::unique_ptr<WeightVector> query_norm, key_norm;  // [head_dim]; null without norms of heads
  std::unique_ptr<WeightMatrix> attention_out;         // [hidden, heads * head_dim]
  std::unique_ptr<WeightVector> ffn_norm;              // [hidden]
  std::unique_ptr<WeightMatrix> gate, up;              // [ffn, hidden]
  std::unique_ptr<WeightMatrix> down;                  // [hidden, ffn]
};

struct TransformerDevice::Buffers {
  std::unique_ptr<Activations> hidden;       // [rows, hidden]: the residual stream
  std::unique_ptr<Activations> normed;       // [rows, hidden]
  std::unique_ptr<Activations> update;       // [rows, hidden]: what a block adds
  std::unique_ptr<Activations> query;        // [rows, heads * head_dim]
  std::unique_ptr<Activations> key, value;   // [rows, kv_heads * head_dim]
  std::unique_ptr<Activations> attention;    // [rows, heads * head_dim]
  std::unique_ptr<Activations> gate, up;     // [rows, ffn]
  std::unique_ptr<Activations> last;         // [logit rows, hidden]: rows with an output
  std::unique_ptr<Activations> last_normed;  // [logit rows, hidden]
  std::unique_ptr<Activations> logits;       // [logit rows, vocab]
};

TransformerDevice::TransformerDevice(Weights weights) : weights_(std::move(weights)) {}
TransformerDevice::~TransformerDevice() = default;

absl::StatusOr<std::unique_ptr<TransformerDevice>> TransformerDevice::Create(Weights weights, std::unique_ptr<Ops> ops,
                                                                             KvType kv_type, uint64_t kv_bytes,
                                                                             uint32_t max_rows,
                                                                             std::string numerics_class) {
  KEDGE_CHECK(max_rows > 0);
  std::unique_ptr<TransformerDevice> device(new TransformerDevice(std::move(weights)));
  KEDGE_ASSIGN_OR_RETURN(device->config_, LoadConfig(device->weights_.base()));
  device->ops_ = std::move(ops);
  device->numerics_class_ = numerics_class.empty() ? device->ops_->numerics_class() : std::move(numerics_class);
  device->row_shape_ = device->config_.row_shape(kv_type);
  device->max_rows_ = max_rows;
  KEDGE_RETURN_IF_ERROR(device->LoadWeights());
  device->MakeBuffers();
  KEDGE_RETURN_IF_ERROR(device->ops_->status());
  KEDGE_RETURN_IF_ERROR(device->MakePages(kv_bytes));
  return device;
}

void TransformerDevice::MakeBuffers() {
  const int rows = static_cast<int>(max_rows_);
  const int logit_rows = static_cast<int>(std::min(max_rows_, ops_->traits().logit_rows));
  const int query_size = config_.num_heads * config_.head_dim;
  const int kv_size = config_.num_kv_heads * config_.head_dim;
  const auto buffer = [&](int buffer_rows, int columns) { return ops_->NewActivations(buffer_rows, columns); };
  buffers_ = std::make_unique<Buffers>();
  buffers_->hidden = buffer(rows, config_.hidden_size);
  buffers_->normed = buffer(rows, config_.hidden_size);
  buffers_->update = buffer(rows, config_.hidden_size);
  buffers_->query = buffer(rows, query_size);
  buffers_->key = buffer(rows, kv_size);
  buffers_->value = buffer(rows, kv_size);
  buffers_->attention = buffer(rows, query_size);
  buffers_->gate = buffer(rows, config_.ffn_size);
  buffers_->up = buffer(rows, config_.ffn_size);
  buffers_->last = buffer(logit_rows, config_.hidden_size);
  buffers_->last_normed = buffer(logit_rows, config_.hidden_size);
  buffers_->logits = buffer(logit_rows, config_.vocab_size);
}

// Last, when it is known what weights and activations leave of a device's memory.
absl::Status TransformerDevice::MakePages(uint64_t kv_bytes) {
  if (kv_bytes == 0) kv_bytes = ops_->BytesForPages(row_shape_).value_or(0);
  const uint64_t num_pages = kv_bytes / (row_shape_.page_row_bytes() * kPageRows);
  if (num_pages == 0 || num_pages > UINT32_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("kv-memory: ", kv_bytes, " bytes hold ", num_pages, " pages of ",
                                                   kPageRows, " rows of ", row_shape_.page_row_bytes(), " bytes"));
  }
  num_pages_ = static_cast<uint32_t>(num_pages);
  absl::StatusOr<std::unique_ptr<PageMemory>> pages = ops_->NewPages(row_shape_, num_pages_);
  if (!pages.ok()) return OfField("kv-memory", pages.status());
  pages_ = *std::move(pages);
  return absl::OkStatus();
}

absl::Status TransformerDevice::LoadWeights() {
  KEDGE_RETURN_IF_ERROR(OfField(weights_.base().name(), ops_->BeginLoading({.hidden_size = config_.hidden_size,
                                                                            .heads = config_.num_heads,
                                                                            .head_dim = config_.head_dim,
                                                                            .logit_columns = config_.vocab_size})));
  KEDGE_ASSIGN_OR_RETURN(const RopeTable rope, LoadRotation());
  KEDGE_ASSIGN_OR_RETURN(embedding_, LoadMatrix("token_embd.weight"));
  for (int i = 0; i < config_.num_layers; ++i) {
    const std::string prefix = absl::StrCat("blk.", i, ".");
    Layer layer;
    KEDGE_ASSIGN_OR_RETURN(layer.attention_norm, LoadVector(prefix + "attn_norm.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.query, LoadTurnedMatrix(prefix + "attn_q.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.key, LoadTurnedMatrix(prefix + "attn_k.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.value, LoadMatrix(prefix + "attn_v.weight"));
    if (config_.has_biases) {
      KEDGE_ASSIGN_OR_RETURN(layer.query_bias, LoadTurnedVector(prefix + "attn_q.bias"));
      KEDGE_ASSIGN_OR_RETURN(layer.key_bias, LoadTurnedVector(prefix + "attn_k.bias"));
      KEDGE_ASSIGN_OR_RETURN(layer.value_bias, LoadVector(prefix + "attn_v.bias"));
      if (HasScales(row_shape_.type)) {
        const std::string name = prefix + "attn_k.bias";
        KEDGE_ASSIGN_OR_RETURN(layer.key_shift,
                               OfTensor(name, ops_->LoadVector(KeyShift(ReadTurnedVector(name), rope, config_.head_dim,
                                                                        config_.context_length))));
      }
    }
    if (config_.has_head_norms) {
      KEDGE_ASSIGN_OR_RETURN(layer.query_norm, LoadTurnedVector(prefix + "attn_q_norm.weight"));
      KEDGE_ASSIGN_OR_RETURN(layer.key_norm, LoadTurnedVector(prefix + "attn_k_norm.weight"));
    }
    KEDGE_ASSIGN_OR_RETURN(layer.attention_out, LoadMatrix(prefix + "attn_output.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.ffn_norm, LoadVector(prefix + "ffn_norm.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.gate, LoadMatrix(prefix + "ffn_gate.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.up, LoadMatrix(prefix + "ffn_up.weight"));
    KEDGE_ASSIGN_OR_RETURN(layer.down, LoadMatrix(prefix + "ffn_down.weight"));
    layers_.push_back(std::move(layer));
  }
  KEDGE_ASSIGN_OR_RETURN(output_norm_, LoadVector("output_norm.weight"));
  if (!config_.tied_output) {
    KEDGE_ASSIGN_OR_RETURN(output_, LoadMatrix("output.weight"));
  }
  ops_->FinishLoading();
  return absl::OkStatus();
}

// With the tensor's name, if it failed.
template <typename T>
absl::StatusOr<T> TransformerDevice::OfTensor(const std::string& name, absl::StatusOr<T> loaded) const {
  if (loaded.ok()) return loaded;
  return OfField(absl::StrCat(weights_.base().name(), ": tensor '", name, "'"), loaded.status());
}

// LoadConfig has checked names, shapes and types of all tensors; a merged one has its base's name and shape.
absl::StatusOr<std::unique_ptr<WeightMatrix>> TransformerDevice::LoadMatrix(const std::string& name) {
  const GgufTensor* tensor = weights_.FindTensor(name);
  KEDGE_CHECK(tensor != nullptr);
  return LoadMatrix(*tensor, tensor->data);
}

absl::StatusOr<std::unique_ptr<WeightMatrix>> TransformerDevice::LoadMatrix(const GgufTensor& tensor,
                                                                            absl::Span<const uint8_t> data) {
  KEDGE_CHECK(tensor.shape.size() == 2);
  const int inputs = static_cast<int>(tensor.shape[0]);
  const int outputs = static_cast<int>(tensor.shape[1]);
  if (inputs % BlockSize(tensor.type) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(weights_.base().name(), ": tensor '", tensor.name, "': ", inputs,
                                                   " columns are no multiple of the block size of ",
                                                   TensorTypeName(tensor.type)));
  }
  return OfTensor(tensor.name, ops_->LoadMatrix(tensor.type, outputs, inputs, data));
}

absl::StatusOr<std::unique_ptr<WeightMatrix>> TransformerDevice::LoadTurnedMatrix(const std::string& name) {
  if (!config_.rope_halves) return LoadMatrix(name);
  const GgufTensor* tensor = weights_.FindTensor(name);
  KEDGE_CHECK(tensor != nullptr && tensor->shape.size() == 2);
  const size_t outputs = tensor->shape[1];
  const size_t row_bytes = tensor->data.size() / outputs;
  std::vector<uint8_t> turned(tensor->data.size());
  for (size_t i = 0; i < outputs; ++i) {
    const absl::Span<const uint8_t> row =
        tensor->data.subspan(TurnedOutput(config_, static_cast<int>(i)) * row_bytes, row_bytes);
    std::copy(row.begin(), row.end(), turned.begin() + i * row_bytes);
  }
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<WeightMatrix> matrix, LoadMatrix(*tensor, turned));
  if (!ops_->traits().has_own_memory) turned_weights_.push_back(std::move(turned));  // its bytes stay where they are
  return matrix;
}

std::vector<float> TransformerDevice::ReadTurnedVector(const std::string& name) const {
  const std::vector<float> values = ReadVector(name);
  std::vector<float> turned(values.size());
  for (size_t i = 0; i < turned.size(); ++i) {
    turned[i] = values[config_.rope_halves ? TurnedOutput(config_, static_cast<int>(i)) : i];
  }
  return turned;
}

absl::StatusOr<std::unique_ptr<WeightVector>> TransformerDevice::LoadTurnedVector(const std::string& name) {
  return OfTensor(name, ops_->LoadVector(ReadTurnedVector(name)));
}

std::vector<float> TransformerDevice::ReadVector(const std::string& name) const {
  const GgufTensor* tensor = weights_.FindTensor(name);
  KEDGE_CHECK(tensor != nullptr && tensor->shape.size() == 1 && BlockSize(tensor->type) == 1);
  std::vector<float> values(tensor->shape[0]);
  DequantizeWeights(tensor->type, tensor->data, absl::MakeSpan(values));
  return values;
}

absl::StatusOr<std::unique_ptr<WeightVector>> TransformerDevice::LoadVector(const std::string& name) {
  return OfTensor(name, ops_->LoadVector(ReadVector(name)));
}

absl::StatusOr<RopeTable> TransformerDevice::LoadRotation() {
  std::vector<float> factors;
  if (const GgufTensor* tensor = weights_.FindTensor("rope_freqs.weight"); tensor != nullptr) {
    factors.resize(tensor->shape[0]);
    DequantizeWeights(tensor->type, tensor->data, absl::MakeSpan(factors));
  }
  RopeTable table = MakeRopeTable(config_.rope, factors);
  absl::StatusOr<std::unique_ptr<WeightVector>> frequencies = ops_->LoadVector(table.inverse_frequencies);
  if (!frequencies.ok()) {
    return OfField(absl::StrCat(weights_.base().name(), ": frequencies of the rotation"), frequencies.status());
  }
  inverse_frequencies_ = *std::move(frequencies);
  rotation_ = {
      .head_dim = config_.head_dim, .inverse_frequencies = inverse_frequencies_.get(), .magnitude = table.magnitude};
  return table;
}

std::unique_ptr<StepFuture> TransformerDevice::Launch(StepPlan plan) {
  if (absl::Status status = CheckPlan(plan); !status.ok()) return std::make_unique<FailedFuture>(std::move(status));
  auto kept = std::make_unique<const StepPlan>(std::move(plan));
  outputs_before_ = std::count_if(kept->rows.begin(), kept->rows.end(), [](const PlanRow& r) { return r.has_output(); });
  std::unique_ptr<StepView> step = ops_->Begin(*kept);
  if (!ops_->Replay(*step)) {
    Forward(*step, static_cast<int>(kept->rows.size()));
    ComputeOutputs(*step, outputs_before_);
  }
  std::unique_ptr<PendingStep> pending = ops_->Finish(std::move(step));
  return std::make_unique<TransformerFuture>(std::move(kept), row_shape_.type, std::move(pending));
}

void TransformerDevice::Forward(const StepView& step, int rows) {
  ops_->Embed(*embedding_, step, *buffers_->hidden);
  for (int layer = 0; layer < config_.num_layers; ++layer) ForwardLayer(step, rows, layer);
  ops_->Add(rows, *buffers_->update, *buffers_->hidden);
}

// What a block adds to the residual stream is added where the next norm begins.
void TransformerDevice::ForwardLayer(const StepView& step, int rows, int layer) {
  const Layer& w = layers_[layer];
  Buffers& b = *buffers_;

  ops_->AddNorm(rows, layer == 0 ? nullptr : b.update.get(), *b.hidden, *w.attention_norm, config_.rms_epsilon,
                *b.normed);
  ops_->MatMul(rows, *b.normed,
               {{w.query.get(), b.query.get(), w.query_bias.get()},
                {w.key.get(), b.key.get(), w.key_bias.get()},
                {w.value.get(), b.value.get(), w.value_bias.get()}});
  if (config_.has_head_norms) NormHeads(rows, w);
  ops_->RopeAndWriteKv(step, layer, config_.num_heads, config_.num_kv_heads, rotation_, *b.query, *b.key,
                       w.key_shift.get(), *b.value, *pages_);
  ops_->Attention(step, layer, config_.num_heads, *b.query, *pages_, *b.attention);
  ops_->AttentionMass(step, layer, config_.num_heads, *b.query, *pages_);
  ops_->MatMul(rows, *b.attention, *w.attention_out, *b.update);
  ops_->SumAcrossShards(rows, *b.update);

  ops_->AddNorm(rows, b.update.get(), *b.hidden, *w.ffn_norm, config_.rms_epsilon, *b.normed);
  ops_->GateUp(rows, *b.normed, *w.gate, *w.up, *b.gate, *b.up);
  ops_->MatMul(rows, *b.gate, *w.down, *b.update);
  ops_->SumAcrossShards(rows, *b.update);
}

void TransformerDevice::NormHeads(int rows, const Layer& w) {
  ops_->RmsNormHeads(rows, config_.num_heads, *w.query_norm, config_.rms_epsilon, *buffers_->query);
  ops_->RmsNormHeads(rows, config_.num_kv_heads, *w.key_norm, config_.rms_epsilon, *buffers_->key);
}

void TransformerDevice::ComputeOutputs(const StepView& step, size_t outputs) {
  const WeightMatrix& output = output_ != nullptr ? *output_ : *embedding_;
  Buffers& b = *buffers_;
  const size_t at_once = ops_->traits().logit_rows;
  for (size_t done = 0; done < outputs; done += at_once) {
    const int rows = static_cast<int>(std::min(at_once, outputs - done));
    ops_->Gather(step, done, rows, *b.hidden, *b.last);
    ops_->AddNorm(rows, nullptr, *b.last, *output_norm_, config_.rms_epsilon, *b.last_normed);
    ops_->MatMul(rows, *b.last_normed, output, *b.logits);
    ops_->TakeOutputs(step, done, rows, *b.logits);
  }
}

std::unique_ptr<StepFuture> TransformerDevice::ReadRows(std::vector<RowRef> rows, RowBuffer out) {
  KEDGE_CHECK(out.bytes.size() == rows.size() * row_shape_.row_bytes());
  return std::make_unique<CopyFuture>(ops_->ReadRows(*pages_, std::move(rows), std::move(out)));
}

void TransformerDevice::WriteRows(std::vector<RowRef> rows, Payload in) {
  KEDGE_CHECK(in.bytes.size() == rows.size() * row_shape_.row_bytes());
  ops_->WriteRows(*pages_, std::move(rows), std::move(in));
}

void TransformerDevice::CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) {
  KEDGE_CHECK(from.size() == to.size());
  ops_->CopyRows(*pages_, from, to);
}

// A few comparisons per row, against a wrong plan that would read or write outside of the pages.
absl::Status TransformerDevice::CheckPlan(const StepPlan& plan) const {
  const auto error = [](size_t row, const char* what) {
    return absl::InvalidArgumentError(absl::StrCat("step plan, row ", row, ": ", what));
  };
  if (plan.rows.size() > max_rows_) {
    return absl::InvalidArgumentError(
        absl::StrCat("step plan: ", plan.rows.size(), " rows, more than max_rows ", max_rows_));
  }
  for (const HeadRef& head : plan.mass_heads) {
    if (head.layer >= static_cast<uint32_t>(config_.num_layers) ||
        head.head >= static_cast<uint32_t>(config_.num_heads)) {
      return absl::InvalidArgumentError(absl::StrCat("step plan: head ", head.layer, ".", head.head));
    }
  }
  for (const PageTables& tables : plan.tables) {
    for (const std::vector<PageId>* pages : {&tables.recent, &tables.kept}) {
      for (PageId page : *pages) {
        if (page >= num_pages_) return absl::InvalidArgumentError(absl::StrCat("step plan: page ", page));
      }
    }
  }
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const PlanRow& row = plan.rows[r];
    if (row.chosen_before >= 0 && static_cast<size_t>(row.chosen_before) >= outputs_before_) {
      return error(r, "chosen_before");
    }
    if (row.token >= vocab_size()) return error(r, "token id beyond the vocabulary");
    if (row.tables >= plan.tables.size()) return error(r, "tables");
    if (row.choice >= 0 && static_cast<size_t>(row.choice) >= plan.choices.size()) return error(r, "choice");
    const PageTables& tables = plan.tables[row.tables];
    const size_t kept_rows = tables.kept.size() * kPageRows;
    if (row.recent_begin > row.position || row.recent_begin / kPageRows < tables.first_recent_page ||
        row.position / kPageRows - tables.first_recent_page >= tables.recent.size()) {
      return error(r, "recent span beyond its pages");
    }
    if (row.kept_end > kept_rows || (row.kept_index >= 0 && static_cast<size_t>(row.kept_index) >= kept_rows)) {
      return error(r, "kept span beyond its pages");
    }
  }
  return absl::OkStatus();
}

}  // namespace kedge
