// The forward pass reads like the paper: Forward, ForwardLayer and ComputeOutputs have one operation a line. Everything
// that makes a step special (which rows see which, where they are written) is in the plan, and only WriteKv and
// Attention look at it. The output matrix is the largest of a small model, so it is applied only to the rows with an
// output, and a few at a time, so that the device needs no buffer of all rows by the whole vocabulary. Of a row that
// wants a token nothing else comes to the host.
//
// Backends turn neighbouring values of a head. Where a model turns the halves of a head instead (qwen2, qwen3), the
// outputs of its query and key matrices are reordered when they are loaded, and with them the biases or norms that
// follow: scores are sums over a head's values, whatever their order, so nothing else changes.
//
// Tested by transformer_test.cc.
#include "common/model/transformer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/kernels/dequantize.h"
#include "common/kernels/finite.h"
#include "common/model/rope.h"

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

// On the host.
struct TransformerDevice::Results {
  std::vector<std::optional<uint32_t>> tokens;  // [outputs]
  std::vector<std::vector<float>> logits;       // [outputs][vocab], of those without a token
  std::vector<std::vector<uint32_t>> mass;      // [rows that want mass * mass heads][ranges]
  size_t mass_heads = 0;
  std::map<size_t, absl::Status> bad_rows;  // that CheckRows tells of
};

// Of work that was done before the future was made.
class TransformerDevice::Future final : public StepFuture {
 public:
  explicit Future(absl::Status status) : status_(std::move(status)) {}
  explicit Future(std::shared_ptr<const Results> results) : results_(std::move(results)) {}

  bool Ready() const override { return true; }
  absl::Status Wait() override { return status_; }
  absl::Status CheckRows(size_t first, size_t count) const override {
    const auto bad = results_->bad_rows.lower_bound(first);
    return bad != results_->bad_rows.end() && bad->first < first + count ? bad->second : absl::OkStatus();
  }
  std::optional<uint32_t> Token(size_t i) const override { return results_->tokens[i]; }
  absl::Span<const float> Logits(size_t i) const override { return results_->logits[i]; }
  absl::Span<const uint32_t> Mass(size_t i, size_t h) const override {
    return results_->mass[i * results_->mass_heads + h];
  }

 private:
  const absl::Status status_;
  const std::shared_ptr<const Results> results_;
};

TransformerDevice::TransformerDevice(Weights weights) : weights_(std::move(weights)) {}
TransformerDevice::~TransformerDevice() = default;

absl::StatusOr<std::unique_ptr<TransformerDevice>> TransformerDevice::Create(Weights weights, std::unique_ptr<Ops> ops,
                                                                             KvType kv_type, uint32_t num_pages,
                                                                             uint32_t max_rows) {
  KEDGE_CHECK(max_rows > 0);
  std::unique_ptr<TransformerDevice> device(new TransformerDevice(std::move(weights)));
  KEDGE_ASSIGN_OR_RETURN(device->config_, LoadConfig(device->weights_.base()));
  const ModelConfig& config = device->config_;
  device->ops_ = std::move(ops);
  device->row_shape_ = config.row_shape(kv_type);
  device->num_pages_ = num_pages;
  device->max_rows_ = max_rows;
  KEDGE_ASSIGN_OR_RETURN(device->pages_, device->ops_->NewPages(device->row_shape_, num_pages));
  KEDGE_RETURN_IF_ERROR(device->LoadWeights());

  const int rows = static_cast<int>(max_rows);
  const int logit_rows = static_cast<int>(std::min(max_rows, device->ops_->traits().logit_rows));
  const int query_size = config.num_heads * config.head_dim;
  const int kv_size = config.num_kv_heads * config.head_dim;
  const auto buffer = [&](int buffer_rows, int columns) { return device->ops_->NewActivations(buffer_rows, columns); };
  auto buffers = std::make_unique<Buffers>();
  buffers->hidden = buffer(rows, config.hidden_size);
  buffers->normed = buffer(rows, config.hidden_size);
  buffers->update = buffer(rows, config.hidden_size);
  buffers->query = buffer(rows, query_size);
  buffers->key = buffer(rows, kv_size);
  buffers->value = buffer(rows, kv_size);
  buffers->attention = buffer(rows, query_size);
  buffers->gate = buffer(rows, config.ffn_size);
  buffers->up = buffer(rows, config.ffn_size);
  buffers->last = buffer(logit_rows, config.hidden_size);
  buffers->last_normed = buffer(logit_rows, config.hidden_size);
  buffers->logits = buffer(logit_rows, config.vocab_size);
  device->buffers_ = std::move(buffers);
  return device;
}

