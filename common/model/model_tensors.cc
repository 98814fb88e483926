// Both directions count: a missing tensor is an error, and so is an unknown one, because a bias or an expert that is
// silently left out gives another model's text. Only what is known to be redundant is ignored.
//
// Tested by config_test.cc and gguf_fuzzer.cc.
#include "common/model/model_tensors.h"

#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/status.h"

namespace kedge {
namespace {

constexpr TensorType kMatrixTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                       TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                       TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
constexpr TensorType kVectorTypes[] = {TensorType::kF32, TensorType::kF16, TensorType::kBF16};
constexpr absl::string_view kSupported =
    "supported: llama; qwen2, with biases of queries, keys and values; qwen3, with norms of the heads of queries and "
    "keys; no experts, no adapters";
constexpr TensorType kF32Only[] = {TensorType::kF32};

std::string ShapeText(absl::Span<const uint64_t> shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

// Compares the tensors that it is asked for with the file's, and remembers which ones were asked for.
class TensorChecker {
 public:
  explicit TensorChecker(const GgufFile& file) : file_(file) {}

  absl::Status Expect(const std::string& name, absl::Span<const uint64_t> shape, absl::Span<const TensorType> types) {
    known_.insert(name);
    const GgufTensor* tensor = file_.FindTensor(name);
    if (tensor == nullptr) {
      return TensorError(file_, name, absl::StrCat("missing; must be ", ShapeText(shape), " of ", TypesText(types)));
    }
    if (shape != absl::MakeConstSpan(tensor->shape)) {
      return TensorError(file_, name,
                         absl::StrCat("found shape ", ShapeText(tensor->shape), ", must be ", ShapeText(shape)));
    }
    for (TensorType type : types) {
      if (type == tensor->type) return absl::OkStatus();
    }
    return TensorError(file_, name,
                       absl::StrCat("found ", TensorTypeName(tensor->type), "; supported: ", TypesText(types)));
  }

  absl::Status ExpectMatrix(const std::string& name, int64_t columns, int64_t rows) {
    return Expect(name, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)}, kMatrixTypes);
  }

  absl::Status ExpectVector(const std::string& name, int64_t size) {
    return Expect(name, {static_cast<uint64_t>(size)}, kVectorTypes);
  }

  // The error for a tensor that nobody asked for.
  absl::Status ExpectNoOthers(absl::string_view architecture) const {
    for (const GgufTensor& tensor : file_.tensors()) {
      // Old converters stored the rotary frequencies, which follow from rope.freq_base.
      if (known_.count(tensor.name) > 0 || absl::EndsWith(tensor.name, ".attn_rot_embd.inv_freq")) continue;
      return TensorError(
          file_, absl::CHexEscape(tensor.name),
          absl::StrCat("not part of architecture '", architecture,
                       "' as it is supported, and leaving it out would change the result; ", kSupported));
    }
    return absl::OkStatus();
  }

 private:
  static std::string TypesText(absl::Span<const TensorType> types) {
    return absl::StrJoin(types, " ",
                         [](std::string* out, TensorType type) { absl::StrAppend(out, TensorTypeName(type)); });
  }

  const GgufFile& file_;
  std::set<std::string> known_;
};

absl::Status CheckRopeFactors(const GgufFile& file, const ModelConfig& config, TensorChecker& checker) {
  constexpr absl::string_view kName = "rope_freqs.weight";
  const GgufTensor* tensor = file.FindTensor(kName);
  if (tensor == nullptr) return absl::OkStatus();
  KEDGE_RETURN_IF_ERROR(checker.Expect(std::string(kName), {static_cast<uint64_t>(config.rope.dim / 2)}, kF32Only));
  for (size_t i = 0; i < tensor->shape[0]; ++i) {
    float factor;
    std::memcpy(&factor, tensor->data.data() + i * sizeof(float), sizeof(float));
    if (!(factor > 0) || !std::isfinite(factor)) {
      return TensorError(file, kName, absl::StrCat("factor ", i, " is ", factor, ", must be positive and finite"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTensors(const GgufFile& file, const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t query_width = int64_t{config.num_heads} * config.head_dim;
  const int64_t kv_width = int64_t{config.num_kv_heads} * config.head_dim;
  TensorChecker checker(file);
  KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix("token_embd.weight", hidden, config.vocab_size));
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = absl::StrCat("blk.", layer, ".");
    KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "attn_norm.weight", hidden));
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "attn_q.weight", hidden, query_width));
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "attn_k.weight", hidden, kv_width));
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "attn_v.weight", hidden, kv_width));
    if (config.has_biases) {
      KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "attn_q.bias", query_width));
      KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "attn_k.bias", kv_width));
      KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "attn_v.bias", kv_width));
    }
    if (config.has_head_norms) {
      KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "attn_q_norm.weight", config.head_dim));
      KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "attn_k_norm.weight", config.head_dim));
    }
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "attn_output.weight", query_width, hidden));
    KEDGE_RETURN_IF_ERROR(checker.ExpectVector(prefix + "ffn_norm.weight", hidden));
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "ffn_gate.weight", hidden, config.ffn_size));
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "ffn_up.weight", hidden, config.ffn_size));
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix(prefix + "ffn_down.weight", config.ffn_size, hidden));
  }
  KEDGE_RETURN_IF_ERROR(checker.ExpectVector("output_norm.weight", hidden));
  if (!config.tied_output) {
    KEDGE_RETURN_IF_ERROR(checker.ExpectMatrix("output.weight", hidden, config.vocab_size));
  }
  KEDGE_RETURN_IF_ERROR(CheckRopeFactors(file, config, checker));
  return checker.ExpectNoOthers(config.architecture);
}

}  // namespace kedge
