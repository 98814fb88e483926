// A model of random weights in the shape of a real one, made in memory in seconds: for speed, which does not depend on
// what the weights say.
#ifndef KEDGE_TESTS_GPU_CHECK_RANDOM_MODEL_H_
#define KEDGE_TESTS_GPU_CHECK_RANDOM_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/kernels/tensor_type.h"
#include "common/model/gguf.h"

namespace kedge {

struct ModelShape {
  std::string architecture;  // llama, or qwen2 with its biases
  int layers;
  int hidden;
  int heads;
  int kv_heads;
  int head_dim;
  int ffn;
  int vocab;
  float rope_base;
  bool tied;
};

// "8B": Llama 3.1 8B. "0.5B": Qwen2.5 0.5B. kInvalidArgument lists the names.
absl::StatusOr<ModelShape> ShapeNamed(absl::string_view name);

// Owns the bytes.
class RandomModel {
 public:
  // All matrices are of `type`, Q8_0 or Q4_K; where rows have no whole blocks of Q4_K they are of Q5_0, as llama.cpp
  // does it. The weights are scaled so that numbers stay finite and logits spread over a few nats.
  static absl::StatusOr<RandomModel> Make(const ModelShape& shape, TensorType type, int threads);

  // Valid as long as this lives.
  const std::shared_ptr<const GgufFile>& file() const { return file_; }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  std::shared_ptr<const GgufFile> file_;
};

}  // namespace kedge

#endif  // KEDGE_TESTS_GPU_CHECK_RANDOM_MODEL_H_