absl::Status TransformerDevice::LoadWeights() {
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
  LoadRotation();
  return absl::OkStatus();
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
  return ops_->LoadMatrix(tensor.type, outputs, inputs, data);
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
  turned_weights_.push_back(std::move(turned));
  return LoadMatrix(*tensor, turned_weights_.back());
}

absl::StatusOr<std::unique_ptr<WeightVector>> TransformerDevice::LoadTurnedVector(const std::string& name) {
  const std::vector<float> values = ReadVector(name);
  std::vector<float> turned(values.size());
  for (size_t i = 0; i < turned.size(); ++i) {
    turned[i] = values[config_.rope_halves ? TurnedOutput(config_, static_cast<int>(i)) : i];
  }
  return ops_->LoadVector(turned);
}

std::vector<float> TransformerDevice::ReadVector(const std::string& name) const {
  const GgufTensor* tensor = weights_.FindTensor(name);
  KEDGE_CHECK(tensor != nullptr && tensor->shape.size() == 1 && BlockSize(tensor->type) == 1);
  std::vector<float> values(tensor->shape[0]);
  DequantizeWeights(tensor->type, tensor->data, absl::MakeSpan(values));
  return values;
}

absl::StatusOr<std::unique_ptr<WeightVector>> TransformerDevice::LoadVector(const std::string& name) {
  return ops_->LoadVector(ReadVector(name));
}

void TransformerDevice::LoadRotation() {
  std::vector<float> factors;
  if (const GgufTensor* tensor = weights_.FindTensor("rope_freqs.weight"); tensor != nullptr) {
    factors.resize(tensor->shape[0]);
    DequantizeWeights(tensor->type, tensor->data, absl::MakeSpan(factors));
  }
  const RopeTable table = MakeRopeTable(config_.rope, factors);
  inverse_frequencies_ = ops_->LoadVector(table.inverse_frequencies);
  rotation_ = {
      .head_dim = config_.head_dim, .inverse_frequencies = inverse_frequencies_.get(), .magnitude = table.magnitude};
}

std::unique_ptr<StepFuture> TransformerDevice::Launch(StepPlan plan) {
  if (absl::Status status = CheckPlan(plan); !status.ok()) return std::make_unique<Future>(std::move(status));
  TakeTokens(&plan);
  // Who waited for the step before may still hold what it made; else this one takes its memory.
  if (results_ == nullptr || results_.use_count() > 1) results_ = std::make_shared<Results>();
  PrepareMass(plan);
  const std::unique_ptr<StepView> step = ops_->Begin(plan);
  Forward(*step, static_cast<int>(plan.rows.size()));
  FindBadRows(plan);
  ComputeOutputs(plan, *step);
  return std::make_unique<Future>(results_);
}

void TransformerDevice::TakeTokens(StepPlan* plan) const {
  for (PlanRow& row : plan->rows) {
    if (row.chosen_before >= 0) row.token = results_->tokens[row.chosen_before].value_or(0);
  }
}

// What comes first is the cause: a bad row makes all that sees it bad, in later layers and in the logits.
void TransformerDevice::FindBadRows(const StepPlan& plan) {
  results_->bad_rows.clear();
  for (const Ops::KvFault& fault : ops_->TakeKvFaults()) {
    const char* const type = KvTypeName(row_shape_.type);
    const std::string what =
        fault.overflowed ? absl::StrCat("a key or value is beyond what the KV type ", type,
                                        " holds: serve this model with --kv-type bf16 or f32")
                         : std::string("a key or value is infinite or not a number: the weights may be damaged");
    results_->bad_rows.emplace(fault.row, absl::InternalError(absl::StrCat("token ", plan.rows[fault.row].position,
                                                                           ", layer ", fault.layer, ": ", what)));
  }
}

