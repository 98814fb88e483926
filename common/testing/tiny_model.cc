// Random weights come from one std::mt19937_64, whose output the standard fixes, and from a normal-like distribution
// made with exact float arithmetic only (std::normal_distribution differs between libraries).
//
// Two choices keep the text of such a random model interesting. Queries are larger than usual, so that attention picks
// few rows and their influence does not average out. And the output norm has weights of both signs: with a tied
// embedding and positive ones the largest logit would always be that of the token just read.
//
// Tested by tiny_model_test.cc.
#include "common/testing/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/testing/gguf_writer.h"

namespace kedge {
namespace {

constexpr absl::string_view kControlTokens[] = {
    "<|endoftext|>",  "<|im_start|>",   "<|im_end|>",       "<repo_name>",      "<reponame>",     "<file_sep>",
    "<filename>",     "<gh_stars>",     "<issue_start>",    "<issue_comment>",  "<issue_closed>", "<jupyter_start>",
    "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>"};
static_assert(std::size(kControlTokens) == kTinyFirstByteToken);

// In order of rank. "Ġ" stands for a space and "Ċ" for a line feed, "Ã ©" are the two bytes of "é".
constexpr absl::string_view kMerges[] = {
    "Ġ t",   "Ġ a",  "i n",  "h e",  "r e",  "o n",     "e r",        "Ġt he", "a t",    "Ġ s",   "Ġ o",     "e n",
    "Ġ c",   "e s",  "Ġ w",  "n d",  "i t",  "o r",     "i s",        "a l",   "Ġ p",    "in g",  "Ġ f",     "a n",
    "e d",   "Ġ b",  "o u",  "Ġ in", "Ġo f", "Ġ m",     "Ġa nd",      "i on",  "Ġ d",    "Ġt o",  "l e",     "a r",
    "s t",   "a s",  "as s", "is t", "an t", "ass ist", "assist ant", "s y",   "e m",    "sy st", "syst em", "u s",
    "us er", ". Ċ",  "Ċ Ċ",  ". .",  "! !",  ". \"",    "Ġ h",        "Ġ I",   "Ġ (",    ", Ċ",   "w h",     "Ġw h",
    "Ġw as", "Ġ is", "v e",  "l l",  "o m",  "c h",     "t h",        "Ġt h",  "Ġth at", "Ġf or", "Ġ on",    "i d",
    "u r",   "Ġ n",  "o t",  "q u",  "Ġ Ġ",  "Ã ©",     "' s"};
static_assert(kTinyFirstByteToken + 256 + std::size(kMerges) == kTinyVocabularySize);

// What the default model, SmolLM2-135M-Instruct, carries.
constexpr absl::string_view kChatMl =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n"
    "' + message['content'] + '<|im_end|>' + '\n"
    "'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
    "' }}{% endif %}";

std::string Utf8(int code_point) {  // below 0x800
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3f))};
}

// GPT-2's spelling of the 256 bytes: printable Latin-1 characters first, as themselves; then the others, as the
// characters from U+0100 on.
std::vector<std::string> ByteTokens() {
  auto printable = [](int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; };
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    if (printable(byte)) tokens.push_back(Utf8(byte));
  }
  for (int other = 0; tokens.size() < 256; ++other) tokens.push_back(Utf8(256 + other));
  return tokens;
}

void SetVocabulary(GgufWriter& writer) {
  constexpr int32_t kNormal = 1;
  constexpr int32_t kControl = 3;
  std::vector<std::string> tokens;
  std::vector<int32_t> types(std::size(kControlTokens), kControl);
  std::vector<std::string> merges;
  for (absl::string_view token : kControlTokens) tokens.push_back(std::string(token));
  for (std::string& token : ByteTokens()) tokens.push_back(std::move(token));
  for (absl::string_view merge : kMerges) {
    const size_t space = merge.find(' ');
    tokens.push_back(absl::StrCat(merge.substr(0, space), merge.substr(space + 1)));
    merges.push_back(std::string(merge));
  }
  types.resize(tokens.size(), kNormal);
  writer.SetString("tokenizer.ggml.model", "gpt2");
  writer.SetString("tokenizer.ggml.pre", "smollm");
  writer.SetStrings("tokenizer.ggml.tokens", tokens);
  writer.SetInt32s("tokenizer.ggml.token_type", types);
  writer.SetStrings("tokenizer.ggml.merges", merges);
  writer.SetUint32("tokenizer.ggml.bos_token_id", 1);
  writer.SetUint32("tokenizer.ggml.eos_token_id", 2);
  writer.SetUint32("tokenizer.ggml.unknown_token_id", 0);
  writer.SetUint32("tokenizer.ggml.padding_token_id", 2);
  writer.SetBool("tokenizer.ggml.add_space_prefix", false);
  writer.SetBool("tokenizer.ggml.add_bos_token", false);
}

