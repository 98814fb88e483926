// Besides loading, this test holds what tiny models promise about their text. For that it runs them with a forward pass
// of its own, the shortest there is: one token after another, all of the past, floats.
#include "common/testing/tiny_model.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using Vector = std::vector<float>;

absl::StatusOr<std::shared_ptr<const GgufFile>> Parse(const std::string& bytes) {
  return GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
                         "tiny.gguf");
}

// Runs one text. `file` must outlive it.
class PlainTransformer {
 public:
  explicit PlainTransformer(const GgufFile& file) : config_(*LoadConfig(file)) {
    for (const GgufTensor& tensor : file.tensors()) {
      size_t count = 1;
      for (uint64_t size : tensor.shape) count *= size;
      weights_[tensor.name] = Dequantize(tensor.type, tensor.data, count);
    }
    keys_.resize(config_.num_layers);
    values_.resize(config_.num_layers);
  }

  // Reads one more token and returns the logits of the next.
  Vector Step(int token) {
    const Vector& embedding = weights_.at("token_embd.weight");
    Vector x(embedding.begin() + token * config_.hidden_size, embedding.begin() + (token + 1) * config_.hidden_size);
    for (int layer = 0; layer < config_.num_layers; ++layer) {
      const std::string prefix = absl::StrCat("blk.", layer, ".");
      Add(x, Multiply(prefix + "attn_output.weight", Attend(layer, Normalise(prefix + "attn_norm.weight", x))));
      const Vector normal = Normalise(prefix + "ffn_norm.weight", x);
      Vector gate = Multiply(prefix + "ffn_gate.weight", normal);
      const Vector up = Multiply(prefix + "ffn_up.weight", normal);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      Add(x, Multiply(prefix + "ffn_down.weight", gate));
    }
    ++position_;
    return Multiply(config_.tied_output ? "token_embd.weight" : "output.weight", Normalise("output_norm.weight", x));
  }

