// Small random models for tests: whole GGUF files with configuration, weights, a byte-level BPE vocabulary and the
// ChatML template, so that every layer of Kedge can be run on them in milliseconds.
#ifndef KEDGE_COMMON_TESTING_TINY_MODEL_H_
#define KEDGE_COMMON_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/kernels/tensor_type.h"

namespace kedge {

// The same options give the same bytes on every machine.
struct TinyModelOptions {
  uint32_t seed = 1;
  int layers = 2;
  // With a quantised type hidden, heads * head_dim and ffn must be multiples of 32; with F32, F16 and BF16 any width
  // works.
  int hidden = 64;
  int heads = 4;  // a multiple of kv_heads
  int kv_heads = 2;
  int head_dim = 16;  // even, at least 8
  int ffn = 96;
  int context = 512;
  TensorType weight_type = TensorType::kF32;  // all matrices but the embedding; norms are always F32
  TensorType embedding_type = TensorType::kF32;
  bool tied = true;           // false: a matrix output.weight of its own, of weight_type
  bool rope_factors = false;  // true: tensor rope_freqs.weight with random factors from 1 to 8
  double rope_freq_base = 10000;
  // Or qwen2, with biases of queries, keys and values; or qwen3, with norms of heads. These turn heads in halves.
  std::string architecture = "llama";
  // rope.scaling.type; "": none of its keys. Otherwise by 4, with a YaRN whose blend is within such a small head.
  std::string rope_scaling;
  bool chat_template = true;
  std::string policy;  // kedge.anchor.policy; "": none
  // --- Damage ---
  float value_gain = 1;                   // 1e6: values that f16 does not hold
  std::optional<uint32_t> nan_embedding;  // a token whose embedding is no number; only with `tied = false`
  std::optional<uint32_t> nan_output;     // a token whose logits are no numbers; only with `tied = false`
};

// Rows of the embedding and length of the token list: 17 control tokens (0 to 16, the names and ids of SmolLM2:
// 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|>), 256 single bytes from kTinyFirstByteToken on in GPT-2's order ('!' is
// the first), and 79 merges.
inline constexpr int kTinyVocabularySize = 352;
inline constexpr int kTinyFirstByteToken = 17;

// Returns the bytes of a GGUF file. The weights are scaled so that greedy text is neither constant nor independent of
// what the prompt said long ago: logits spread over a few nats, and attention is peaked.
// REQUIRES: options as commented above.
std::string MakeTinyModel(const TinyModelOptions& options);

// Writes them to `path`.
absl::Status WriteTinyModel(const TinyModelOptions& options, const std::string& path);

// A random LoRA adapter for such a model: it changes attn_q, attn_output and ffn_down of every layer.
struct TinyAdapterOptions {
  uint32_t seed = 1;
  int rank = 3;
  float alpha = 6;                     // 0: no key
  TensorType type = TensorType::kF32;  // with Q8_0, `rank` and the model's widths must be multiples of 32
  std::string policy;                  // kedge.anchor.policy; "": none
  std::string base_digest;             // kedge.adapter.base; "": none
};

// Returns the bytes of a GGUF file. With alpha = 2 * rank the change is about as large as the weights, so the text
// differs from the base's.
std::string MakeTinyAdapter(const TinyModelOptions& base, const TinyAdapterOptions& options);

}  // namespace kedge

#endif  // KEDGE_COMMON_TESTING_TINY_MODEL_H_