class RandomFloats {
 public:
  explicit RandomFloats(uint32_t seed) : engine_(seed) {}

  // Mean 0, standard deviation 1: the sum of four uniform 16-bit numbers, which is exact.
  float Normal() {
    const uint64_t bits = engine_();
    int sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<int>(bits >> 16 * i & 0xffff) - 32768;
    return static_cast<float>(sum) * (1.7320508f / 65536);
  }

  // From 0 to below 1.
  float Uniform() { return static_cast<float>(engine_() >> 40) * 0x1p-24f; }

  bool Coin() { return engine_() >> 63 != 0; }

 private:
  std::mt19937_64 engine_;
};

// Adds random tensors to a file.
class WeightMaker {
 public:
  WeightMaker(uint32_t seed, GgufWriter* writer) : random_(seed), writer_(writer) {}

  // [rows, columns], where a row makes one output of `columns` inputs: deviation gain / sqrt(columns) keeps an input
  // of deviation 1 at deviation `gain`.
  void Matrix(absl::string_view name, TensorType type, int rows, int columns, float gain,
              std::optional<uint32_t> nan_row = std::nullopt) {
    const float deviation = gain / std::sqrt(static_cast<float>(columns));
    std::vector<float> values(static_cast<size_t>(rows) * columns);
    for (float& value : values) value = random_.Normal() * deviation;
    if (nan_row.has_value()) std::fill_n(values.begin() + size_t{*nan_row} * columns, columns, NAN);
    KEDGE_CHECK(columns % BlockSize(type) == 0);
    writer_->AddTensor(name, type, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)},
                       Quantize(type, values));
  }

  // Around `scale`; of both signs with `signs`.
  void Norm(absl::string_view name, int size, float scale, bool signs) {
    std::vector<float> values(size);
    for (float& value : values) value = (0.75f + 0.5f * random_.Uniform()) * (signs && random_.Coin() ? -scale : scale);
    writer_->AddTensor(name, TensorType::kF32, {static_cast<uint64_t>(size)}, Quantize(TensorType::kF32, values));
  }

  void Bias(absl::string_view name, int size) {
    std::vector<float> values(size);
    for (float& value : values) value = random_.Normal();
    writer_->AddTensor(name, TensorType::kF32, {static_cast<uint64_t>(size)}, Quantize(TensorType::kF32, values));
  }

  void RopeFactors(int size) {
    std::vector<float> values(size);
    for (float& value : values) value = 1.0f + 7.0f * random_.Uniform();
    writer_->AddTensor("rope_freqs.weight", TensorType::kF32, {static_cast<uint64_t>(size)},
                       Quantize(TensorType::kF32, values));
  }

 private:
  RandomFloats random_;
  GgufWriter* writer_;
};

void SetConfiguration(const TinyModelOptions& options, GgufWriter& writer) {
  const std::string& architecture = options.architecture;
  writer.SetString("general.architecture", architecture);
  writer.SetString("general.name", absl::StrCat("tiny-", options.seed));
  writer.SetUint32(architecture + ".block_count", options.layers);
  writer.SetUint32(architecture + ".context_length", options.context);
  writer.SetUint32(architecture + ".embedding_length", options.hidden);
  writer.SetUint32(architecture + ".feed_forward_length", options.ffn);
  writer.SetUint32(architecture + ".attention.head_count", options.heads);
  writer.SetUint32(architecture + ".attention.head_count_kv", options.kv_heads);
  writer.SetUint32(architecture + ".attention.key_length", options.head_dim);
  writer.SetUint32(architecture + ".attention.value_length", options.head_dim);
  writer.SetFloat32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
  writer.SetFloat32(architecture + ".rope.freq_base", static_cast<float>(options.rope_freq_base));
  writer.SetUint32(architecture + ".rope.dimension_count", options.head_dim);
  writer.SetUint32(architecture + ".vocab_size", kTinyVocabularySize);
  if (options.rope_scaling.empty()) return;
  writer.SetString(architecture + ".rope.scaling.type", options.rope_scaling);
  writer.SetFloat32(architecture + ".rope.scaling.factor", 4);
  writer.SetUint32(architecture + ".rope.scaling.original_context_length", options.context / 4);
}

