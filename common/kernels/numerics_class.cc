// One step over two pages of rows; inputs come in as rows of a table of F32 (Embed), as nothing else goes in. Numbers
// are made of integers, so that no library has a say in them. Tested by numerics_class_test.cc.
#include "common/kernels/numerics_class.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "xxhash.h"

namespace kedge {
namespace {

constexpr int kRows = 40;  // more than a page
constexpr int kHeads = 4, kKvHeads = 2, kHeadDim = 64;
constexpr int kColumns = kHeads * kHeadDim;  // a multiple of every type's block
constexpr int kKvColumns = kKvHeads * kHeadDim;
constexpr int kOutputs = 48;
constexpr uint32_t kKept = 4;    // of the rows, also in K
constexpr int kWanting = 3;      // of the rows, an output
constexpr float kEpsilon = 1e-5f;

// Where a block of a type of weights has its halves; the rest are bits of any kind.
struct WeightLayout {
  TensorType type;
  std::vector<int> halves;
};
const std::vector<WeightLayout>& QuantizedTypes() {
  static const auto* const types = new std::vector<WeightLayout>{
      {TensorType::kQ8_0, {0}}, {TensorType::kQ4_0, {0}},    {TensorType::kQ4_1, {0, 2}}, {TensorType::kQ5_0, {0}},
      {TensorType::kQ5_1, {0, 2}}, {TensorType::kQ4_K, {0, 2}}, {TensorType::kQ5_K, {0, 2}},
      {TensorType::kQ6_K, {208}}};
  return *types;
}

class Inputs {
 public:
  uint32_t Next() {  // xorshift
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    return state_ ^= state_ << 5;
  }
  // In [-1, 1), exact.
  float NextFloat() { return static_cast<float>(static_cast<int32_t>(Next() >> 8) - (1 << 23)) * 0x1p-23f; }