  std::vector<int> Greedy(const std::vector<int>& prompt, int count) {
    Vector logits;
    for (int token : prompt) logits = Step(token);
    std::vector<int> text;
    while (static_cast<int>(text.size()) < count) {
      text.push_back(static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      logits = Step(text.back());
    }
    return text;
  }

 private:
  static void Add(Vector& x, const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  Vector Multiply(const std::string& name, const Vector& x) const {
    const Vector& matrix = weights_.at(name);
    Vector y(matrix.size() / x.size());
    for (size_t row = 0; row < y.size(); ++row) {
      for (size_t i = 0; i < x.size(); ++i) y[row] += matrix[row * x.size() + i] * x[i];
    }
    return y;
  }

  Vector Normalise(const std::string& name, Vector x) const {
    float squares = 0;
    for (float value : x) squares += value * value;
    const float scale = 1 / std::sqrt(squares / static_cast<float>(x.size()) + config_.rms_epsilon);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= scale * weights_.at(name)[i];
    return x;
  }

  void Rotate(Vector& heads) const {
    const auto factors = weights_.find("rope_freqs.weight");
    for (size_t head = 0; head < heads.size(); head += config_.head_dim) {
      for (int i = 0; i < config_.rope.dim / 2; ++i) {
        const double factor = factors == weights_.end() ? 1.0 : factors->second[i];
        const double angle = position_ * std::pow(config_.rope.freq_base, -2.0 * i / config_.rope.dim) / factor;
        float& a = heads[head + 2 * i];
        float& b = heads[head + 2 * i + 1];
        const double cosine = std::cos(angle), sine = std::sin(angle);
        const double turned = a * cosine - b * sine;
        b = static_cast<float>(a * sine + b * cosine);
        a = static_cast<float>(turned);
      }
    }
  }

  Vector Attend(int layer, const Vector& x) {
    const std::string prefix = absl::StrCat("blk.", layer, ".");
    Vector query = Multiply(prefix + "attn_q.weight", x);
    Vector key = Multiply(prefix + "attn_k.weight", x);
    Rotate(query);
    Rotate(key);
    keys_[layer].push_back(key);
    values_[layer].push_back(Multiply(prefix + "attn_v.weight", x));
    Vector out(query.size());
    for (int head = 0; head < config_.num_heads; ++head) {
      const int from = head * config_.head_dim;
      const int kv_from = head / (config_.num_heads / config_.num_kv_heads) * config_.head_dim;
      Vector weights;
      float sum = 0;
      for (const Vector& row : keys_[layer]) {
        float dot = 0;
        for (int i = 0; i < config_.head_dim; ++i) dot += query[from + i] * row[kv_from + i];
        weights.push_back(std::exp(dot / std::sqrt(static_cast<float>(config_.head_dim))));
        sum += weights.back();
      }
      for (size_t row = 0; row < weights.size(); ++row) {
        for (int i = 0; i < config_.head_dim; ++i) {
          out[from + i] += weights[row] / sum * values_[layer][row][kv_from + i];
        }
      }
    }
    return out;
  }

  ModelConfig config_;
  std::map<std::string, Vector> weights_;
  std::vector<std::vector<Vector>> keys_;    // [layers][rows][kv_heads * head_dim]
  std::vector<std::vector<Vector>> values_;  // the same
  int position_ = 0;
};

std::vector<TinyModelOptions> ManyOptions() {
  std::vector<TinyModelOptions> all(1);
  for (TensorType type : {TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
                          TensorType::kQ4_1}) {
    TinyModelOptions options;
    options.seed = 10 + static_cast<uint32_t>(type);
    options.weight_type = type;
    options.embedding_type = type == TensorType::kQ4_1 ? TensorType::kQ8_0 : type;
    options.tied = type != TensorType::kQ8_0;
    all.push_back(options);
  }
  TinyModelOptions odd_sizes;  // any width for F32
  odd_sizes.seed = 2;
  odd_sizes.layers = 3;
  odd_sizes.hidden = 50;
  odd_sizes.heads = 3;
  odd_sizes.kv_heads = 1;
  odd_sizes.head_dim = 10;
  odd_sizes.ffn = 33;
  odd_sizes.context = 100;
  odd_sizes.tied = false;
  odd_sizes.rope_factors = true;
  odd_sizes.rope_freq_base = 500000;
  odd_sizes.chat_template = false;
  all.push_back(odd_sizes);
  TinyModelOptions one_head;
  one_head.heads = one_head.kv_heads = 1;
  one_head.head_dim = 64;
  one_head.layers = 1;
  all.push_back(one_head);
  return all;
}

TEST(TinyModel, LoadsWithTheOptionsThatWereAskedFor) {
  std::vector<TinyModelOptions> all = ManyOptions();
  for (const char* architecture : {"qwen2", "qwen3"}) {
    TinyModelOptions other;
    other.seed = 3;
    other.architecture = architecture;
    other.rope_scaling = "yarn";
    all.push_back(other);
  }
  for (const TinyModelOptions& options : all) {
    SCOPED_TRACE(absl::StrCat("seed ", options.seed));
    const std::string bytes = MakeTinyModel(options);
    const auto file = Parse(bytes);
    ASSERT_TRUE(file.ok()) << file.status();
    const auto config = LoadConfig(**file);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->name, absl::StrCat("tiny-", options.seed));
    EXPECT_EQ(config->architecture, options.architecture);
    EXPECT_EQ(config->rope.scaling.type == RopeScaling::Type::kYarn, options.rope_scaling == "yarn");
    EXPECT_EQ(config->num_layers, options.layers);
    EXPECT_EQ(config->hidden_size, options.hidden);
    EXPECT_EQ(config->ffn_size, options.ffn);
    EXPECT_EQ(config->num_heads, options.heads);
    EXPECT_EQ(config->num_kv_heads, options.kv_heads);
    EXPECT_EQ(config->head_dim, options.head_dim);
    EXPECT_EQ(config->rope.dim, options.head_dim);
    EXPECT_EQ(config->vocab_size, kTinyVocabularySize);
    EXPECT_EQ(config->context_length, options.context);
    EXPECT_EQ(config->rope.freq_base, options.rope_freq_base);
    EXPECT_EQ(config->tied_output, options.tied);
    EXPECT_EQ((*file)->FindTensor("blk.0.attn_q.weight")->type, options.weight_type);
    EXPECT_EQ((*file)->FindTensor("token_embd.weight")->type, options.embedding_type);
    EXPECT_EQ((*file)->FindTensor("rope_freqs.weight") != nullptr, options.rope_factors);
    EXPECT_EQ((*file)->Has("tokenizer.chat_template"), options.chat_template);
  }
}

TEST(TinyModel, SameOptionsGiveTheSameBytes) {
  TinyModelOptions options;
  const std::string bytes = MakeTinyModel(options);
  EXPECT_EQ(MakeTinyModel(options), bytes);
  options.seed = 2;
  EXPECT_NE(MakeTinyModel(options), bytes);
  // On every machine: the value was seen on x86-64 with GCC 12.
  EXPECT_EQ(*ModelFingerprint(**Parse(bytes), ""), "db67c45e9ae1a94bd7ff4e0c5a79668d85c47c25849117be6e1e39054a76614e");
}

TEST(TinyModel, WritesAFile) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/tiny.", ::getpid(), ".gguf");
  ASSERT_TRUE(WriteTinyModel(TinyModelOptions(), path).ok());
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string bytes = MakeTinyModel(TinyModelOptions());
  EXPECT_EQ(std::string((*file)->bytes().begin(), (*file)->bytes().end()), bytes);
  std::filesystem::remove(path);
  EXPECT_FALSE(WriteTinyModel(TinyModelOptions(), path + "/below/a/file").ok());
}

