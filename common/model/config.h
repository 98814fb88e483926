// The shape of a model, read from a GGUF file's metadata and checked.
#ifndef KEDGE_COMMON_MODEL_CONFIG_H_
#define KEDGE_COMMON_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/gguf.h"

namespace kedge {

// Architecture `llama`. All counts are positive and consistent once LoadConfig has returned.
struct ModelConfig {
  std::string name;          // general.name, else the file's name without its ending
  int num_layers = 0;
  int hidden_size = 0;       // embedding length
  int ffn_size = 0;
  int num_heads = 0;         // query heads; a multiple of num_kv_heads
  int num_kv_heads = 0;
  int head_dim = 0;          // even, at least 8; llama.attention.key_length, else hidden_size / num_heads
  int rope_dim = 0;          // llama.rope.dimension_count; even, at most head_dim
  int vocab_size = 0;        // rows of token_embd.weight
  int context_length = 0;
  float rms_epsilon = 1e-5f;
  double rope_freq_base = 10000.0;
  bool tied_output = false;  // no output.weight: the embedding serves as output
};

// kInvalidArgument names the file and the key or tensor, and what is supported: another architecture than `llama`,
// an odd or too small head size, a rope scaling type that is not `none` (factors come as tensor rope_freqs.weight).
absl::StatusOr<ModelConfig> LoadConfig(const GgufFile& file);

// SHA-256 over the file's metadata, tensor table and data, in hex. It names a model's content in handshakes and in the
// hash chain. Remembered in the cache directory by path, size and modification time (hashing is about 1 s per GB).
absl::StatusOr<std::string> ModelFingerprint(const GgufFile& file);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_CONFIG_H_
