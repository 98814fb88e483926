// First what the adapter's file says by itself, then whether that fits a base, then arithmetic that can rely on both.
// A row of W' is computed by itself: the base's row as floats, plus scale times the sum over the rank in ascending
// order, then encoded. Sums are kept for 32 columns at a time, so that they stay in registers; no order of operations
// depends on that or on the threads.
//
// Tested by lora_test.cc and lora_fuzzer.cc.
#include "common/model/lora.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/kernels/dequantize.h"
#include "common/kernels/quantize.h"
#include "common/model/config.h"

namespace kedge {
namespace {

constexpr TensorType kPairTypes[] = {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0};
constexpr size_t kTile = 32;

std::string ShapeText(const GgufTensor& tensor) { return absl::StrCat("[", absl::StrJoin(tensor.shape, ", "), "]"); }

std::vector<float> Floats(const GgufTensor& tensor) {
  std::vector<float> values(tensor.shape[0] * tensor.shape[1]);
  DequantizeWeights(tensor.type, tensor.data, absl::MakeSpan(values));
  return values;
}

// row[j] += scale * (b[0] a[0, j] + b[1] a[1, j] + ...). a: [rank, row.size()].
void AddProduct(absl::Span<const float> a, absl::Span<const float> b, float scale, absl::Span<float> row) {
  const size_t inputs = row.size();
  size_t column = 0;
  for (; column + kTile <= inputs; column += kTile) {
    float sums[kTile] = {};
    for (size_t k = 0; k < b.size(); ++k) {
      const float weight = b[k];
      const float* from = &a[k * inputs + column];
      for (size_t j = 0; j < kTile; ++j) sums[j] += weight * from[j];
    }
    float* to = &row[column];
    for (size_t j = 0; j < kTile; ++j) to[j] += scale * sums[j];
  }
  for (; column < inputs; ++column) {
    float sum = 0;
    for (size_t k = 0; k < b.size(); ++k) sum += b[k] * a[k * inputs + column];
    row[column] += scale * sum;
  }
}

// Whether every value can be written.
bool Encode(TensorType type, absl::Span<const float> values, absl::Span<uint8_t> out) {
  if (type == TensorType::kQ8_0) return QuantizeQ8(values, out);
  std::memcpy(out.data(), values.data(), out.size());
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

absl::Status LoraAdapter::KeyError(absl::string_view key, absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(file_->name(), ": key '", key, "': ", what));
}

absl::Status LoraAdapter::TensorError(absl::string_view tensor, absl::string_view what) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file_->name(), ": tensor '", absl::CHexEscape(tensor.substr(0, 100)), "': ", what));
}

absl::StatusOr<std::shared_ptr<const LoraAdapter>> LoraAdapter::Create(std::shared_ptr<const GgufFile> file) {
  std::shared_ptr<LoraAdapter> adapter(new LoraAdapter(std::move(file)));
  KEDGE_RETURN_IF_ERROR(adapter->ReadMetadata());
  KEDGE_RETURN_IF_ERROR(adapter->ReadPairs());
  return adapter;
}

absl::Status LoraAdapter::ReadMetadata() {
  if (!IsAdapter(*file_)) {
    return KeyError("general.type", "must be 'adapter': this is no adapter (a whole model is given with --model)");
  }
  constexpr absl::string_view kType = "adapter.type";
  const std::string type = file_->GetString(kType).value_or("");
  if (type != "lora") {
    return KeyError(kType, absl::StrCat("'", absl::CHexEscape(type), "' is not supported; supported: lora"));
  }
  constexpr absl::string_view kAlpha = "adapter.lora.alpha";
  if (file_->Has(kAlpha)) {
    KEDGE_ASSIGN_OR_RETURN(const double alpha, file_->GetFloat(kAlpha));
    if (!(std::fabs(alpha) <= std::numeric_limits<float>::max())) {
      return KeyError(kAlpha, absl::StrCat("must be finite, found ", alpha));
    }
    alpha_ = static_cast<float>(alpha);
  }
  constexpr absl::string_view kPolicy = "kedge.anchor.policy";
  if (file_->Has(kPolicy)) {
    KEDGE_ASSIGN_OR_RETURN(policy_, file_->GetString(kPolicy));
  }
  constexpr absl::string_view kBase = "kedge.adapter.base";
  if (file_->Has(kBase)) {
    KEDGE_ASSIGN_OR_RETURN(base_digest_, file_->GetString(kBase));
    if (!IsFingerprint(base_digest_)) return KeyError(kBase, "must be a SHA-256 in 64 lower-case hex digits");
  }
  return absl::OkStatus();
}

absl::Status LoraAdapter::ReadPairs() {
  for (const GgufTensor& tensor : file_->tensors()) {
    absl::string_view name = tensor.name;
    const bool is_a = absl::ConsumeSuffix(&name, ".lora_a");
    if (!is_a && !absl::ConsumeSuffix(&name, ".lora_b")) {
      return TensorError(tensor.name, "is no part of a LoRA adapter: names end with .lora_a or .lora_b");
    }
    if (std::count(std::begin(kPairTypes), std::end(kPairTypes), tensor.type) == 0) {
      return TensorError(tensor.name, absl::StrCat("found ", TensorTypeName(tensor.type),
                                                   "; supported in adapters: F32 F16 BF16 Q8_0"));
    }
    if (tensor.shape.size() != 2) {
      return TensorError(tensor.name, absl::StrCat("found shape ", ShapeText(tensor), ", must have 2 dimensions"));
    }
    Pair& pair = pairs_[std::string(name)];
    (is_a ? pair.a : pair.b) = &tensor;
  }
  if (pairs_.empty()) return absl::InvalidArgumentError(absl::StrCat(file_->name(), ": the adapter has no tensors"));
  for (const auto& [name, pair] : pairs_) {
    if (pair.a == nullptr) return TensorError(name + ".lora_b", "there is no .lora_a to it");
    if (pair.b == nullptr) return TensorError(name + ".lora_a", "there is no .lora_b to it");
    if (pair.a->shape[1] != pair.b->shape[0]) {
      return TensorError(pair.b->name, absl::StrCat("found shape ", ShapeText(*pair.b), ", must begin with the rank ",
                                                    pair.rank(), " of .lora_a ", ShapeText(*pair.a)));
    }
  }
  return absl::OkStatus();
}