// Most steps ask for none.
void TransformerDevice::PrepareMass(const StepPlan& plan) {
  size_t used = 0;
  std::vector<std::vector<uint32_t>>& masses = results_->mass;
  results_->mass_heads = plan.mass_heads.size();
  mass_queries_.assign(config_.num_layers, {});
  for (uint32_t r = 0; r < plan.rows.size(); ++r) {
    if (!plan.rows[r].wants_mass) continue;
    masses.resize(std::max(masses.size(), used + plan.mass_heads.size()));
    for (const HeadRef& head : plan.mass_heads) {
      std::vector<uint32_t>& mass = masses[used++];
      mass.resize(MassEnds(plan, plan.rows[r]).size());
      mass_queries_[head.layer].push_back({.row = r, .head = head.head, .mass = absl::MakeSpan(mass)});
    }
  }
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
  ops_->MatMulBias(rows, *b.normed,
                   {{w.query.get(), w.query_bias.get(), b.query.get()},
                    {w.key.get(), w.key_bias.get(), b.key.get()},
                    {w.value.get(), w.value_bias.get(), b.value.get()}});
  if (config_.has_head_norms) NormHeads(rows, w);
  ops_->RopeAndWriteKv(step, layer, config_.num_heads, config_.num_kv_heads, rotation_, *b.query, *b.key, *b.value,
                       *pages_);
  ops_->Attention(step, layer, config_.num_heads, *b.query, *pages_, *b.attention);
  ops_->AttentionMass(step, layer, config_.num_heads, mass_queries_[layer], *b.query, *pages_);
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

void TransformerDevice::ComputeOutputs(const StepPlan& plan, const StepView& step) {
  std::vector<uint32_t> wanted;
  for (uint32_t r = 0; r < plan.rows.size(); ++r) {
    if (plan.rows[r].has_output()) wanted.push_back(r);
  }
  results_->tokens.assign(wanted.size(), std::nullopt);
  if (results_->logits.size() < wanted.size()) results_->logits.resize(wanted.size());
  const WeightMatrix& output = output_ != nullptr ? *output_ : *embedding_;
  Buffers& b = *buffers_;
  const size_t at_once = ops_->traits().logit_rows;
  for (size_t done = 0; done < wanted.size(); done += at_once) {
    const absl::Span<const uint32_t> piece = absl::MakeConstSpan(wanted).subspan(done, at_once);
    const int rows = static_cast<int>(piece.size());
    ops_->Gather(step, done, rows, *b.hidden, *b.last);
    ops_->RmsNorm(rows, *b.last, *output_norm_, config_.rms_epsilon, *b.last_normed);
    ops_->MatMul(rows, *b.last_normed, output, *b.logits);
    TakeOutputs(plan, piece, done);
  }
}

// Of `rows`, whose logits have been computed: tokens, or logits where there is none. `first`: the first one's output.
void TransformerDevice::TakeOutputs(const StepPlan& plan, absl::Span<const uint32_t> rows, size_t first) {
  std::vector<Ops::TokenQuery> queries;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    if (const int32_t choice = plan.rows[rows[i]].choice; choice >= 0) {
      queries.push_back({.row = i, .choice = plan.choices[choice]});
    }
  }
  if (!queries.empty()) ops_->ChooseTokens(*buffers_->logits, absl::MakeSpan(queries));
  std::vector<bool> finite(rows.size());
  for (const Ops::TokenQuery& query : queries) {
    results_->tokens[first + query.row] = query.token;
    finite[query.row] = query.finite;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!results_->tokens[first + i].has_value()) {
      std::vector<float>& logits = results_->logits[first + i];
      logits.resize(vocab_size());
      ops_->CopyToHost(static_cast<int>(i), 1, *buffers_->logits, absl::MakeSpan(logits));
      finite[i] = AllFinite(logits.data(), logits.size());
    }
    if (finite[i]) continue;
    results_->bad_rows.emplace(rows[i], absl::InternalError(absl::StrCat(
                                            "token ", plan.rows[rows[i]].position,
                                            ": its logits are infinite or not numbers: the weights may be damaged")));
  }
}

std::unique_ptr<StepFuture> TransformerDevice::ReadRows(std::vector<RowRef> rows, RowBuffer out) {
  KEDGE_CHECK(out.bytes.size() == rows.size() * row_shape_.row_bytes());
  ops_->ReadRows(*pages_, rows, out.bytes);
  return std::make_unique<Future>(absl::OkStatus());
}

void TransformerDevice::WriteRows(std::vector<RowRef> rows, Payload in) {
  KEDGE_CHECK(in.bytes.size() == rows.size() * row_shape_.row_bytes());
  ops_->WriteRows(*pages_, rows, in.bytes);
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
    const size_t outputs_before = results_ == nullptr ? 0 : results_->tokens.size();
    if (row.chosen_before >= 0 && static_cast<size_t>(row.chosen_before) >= outputs_before) {
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