void AddWeights(const TinyModelOptions& options, GgufWriter& writer) {
  const TensorType type = options.weight_type;
  const int query_width = options.heads * options.head_dim;
  const int kv_width = options.kv_heads * options.head_dim;
  const float root_hidden = std::sqrt(static_cast<float>(options.hidden));
  WeightMaker weights(options.seed, &writer);
  weights.Matrix("token_embd.weight", options.embedding_type, kTinyVocabularySize, options.hidden, root_hidden,
                 options.nan_embedding);
  for (int layer = 0; layer < options.layers; ++layer) {
    const std::string prefix = absl::StrCat("blk.", layer, ".");
    weights.Norm(prefix + "attn_norm.weight", options.hidden, 1.0f, false);
    weights.Matrix(prefix + "attn_q.weight", type, query_width, options.hidden, 2.0f);
    weights.Matrix(prefix + "attn_k.weight", type, kv_width, options.hidden, 1.0f);
    weights.Matrix(prefix + "attn_v.weight", type, kv_width, options.hidden, options.value_gain);
    if (options.architecture == "qwen2") {
      weights.Bias(prefix + "attn_q.bias", query_width);
      weights.Bias(prefix + "attn_k.bias", kv_width);
      weights.Bias(prefix + "attn_v.bias", kv_width);
    }
    if (options.architecture == "qwen3") {
      // After a norm a head's values have deviation 1, before it those of queries have 2: hence the scale.
      weights.Norm(prefix + "attn_q_norm.weight", options.head_dim, 2.0f, true);
      weights.Norm(prefix + "attn_k_norm.weight", options.head_dim, 1.0f, true);
    }
    weights.Matrix(prefix + "attn_output.weight", type, options.hidden, query_width, 1.5f);
    weights.Norm(prefix + "ffn_norm.weight", options.hidden, 1.0f, false);
    weights.Matrix(prefix + "ffn_gate.weight", type, options.ffn, options.hidden, 1.0f);
    weights.Matrix(prefix + "ffn_up.weight", type, options.ffn, options.hidden, 1.0f);
    weights.Matrix(prefix + "ffn_down.weight", type, options.hidden, options.ffn, 1.5f);
  }
  // Logits of deviation 2.5: the embedding's deviation is 1, so is that of the normalised input.
  weights.Norm("output_norm.weight", options.hidden, 2.5f / root_hidden, true);
  if (!options.tied) {
    weights.Matrix("output.weight", type, kTinyVocabularySize, options.hidden, root_hidden, options.nan_output);
  }
  if (options.rope_factors) weights.RopeFactors(options.head_dim / 2);
}

// A of gain 1 and B of gain 1/2 make a product of deviation 1/2 for an input of deviation 1; alpha / rank comes on top.
void AddPair(WeightMaker& weights, const std::string& name, const TinyAdapterOptions& options, int rows, int columns) {
  weights.Matrix(name + ".lora_a", options.type, options.rank, columns, 1.0f);
  weights.Matrix(name + ".lora_b", options.type, rows, options.rank, 0.5f);
}

}  // namespace

std::string MakeTinyAdapter(const TinyModelOptions& base, const TinyAdapterOptions& options) {
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetString("general.type", "adapter");
  writer.SetString("adapter.type", "lora");
  if (options.alpha != 0) writer.SetFloat32("adapter.lora.alpha", options.alpha);
  if (!options.policy.empty()) writer.SetString("kedge.anchor.policy", options.policy);
  if (!options.base_digest.empty()) writer.SetString("kedge.adapter.base", options.base_digest);
  WeightMaker weights(options.seed, &writer);
  const int query_width = base.heads * base.head_dim;
  for (int layer = 0; layer < base.layers; ++layer) {
    const std::string prefix = absl::StrCat("blk.", layer, ".");
    AddPair(weights, prefix + "attn_q.weight", options, query_width, base.hidden);
    AddPair(weights, prefix + "attn_output.weight", options, base.hidden, query_width);
    AddPair(weights, prefix + "ffn_down.weight", options, base.hidden, base.ffn);
  }
  return writer.Finish();
}

std::string MakeTinyModel(const TinyModelOptions& options) {
  KEDGE_CHECK(options.layers > 0 && options.hidden > 0 && options.ffn > 0 && options.context > 0);
  KEDGE_CHECK(options.kv_heads > 0 && options.heads > 0 && options.heads % options.kv_heads == 0);
  KEDGE_CHECK(options.head_dim >= 8 && options.head_dim % 2 == 0);
  KEDGE_CHECK(!options.tied || !(options.nan_embedding.has_value() || options.nan_output.has_value()));
  KEDGE_CHECK(options.architecture == "llama" || options.architecture == "qwen2" || options.architecture == "qwen3");
  GgufWriter writer;
  SetConfiguration(options, writer);
  SetVocabulary(writer);
  if (options.chat_template) writer.SetString("tokenizer.chat_template", kChatMl);
  if (!options.policy.empty()) writer.SetString("kedge.anchor.policy", options.policy);
  AddWeights(options, writer);
  return writer.Finish();
}

absl::Status WriteTinyModel(const TinyModelOptions& options, const std::string& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << MakeTinyModel(options);
  file.close();
  if (!file) return absl::InternalError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

}  // namespace kedge