absl::Status LoraAdapter::CheckFits(const GgufFile& base) const {
  const auto other_base = [](const absl::Status& why) {
    return absl::FailedPreconditionError(absl::StrCat(why.message(), "; this adapter is for another base"));
  };
  constexpr absl::string_view kArchitecture = "general.architecture";
  const std::string architecture = file_->GetString(kArchitecture).value_or("");
  const std::string wanted = base.GetString(kArchitecture).value_or("");
  if (architecture != wanted) {
    return other_base(KeyError(kArchitecture, absl::StrCat("found '", absl::CHexEscape(architecture),
                                                           "', the base's is '", absl::CHexEscape(wanted), "'")));
  }
  for (const auto& [name, pair] : pairs_) {
    // Tools do not agree on what a LoRA of the embedding is (A and B change places in some), nor on whether it changes
    // the output as well where the two are one matrix.
    if (name == "token_embd.weight") return TensorError(pair.a->name, "the embedding can not be adapted");
    const GgufTensor* tensor = base.FindTensor(name);
    if (tensor == nullptr) {
      return other_base(TensorError(pair.a->name, absl::StrCat(base.name(), " has no tensor of this name")));
    }
    const std::string of_base =
        absl::StrCat("the base's is ", ShapeText(*tensor), " of ", TensorTypeName(tensor->type));
    if (tensor->shape.size() != 2 || !IsSupported(tensor->type)) {
      return other_base(TensorError(pair.a->name, absl::StrCat("changes no matrix of a supported type: ", of_base)));
    }
    if (pair.a->shape[0] != tensor->shape[0]) {
      return other_base(TensorError(pair.a->name, absl::StrCat("found shape ", ShapeText(*pair.a), ", must begin with ",
                                                               tensor->shape[0], ": ", of_base)));
    }
    if (pair.b->shape[1] != tensor->shape[1]) {
      return other_base(TensorError(pair.b->name, absl::StrCat("found shape ", ShapeText(*pair.b), ", must end with ",
                                                               tensor->shape[1], ": ", of_base)));
    }
  }
  if (base_digest_.empty()) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(const std::string digest, ModelFingerprint(base));
  if (digest == base_digest_) return absl::OkStatus();
  return other_base(
      KeyError("kedge.adapter.base", absl::StrCat(base_digest_, ", but ", base.name(), " has SHA-256 ", digest)));
}

size_t LoraAdapter::largest_rank() const {
  size_t largest = 0;
  for (const auto& [name, pair] : pairs_) largest = std::max(largest, pair.rank());
  return largest;
}

TensorType LoraAdapter::MergedType(const GgufTensor& base) {
  const bool has_blocks = base.shape[0] % BlockSize(TensorType::kQ8_0) == 0;
  return base.type == TensorType::kF32 || !has_blocks ? TensorType::kF32 : TensorType::kQ8_0;
}

absl::StatusOr<std::vector<uint8_t>> LoraAdapter::Merge(const GgufTensor& base, ThreadPool& pool) const {
  const auto found = pairs_.find(base.name);
  KEDGE_CHECK(found != pairs_.end());
  const Pair& pair = found->second;
  const size_t inputs = base.shape[0];
  const size_t outputs = base.shape[1];
  const size_t rank = pair.rank();
  const std::vector<float> a = Floats(*pair.a);  // [rank, inputs]
  const std::vector<float> b = Floats(*pair.b);  // [outputs, rank]
  // As in llama.cpp, alpha 0 (and none) means a scale of 1, whatever the rank.
  const float scale = alpha_ == 0 ? 1 : alpha_ / static_cast<float>(rank);

  const TensorType type = MergedType(base);
  const size_t base_row_bytes = TensorBytes(base.type, inputs);
  const size_t row_bytes = TensorBytes(type, inputs);
  std::vector<uint8_t> merged(outputs * row_bytes);
  std::atomic<bool> all_fit{true};
  pool.ParallelFor(static_cast<int>(outputs), 1, [&](int begin, int end) {
    std::vector<float> row(inputs);
    for (size_t output = begin; output < static_cast<size_t>(end); ++output) {
      DequantizeWeights(base.type, base.data.subspan(output * base_row_bytes, base_row_bytes), absl::MakeSpan(row));
      AddProduct(a, absl::MakeConstSpan(b).subspan(output * rank, rank), scale, absl::MakeSpan(row));
      if (!Encode(type, row, absl::MakeSpan(merged).subspan(output * row_bytes, row_bytes))) all_fit = false;
    }
  });
  if (all_fit) return merged;
  return TensorError(pair.a->name, absl::StrCat("a merged weight is not finite, or too large for ",
                                                TensorTypeName(type)));
}

}  // namespace kedge