// Merges symbols as byte-level BPE does, lowest rank first. `text` is spelt in GPT-2's alphabet, ASCII only but for
// "Ġ" (space) and "Ċ" (line feed).
std::vector<std::string> Tokenize(const GgufFile& file, const std::string& text) {
  const std::vector<std::string>& merges = **file.GetStrings("tokenizer.ggml.merges");
  std::vector<std::string> symbols;
  for (char c : text) {
    if ((c & 0xc0) == 0x80) {
      symbols.back() += c;
    } else {
      symbols.push_back(std::string(1, c));
    }
  }
  while (true) {
    size_t best_rank = merges.size();
    size_t best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto rank = static_cast<size_t>(
          std::find(merges.begin(), merges.end(), symbols[i] + " " + symbols[i + 1]) - merges.begin());
      if (rank < best_rank) {
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == merges.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + best + 1);
  }
}

TEST(TinyModel, TheVocabularyIsByteLevelBpe) {
  const std::string bytes = MakeTinyModel(TinyModelOptions());
  const auto file = *Parse(bytes);
  const std::vector<std::string>& tokens = **file->GetStrings("tokenizer.ggml.tokens");
  const std::vector<int64_t>& types = **file->GetInts("tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), static_cast<size_t>(kTinyVocabularySize));
  ASSERT_EQ(types.size(), tokens.size());
  EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), tokens.size());
  EXPECT_EQ(tokens[0], "<|endoftext|>");
  EXPECT_EQ(tokens[1], "<|im_start|>");
  EXPECT_EQ(tokens[2], "<|im_end|>");
  for (int id = 0; id < kTinyVocabularySize; ++id) EXPECT_EQ(types[id], id < kTinyFirstByteToken ? 3 : 1) << id;
  EXPECT_EQ(tokens[kTinyFirstByteToken], "!");
  EXPECT_EQ(tokens[kTinyFirstByteToken + '~' - '!'], "~");
  EXPECT_EQ(tokens[kTinyFirstByteToken + 94], "¡");
  EXPECT_EQ(tokens[kTinyFirstByteToken + 187], "ÿ");
  EXPECT_EQ(tokens[kTinyFirstByteToken + 188], "Ā");             // byte 0
  EXPECT_EQ(tokens[kTinyFirstByteToken + 188 + ' '], "Ġ");
  EXPECT_EQ(tokens[kTinyFirstByteToken + 255], "Ń");             // byte 173
  EXPECT_EQ(*file->GetInt("tokenizer.ggml.eos_token_id"), 2);
  EXPECT_EQ(*file->GetInt("tokenizer.ggml.bos_token_id"), 1);
  EXPECT_FALSE(*file->GetBool("tokenizer.ggml.add_bos_token"));

  const std::set<std::string> known(tokens.begin(), tokens.end());
  for (const std::string& merge : **file->GetStrings("tokenizer.ggml.merges")) {
    const size_t space = merge.find(' ');
    EXPECT_EQ(known.count(merge.substr(0, space)), 1u) << merge;
    EXPECT_EQ(known.count(merge.substr(space + 1)), 1u) << merge;
    // Every merge is reached: its token comes out of its own spelling.
    const std::string token = merge.substr(0, space) + merge.substr(space + 1);
    EXPECT_EQ(Tokenize(*file, token), std::vector<std::string>{token});
  }
  for (const char* word : {"assistant", "user", "system", "Ġthe", "Ġand", "Ġthat", "ing", ".Ċ"}) {
    EXPECT_EQ(Tokenize(*file, word), std::vector<std::string>{word});
  }
}

TEST(TinyModel, LogitsSpreadOverAFewNats) {
  for (const TinyModelOptions& options : ManyOptions()) {
    SCOPED_TRACE(absl::StrCat("seed ", options.seed));
    const std::string bytes = MakeTinyModel(options);
    const auto file = *Parse(bytes);
    PlainTransformer model(*file);
    double squares = 0;
    int count = 0;
    for (int token : {40, 90, 270, 61, 300, 55, 17, 340}) {
      for (float logit : model.Step(token)) squares += logit * logit, ++count;
    }
    const double deviation = std::sqrt(squares / count);
    EXPECT_GT(deviation, 1.5);
    EXPECT_LT(deviation, 4.0);
  }
}

// Prompts of 40 tokens which differ in the second one only: what was read long ago must change the text.
TEST(TinyModel, GreedyTextVariesAndDependsOnThePrompt) {
  for (const TinyModelOptions& options : ManyOptions()) {
    SCOPED_TRACE(absl::StrCat("seed ", options.seed));
    const std::string bytes = MakeTinyModel(options);
    const auto file = *Parse(bytes);
    std::set<std::vector<int>> texts;
    for (int changed = 0; changed < 8; ++changed) {
      std::vector<int> prompt;
      for (int i = 0; i < 40; ++i) prompt.push_back(20 + (i * 37 + (i == 1 ? changed * 29 : 0)) % 330);
      const std::vector<int> text = PlainTransformer(*file).Greedy(prompt, 24);
      EXPECT_GE(std::set<int>(text.begin(), text.end()).size(), 6u);
      texts.insert(text);
    }
    EXPECT_GE(texts.size(), 4u);
  }
}

}  // namespace
}  // namespace kedge