  std::vector<float> Floats(size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = NextFloat();
    return values;
  }
  std::vector<uint8_t> Floats32(size_t count) {
    const std::vector<float> values = Floats(count);
    std::vector<uint8_t> bytes(count * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  // Numbers of 16 bits, a quarter to a half and their negatives: `exponent` is that of the type.
  std::vector<uint8_t> Floats16(size_t count, uint16_t mantissa, uint16_t exponent) {
    std::vector<uint8_t> bytes(count * 2);
    for (size_t i = 0; i < count; ++i) {
      Put(static_cast<uint16_t>((Next() >> 8 & (0x8000u | mantissa)) | exponent), &bytes[2 * i]);
    }
    return bytes;
  }
  std::vector<uint8_t> Blocks(const WeightLayout& layout, size_t count) {
    const size_t block = BlockBytes(layout.type);
    std::vector<uint8_t> bytes(count / BlockSize(layout.type) * block);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(Next() >> 16);
    for (size_t begin = 0; begin < bytes.size(); begin += block) {
      // Scales between 2^-8 and 2^-7.
      for (int half : layout.halves) Put(static_cast<uint16_t>(0x1c00u | (Next() >> 8 & 0x3ffu)), &bytes[begin + half]);
    }
    return bytes;
  }

 private:
  static void Put(uint16_t value, uint8_t* to) {
    to[0] = static_cast<uint8_t>(value);
    to[1] = static_cast<uint8_t>(value >> 8);
  }

  uint32_t state_ = 2463534242u;
};

// Rows of one request: each sees a window and what is kept, the first ones all before them.
StepPlan Plan() {
  StepPlan plan;
  plan.tables.push_back({.recent = {0, 1}, .kept = {2}});
  for (uint32_t i = 0; i < kRows; ++i) {
    PlanRow row{.token = i, .position = i};
    row.recent_begin = i < 34 ? 0 : i - 30;
    row.kept_end = i < 34 ? 0 : kKept;
    if (i < kKept) row.kept_index = static_cast<int32_t>(i);
    plan.rows.push_back(row);
  }
  plan.rows[kRows - 3].wants_logits = true;
  plan.choices = {{.temperature = 0}, {.temperature = 0.8f, .top_p = 0.9f, .top_k = 20, .seed = 7, .position = 3}};
  plan.rows[kRows - 2].choice = 0;
  plan.rows[kRows - 1].choice = 1;
  plan.rows[kRows - 1].wants_mass = true;
  plan.mass_heads = {{.layer = 0, .head = 1}};
  plan.mass_ends = {{16, kRows}};
  return plan;
}

// One SelfTest: what it loads, then one step.
class Run {
 public:
  explicit Run(Ops& ops) : ops_(ops), plan_(Plan()) {}

  absl::StatusOr<std::string> Hash() {
    KEDGE_RETURN_IF_ERROR(Load());
    std::unique_ptr<StepView> step = ops_.Begin(plan_);
    for (const auto& weights : weights_) Products(*weights, *step);
    Elementwise(*step);
    for (const auto& pages : pages_) KEDGE_RETURN_IF_ERROR(Attention(*pages, *step));
    KEDGE_RETURN_IF_ERROR(Outputs(std::move(step)));
    return absl::StrCat(absl::Hex(static_cast<uint32_t>(XXH3_64bits(bits_.data(), bits_.size())), absl::kZeroPad8));
  }

 private:
  absl::Status LoadMatrix(TensorType type, int outputs, std::vector<uint8_t> data, std::unique_ptr<WeightMatrix>* out) {
    bytes_.push_back(std::move(data));  // matrices may refer to them
    KEDGE_ASSIGN_OR_RETURN(*out, ops_.LoadMatrix(type, outputs, kColumns, bytes_.back()));
    return absl::OkStatus();
  }
  absl::Status LoadVector(std::vector<float> values, std::unique_ptr<WeightVector>* out) {
    KEDGE_ASSIGN_OR_RETURN(*out, ops_.LoadVector(values));
    return absl::OkStatus();
  }

  absl::Status Load() {
    KEDGE_RETURN_IF_ERROR(
        ops_.BeginLoading({.hidden_size = kColumns, .heads = kHeads, .head_dim = kHeadDim, .logit_columns = kOutputs}));
    constexpr size_t kCount = size_t{kOutputs} * kColumns;
    KEDGE_RETURN_IF_ERROR(LoadMatrix(TensorType::kF32, kRows, inputs_.Floats32(kRows * kColumns), &table_));
    weights_.resize(3 + QuantizedTypes().size());
    KEDGE_RETURN_IF_ERROR(LoadMatrix(TensorType::kF32, kOutputs, inputs_.Floats32(kCount), &weights_[0]));
    KEDGE_RETURN_IF_ERROR(
        LoadMatrix(TensorType::kF16, kOutputs, inputs_.Floats16(kCount, 0x3ff, 0x3400), &weights_[1]));
    KEDGE_RETURN_IF_ERROR(
        LoadMatrix(TensorType::kBF16, kOutputs, inputs_.Floats16(kCount, 0x7f, 0x3e80), &weights_[2]));
    for (size_t i = 0; i < QuantizedTypes().size(); ++i) {
      const WeightLayout& layout = QuantizedTypes()[i];
      KEDGE_RETURN_IF_ERROR(LoadMatrix(layout.type, kOutputs, inputs_.Blocks(layout, kCount), &weights_[3 + i]));
    }
    const WeightLayout& bytes = QuantizedTypes()[0];
    for (const auto& [outputs, matrix] :
         {std::pair{kColumns, &queries_}, {kKvColumns, &keys_}, {kKvColumns, &values_}}) {
      KEDGE_RETURN_IF_ERROR(
          LoadMatrix(bytes.type, outputs, inputs_.Blocks(bytes, size_t{1} * outputs * kColumns), matrix));
    }
    KEDGE_RETURN_IF_ERROR(LoadVector(inputs_.Floats(kColumns), &norm_));
    KEDGE_RETURN_IF_ERROR(LoadVector(inputs_.Floats(kHeadDim), &head_norm_));
    KEDGE_RETURN_IF_ERROR(LoadVector(inputs_.Floats(kOutputs), &bias_));
    KEDGE_RETURN_IF_ERROR(LoadVector(inputs_.Floats(kKvColumns), &key_shift_));
    KEDGE_RETURN_IF_ERROR(LoadVector(inputs_.Floats(kHeadDim / 2), &frequencies_));
    ops_.FinishLoading();
    for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kQ8, KvType::kK6V4}) {
      const RowShape shape{.layers = 1, .kv_heads = kKvHeads, .head_dim = kHeadDim, .type = type};
      KEDGE_ASSIGN_OR_RETURN(pages_.emplace_back(), ops_.NewPages(shape, 3));
      shapes_.push_back(shape);
    }
    x_ = ops_.NewActivations(kRows, kColumns);
    normed_ = ops_.NewActivations(kRows, kColumns);
    out_ = ops_.NewActivations(kRows, kColumns);
    narrow_ = ops_.NewActivations(kRows, kOutputs);
    gate_ = ops_.NewActivations(kRows, kOutputs);
    up_ = ops_.NewActivations(kRows, kOutputs);
    some_keys_ = ops_.NewActivations(kRows, kKvColumns);
    some_values_ = ops_.NewActivations(kRows, kKvColumns);
    return absl::OkStatus();
  }

  void Take(const void* data, size_t size) { bits_.append(static_cast<const char*>(data), size); }
  void Take(const Activations& x, int rows, int columns) {
    std::vector<float> values(size_t{1} * rows * columns);
    ops_.CopyToHost(rows, x, absl::MakeSpan(values));
    Take(values.data(), values.size() * sizeof(float));
  }

