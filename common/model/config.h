// The shape of a model, read from a GGUF file's metadata and checked.
#ifndef KEDGE_COMMON_MODEL_CONFIG_H_
#define KEDGE_COMMON_MODEL_CONFIG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/kernels/head_ref.h"
#include "common/kernels/row_shape.h"
#include "common/model/gguf.h"
#include "common/model/rope.h"

namespace kedge {

// Architectures `llama`, `qwen2` and `qwen3` (dense). All counts are positive and consistent once LoadConfig has
// returned.
struct ModelConfig {
  std::string name;          // general.name, else the file's name without its ending
  std::string architecture;  // the first part of its keys
  int num_layers = 0;
  int hidden_size = 0;       // embedding length
  int ffn_size = 0;
  int num_heads = 0;         // query heads; a multiple of num_kv_heads
  int num_kv_heads = 0;
  int head_dim = 0;    // even, at least 8; attention.key_length, else hidden_size / num_heads
  int vocab_size = 0;  // rows of token_embd.weight
  int context_length = 0;
  float rms_epsilon = 1e-5f;
  RopeConfig rope;
  bool tied_output = false;     // no output.weight: the embedding serves as output
  bool has_biases = false;      // of queries, keys and values (qwen2)
  bool has_head_norms = false;  // of each head of queries and keys, before they are turned (qwen3)
  bool rope_halves = false;  // values i and i + rope.dim / 2 of a head turn together (qwen2, qwen3), not 2i and 2i + 1

  // Of its cache's rows, with elements of `type`.
  RowShape row_shape(KvType type) const {
    return {.layers = static_cast<uint32_t>(num_layers),
            .kv_heads = static_cast<uint32_t>(num_kv_heads),
            .head_dim = static_cast<uint32_t>(head_dim),
            .type = type};
  }
};

// Every query head of the model, by layer.
std::vector<HeadRef> AllHeads(const ModelConfig& config);

// Whether the file says that it is an adapter (of whatever kind) and no model.
bool IsAdapter(const GgufFile& file);

// Also checks that every tensor of the architecture exists with the shape that follows from the metadata and a type
// that Kedge reads: matrices F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K, norms and biases F32 F16 BF16,
// rope_freqs.weight [rope.dim / 2] F32. kInvalidArgument names the file and the key or tensor, and what is supported:
// an adapter, another architecture, an odd or too small head size, a rope scaling type other than none, linear and
// yarn, a key or tensor that would change the result and is not known here (other biases, experts, a sliding window).
absl::StatusOr<ModelConfig> LoadConfig(const GgufFile& file);

// SHA-256 over all bytes of the file (metadata, tensor table and data), in hex; of a split model, over those of its
// parts in hex, one after the other. It names a model's content in handshakes and in the hash chain. Remembered in
// `cache_dir` by path and FileMark, so that a file which was replaced or written to is hashed again, whatever its size
// and time (hashing is about 1 s per GB); where that can not be read or written, or is "", nothing is remembered;
// `notice`, where there is one, gets a line why it could not be written. The second form takes the user's cache
// directory, CacheDir()/fingerprints.
using Notice = std::function<void(const std::string&)>;
absl::StatusOr<std::string> ModelFingerprint(const GgufFile& file, const std::string& cache_dir,
                                             const Notice& notice = nullptr);
absl::StatusOr<std::string> ModelFingerprint(const GgufFile& file, const Notice& notice = nullptr);

// Whether `text` is 64 lower-case hex digits.
bool IsFingerprint(absl::string_view text);

// SHA-256 over two fingerprints as they stand, one after the other.
absl::StatusOr<std::string> CombinedFingerprint(const std::string& first, const std::string& second);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_CONFIG_H_
