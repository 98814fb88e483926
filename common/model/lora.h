// LoRA adapters in GGUF files, and their merge into a base's weights.
//
// An adapter has general.type=adapter, adapter.type=lora, general.architecture, adapter.lora.alpha, and for each matrix
// NAME of the base that it changes the tensors NAME.lora_a, A [r, inputs], and NAME.lora_b, B [outputs, r]. It makes
// W' = W + (alpha / r) B A of the base's W [outputs, inputs]. Kedge's own keys, both optional:
//
//   kedge.anchor.policy   the policy that it was trained for
//   kedge.adapter.base    SHA-256 of the base's whole file, in lower-case hex
#ifndef KEDGE_COMMON_MODEL_LORA_H_
#define KEDGE_COMMON_MODEL_LORA_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/thread_pool.h"
#include "common/kernels/tensor_type.h"
#include "common/model/gguf.h"

namespace kedge {

// Thread-safe (immutable).
class LoraAdapter {
 public:
  // What changes one matrix. Both are of one type of F32 F16 BF16 Q8_0 each, and views of the file.
  struct Pair {
    const GgufTensor* a = nullptr;  // shape [inputs, r] in GGUF's order
    const GgufTensor* b = nullptr;  // shape [r, outputs]
    size_t rank() const { return a->shape[1]; }
  };

  // kInvalidArgument names the file and the key or tensor: no LoRA adapter, one half of a pair without the other, ranks
  // that differ, types that are not supported.
  static absl::StatusOr<std::shared_ptr<const LoraAdapter>> Create(std::shared_ptr<const GgufFile> file);

  // kFailedPrecondition names the file and the key or tensor for which it is none of this base's: architecture, digest,
  // a tensor that the base has not or has in another shape; kInvalidArgument: it changes the embedding. Hashes the base
  // where the adapter has a digest (remembered, see ModelFingerprint).
  absl::Status CheckFits(const GgufFile& base) const;

  const GgufFile& file() const { return *file_; }
  // By the name of the base's tensor.
  const std::map<std::string, Pair, std::less<>>& pairs() const { return pairs_; }
  float alpha() const { return alpha_; }
  size_t largest_rank() const;
  // "" where the file does not say.
  const std::string& policy() const { return policy_; }
  const std::string& base_digest() const { return base_digest_; }

  // Element type of the merged form of a base's matrix: F32 of an F32 one and where rows are no multiple of Q8_0's
  // block; else Q8_0.
  static TensorType MergedType(const GgufTensor& base);

  // The bytes of W' in MergedType. The float operations and their order are fixed, so every machine gets the same bits.
  // kInvalidArgument if a merged weight is not finite, or too large for Q8_0.
  // REQUIRES: CheckFits has accepted the base's file; pairs() has base.name.
  absl::StatusOr<std::vector<uint8_t>> Merge(const GgufTensor& base, ThreadPool& pool) const;

 private:
  explicit LoraAdapter(std::shared_ptr<const GgufFile> file) : file_(std::move(file)) {}
  absl::Status ReadMetadata();
  absl::Status ReadPairs();
  absl::Status KeyError(absl::string_view key, absl::string_view what) const;
  absl::Status TensorError(absl::string_view tensor, absl::string_view what) const;

  const std::shared_ptr<const GgufFile> file_;
  std::map<std::string, Pair, std::less<>> pairs_;
  float alpha_ = 0;
  std::string policy_;
  std::string base_digest_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_LORA_H_