  // Each type's rows as they come out of a table, and its product with the same rows, all at once and the first alone:
  // backends have other loops for that.
  void Products(const WeightMatrix& weights, const StepView& step) {
    ops_.Embed(weights, step, *out_);
    Take(*out_, kRows, kColumns);
    ops_.Embed(*table_, step, *x_);
    ops_.AddNorm(kRows, nullptr, *x_, *norm_, kEpsilon, *normed_);
    ops_.MatMul(kRows, *normed_, {{&weights, narrow_.get(), bias_.get()}});
    Take(*narrow_, kRows, kOutputs);
    ops_.MatMul(1, *normed_, weights, *narrow_);
    Take(*narrow_, 1, kOutputs);
  }

  void Elementwise(const StepView& step) {
    ops_.Embed(*table_, step, *x_);
    ops_.AddNorm(kRows, nullptr, *x_, *norm_, kEpsilon, *normed_);
    Take(*normed_, kRows, kColumns);
    ops_.AddNorm(kRows, normed_.get(), *x_, *norm_, kEpsilon, *out_);
    Take(*x_, kRows, kColumns);
    ops_.Add(kRows, *normed_, *x_);
    Take(*x_, kRows, kColumns);
    ops_.GateUp(kRows, *out_, *weights_[3], *weights_[4], *gate_, *up_);
    Take(*gate_, kRows, kOutputs);
  }

  absl::Status Attention(PageMemory& pages, const StepView& step) {
    ops_.Embed(*table_, step, *x_);
    ops_.AddNorm(kRows, nullptr, *x_, *norm_, kEpsilon, *normed_);
    ops_.MatMul(kRows, *normed_,
                {{queries_.get(), x_.get()}, {keys_.get(), some_keys_.get()}, {values_.get(), some_values_.get()}});
    ops_.RmsNormHeads(kRows, kHeads, *head_norm_, kEpsilon, *x_);
    ops_.RopeAndWriteKv(step, 0, kHeads, kKvHeads, {kHeadDim, frequencies_.get(), 1.25f}, *x_, *some_keys_,
                        key_shift_.get(), *some_values_, pages);
    Take(*x_, kRows, kColumns);
    ops_.Attention(step, 0, kHeads, *x_, pages, *out_);
    Take(*out_, kRows, kColumns);
    if (&pages == pages_.back().get()) ops_.AttentionMass(step, 0, kHeads, *x_, pages);
    return absl::OkStatus();
  }

  // Logits, tokens and attention of the step, which ends with that, and the rows that it wrote.
  absl::Status Outputs(std::unique_ptr<StepView> step) {
    ops_.Gather(*step, 0, kWanting, *out_, *normed_);
    ops_.MatMul(kWanting, *normed_, *weights_[3], *narrow_);
    ops_.TakeOutputs(*step, 0, kWanting, *narrow_);
    const std::unique_ptr<PendingStep> pending = ops_.Finish(std::move(step));
    KEDGE_RETURN_IF_ERROR(pending->Wait());
    for (const StepOutcome::Output& output : pending->outcome().outputs) {
      if (output.token.has_value()) {
        Take(&*output.token, sizeof(uint32_t));
      } else {
        Take(output.logits.data(), output.logits.size() * sizeof(float));
      }
    }
    for (const absl::Span<const uint32_t> mass : pending->outcome().mass) {
      Take(mass.data(), mass.size() * sizeof(uint32_t));
    }
    for (size_t i = 0; i < pages_.size(); ++i) {
      std::vector<RowRef> rows;
      for (uint32_t row = 0; row < kRows; ++row) rows.push_back({row / kPageRows, row % kPageRows});
      for (uint32_t row = 0; row < kKept; ++row) rows.push_back({2, row});
      const RowBuffer buffer = ops_.NewRowBuffer(rows.size() * shapes_[i].row_bytes());
      KEDGE_RETURN_IF_ERROR(ops_.ReadRows(*pages_[i], rows, buffer)->Wait());
      Take(buffer.bytes.data(), buffer.bytes.size());
    }
    return absl::OkStatus();
  }

  Ops& ops_;
  const StepPlan plan_;
  Inputs inputs_;
  std::vector<std::vector<uint8_t>> bytes_;
  std::unique_ptr<WeightMatrix> table_, queries_, keys_, values_;
  std::vector<std::unique_ptr<WeightMatrix>> weights_;  // one of each type
  std::unique_ptr<WeightVector> norm_, head_norm_, bias_, key_shift_, frequencies_;
  std::vector<std::unique_ptr<PageMemory>> pages_;  // one of each type
  std::vector<RowShape> shapes_;                    // theirs
  std::unique_ptr<Activations> x_, normed_, out_, narrow_, gate_, up_, some_keys_, some_values_;
  std::string bits_;
};

}  // namespace

absl::StatusOr<std::string> SelfTest(Ops& ops) { return Run(ops).Hash(); }

absl::StatusOr<std::string> NumericsClass(const OpsOptions& options) {
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Ops> ops, CreateOps(options));
  KEDGE_ASSIGN_OR_RETURN(const std::string self_test, SelfTest(*ops));
  return absl::StrCat(ops->numerics_class(), ".", self_test);
}

}  // namespace kedge
