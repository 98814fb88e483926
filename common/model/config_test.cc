#include "common/model/config.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/testing/gguf_writer.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A model of one layer in parts, for tests to change one of them. 2 query heads and 1 KV head of 16 values, hidden 32,
// ffn 64, 10 tokens; weights are zero.
struct Parts {
  std::map<std::string, std::function<void(GgufWriter&, const std::string&)>> keys;
  std::map<std::string, std::pair<TensorType, std::vector<uint64_t>>> tensors;

  Parts() {
    SetString("general.architecture", "llama");
    SetString("general.name", "parts");
    SetInt("llama.block_count", 1);
    SetInt("llama.context_length", 100);
    SetInt("llama.embedding_length", 32);
    SetInt("llama.feed_forward_length", 64);
    SetInt("llama.attention.head_count", 2);
    SetInt("llama.attention.head_count_kv", 1);
    SetFloat("llama.attention.layer_norm_rms_epsilon", 1e-6);
    SetTensor("token_embd.weight", {32, 10});
    SetTensor("blk.0.attn_norm.weight", {32});
    SetTensor("blk.0.attn_q.weight", {32, 32});
    SetTensor("blk.0.attn_k.weight", {32, 16});
    SetTensor("blk.0.attn_v.weight", {32, 16});
    SetTensor("blk.0.attn_output.weight", {32, 32});
    SetTensor("blk.0.ffn_norm.weight", {32});
    SetTensor("blk.0.ffn_gate.weight", {32, 64});
    SetTensor("blk.0.ffn_up.weight", {32, 64});
    SetTensor("blk.0.ffn_down.weight", {64, 32});
    SetTensor("output_norm.weight", {32});
  }

  void SetInt(const std::string& key, int64_t value) {
    keys[key] = [value](GgufWriter& writer, const std::string& k) { writer.SetInt64(k, value); };
  }
  void SetFloat(const std::string& key, double value) {
    keys[key] = [value](GgufWriter& writer, const std::string& k) { writer.SetFloat64(k, value); };
  }
  void SetString(const std::string& key, const std::string& value) {
    keys[key] = [value](GgufWriter& writer, const std::string& k) { writer.SetString(k, value); };
  }
  void SetTensor(const std::string& name, const std::vector<uint64_t>& shape, TensorType type = TensorType::kF32) {
    tensors[name] = {type, shape};
  }

  std::string Bytes() const {
    GgufWriter writer;
    for (const auto& [key, set] : keys) set(writer, key);
    for (const auto& [name, tensor] : tensors) {
      const auto& [type, shape] = tensor;
      const uint64_t values = std::accumulate(shape.begin(), shape.end(), uint64_t{1}, std::multiplies<>());
      // Unsupported types here have 256 values in 84 bytes (type 10, Q2_K).
      const uint64_t size = IsSupported(type) ? values / BlockSize(type) * BlockBytes(type) : values / 256 * 84;
      // All ones are a valid value in each of the float types (and a valid factor of the rotation).
      writer.AddTensor(name, type, shape,
                       type == TensorType::kF32 ? Quantize(type, std::vector<float>(values, 1.0f))
                                                : std::string(size, '\0'));
    }
    return writer.Finish();
  }

  absl::StatusOr<ModelConfig> Load() const {
    const std::string bytes = Bytes();
    const auto file = GgufFile::Parse(
        absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "/models/parts.gguf");
    EXPECT_TRUE(file.ok()) << file.status();
    return LoadConfig(**file);
  }

  // The error's text, which must name the file; "" when there is none.
  std::string Error() const {
    const absl::Status status = Load().status();
    if (status.ok()) return "";
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StartsWith(status.message(), "/models/parts.gguf: ")) << status;
    return std::string(status.message());
  }
};

TEST(LoadConfig, ReadsAllFields) {
  Parts parts;
  parts.SetFloat("llama.rope.freq_base", 500000);
  parts.SetInt("llama.rope.dimension_count", 8);
  const auto config = parts.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "parts");
  EXPECT_EQ(config->num_layers, 1);
  EXPECT_EQ(config->hidden_size, 32);
  EXPECT_EQ(config->ffn_size, 64);
  EXPECT_EQ(config->num_heads, 2);
  EXPECT_EQ(config->num_kv_heads, 1);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->rope.dim, 8);
  EXPECT_EQ(config->vocab_size, 10);
  EXPECT_EQ(config->context_length, 100);
  EXPECT_EQ(config->rms_epsilon, 1e-6f);
  EXPECT_EQ(config->rope.freq_base, 500000);
  EXPECT_TRUE(config->tied_output);
}

TEST(LoadConfig, FillsInWhatTheFormatLeavesOut) {
  Parts parts;
  parts.keys.erase("general.name");
  parts.keys.erase("llama.attention.head_count_kv");  // as many as query heads
  parts.SetTensor("blk.0.attn_k.weight", {32, 32});
  parts.SetTensor("blk.0.attn_v.weight", {32, 32});
  parts.SetTensor("output.weight", {32, 10});
  const auto config = parts.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "parts");  // the file's name
  EXPECT_EQ(config->num_kv_heads, 2);
  EXPECT_EQ(config->rope.dim, 16);
  EXPECT_EQ(config->rope.freq_base, 10000);
  EXPECT_FALSE(config->tied_output);
}

TEST(LoadConfig, TheHeadSizeMayDifferFromTheEmbeddingsShare) {
  Parts parts;
  parts.SetInt("llama.attention.key_length", 24);
  parts.SetTensor("blk.0.attn_q.weight", {32, 48});
  parts.SetTensor("blk.0.attn_k.weight", {32, 24});
  parts.SetTensor("blk.0.attn_v.weight", {32, 24});
  parts.SetTensor("blk.0.attn_output.weight", {48, 32});
  const auto config = parts.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->head_dim, 24);
}

TEST(LoadConfig, AcceptsEverySupportedWeightType) {
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
                          TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1}) {
    Parts parts;
    parts.SetTensor("token_embd.weight", {32, 10}, type);
    parts.SetTensor("blk.0.ffn_down.weight", {64, 32}, type);
    EXPECT_EQ(parts.Error(), "") << TensorTypeName(type);
  }
}

TEST(LoadConfig, RejectsOtherArchitectures) {
  Parts parts;
  parts.SetString("general.architecture", "phi3");
  EXPECT_THAT(parts.Error(),
              HasSubstr("key 'general.architecture': 'phi3' is not supported; supported: llama, qwen2, qwen3"));
  parts.keys.erase("general.architecture");
  EXPECT_THAT(parts.Error(), HasSubstr("key 'general.architecture' is missing"));
}

// The parts under another architecture's keys.
Parts PartsOf(const std::string& architecture) {
  Parts parts;
  Parts renamed;
  for (const auto& [key, set] : parts.keys) {
    if (!absl::StartsWith(key, "llama.")) continue;
    renamed.keys.erase(key);
    renamed.keys[architecture + key.substr(5)] = set;
  }
  renamed.SetString("general.architecture", architecture);
  return renamed;
}

TEST(LoadConfig, Qwen2HasItsOwnKeysAndBiases) {
  Parts qwen2 = PartsOf("qwen2");
  EXPECT_THAT(qwen2.Error(), HasSubstr("tensor 'blk.0.attn_q.bias': missing; must be [32] of F32 F16 BF16"));
  qwen2.SetTensor("blk.0.attn_q.bias", {32});
  qwen2.SetTensor("blk.0.attn_k.bias", {16});
  qwen2.SetTensor("blk.0.attn_v.bias", {16});
  const auto config = qwen2.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "qwen2");
  EXPECT_TRUE(config->has_biases);
  EXPECT_FALSE(config->has_head_norms);
  EXPECT_TRUE(config->rope_halves);
  qwen2.SetFloat("qwen2.attention.sliding_window", 8);
  EXPECT_THAT(qwen2.Error(), HasSubstr("key 'qwen2.attention.sliding_window': 8 is not supported"));
  qwen2.keys.erase("qwen2.attention.sliding_window");
  qwen2.keys.erase("qwen2.block_count");
  EXPECT_THAT(qwen2.Error(), HasSubstr("key 'qwen2.block_count' is missing"));
  EXPECT_FALSE(Parts().Load()->has_biases);
  EXPECT_FALSE(Parts().Load()->has_head_norms);
  EXPECT_FALSE(Parts().Load()->rope_halves);
}

TEST(LoadConfig, Qwen3HasNormsOfHeads) {
  Parts qwen3 = PartsOf("qwen3");
  EXPECT_THAT(qwen3.Error(), HasSubstr("tensor 'blk.0.attn_q_norm.weight': missing; must be [16] of F32 F16 BF16"));
  qwen3.SetTensor("blk.0.attn_q_norm.weight", {16});
  EXPECT_THAT(qwen3.Error(), HasSubstr("tensor 'blk.0.attn_k_norm.weight': missing; must be [16] of F32 F16 BF16"));
  qwen3.SetTensor("blk.0.attn_k_norm.weight", {16});
  const auto config = qwen3.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "qwen3");
  EXPECT_FALSE(config->has_biases);
  EXPECT_TRUE(config->has_head_norms);
  EXPECT_TRUE(config->rope_halves);
  qwen3.SetTensor("blk.0.attn_q.bias", {32});
  EXPECT_THAT(qwen3.Error(), AllOf(HasSubstr("tensor 'blk.0.attn_q.bias': not part of architecture 'qwen3'"),
                                   HasSubstr("supported: llama; qwen2, with biases")));
}

TEST(LoadConfig, NamesEachRequiredKeyThatIsMissing) {
  for (const char* key : {"llama.block_count", "llama.context_length", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.attention.head_count",
                          "llama.attention.layer_norm_rms_epsilon"}) {
    Parts parts;
    parts.keys.erase(key);
    EXPECT_THAT(parts.Error(), HasSubstr(absl::StrCat("key '", key, "' is missing")));
  }
}

TEST(LoadConfig, RejectsCountsOutOfRange) {
  for (const char* key :
       {"llama.block_count", "llama.context_length", "llama.embedding_length", "llama.feed_forward_length",
        "llama.attention.head_count", "llama.attention.head_count_kv", "llama.attention.key_length"}) {
    for (int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1} << 31, int64_t{1} << 40}) {
      Parts parts;
      parts.SetInt(key, value);
      EXPECT_THAT(parts.Error(), HasSubstr(absl::StrCat("key '", key, "': must be from 1 to"))) << value;
    }
    Parts parts;
    parts.SetString(key, "12");
    EXPECT_THAT(parts.Error(), HasSubstr(absl::StrCat("key '", key, "': must be an integer, found: string")));
  }
}

TEST(LoadConfig, RejectsHeadsThatDoNotFit) {
  Parts kv_heads;
  kv_heads.SetInt("llama.attention.head_count_kv", 3);
  EXPECT_THAT(kv_heads.Error(), HasSubstr("key 'llama.attention.head_count_kv': must divide the 2 query heads"));
  Parts heads;
  heads.SetInt("llama.attention.head_count", 3);
  EXPECT_THAT(heads.Error(), AllOf(HasSubstr("key 'llama.attention.head_count"), HasSubstr("must divide")));
  Parts small;
  small.SetInt("llama.attention.head_count", 16);
  EXPECT_THAT(small.Error(), HasSubstr("gives a head size of 2; supported: even, at least 8"));
  Parts odd;
  odd.SetInt("llama.attention.key_length", 15);
  EXPECT_THAT(odd.Error(), HasSubstr("gives a head size of 15; supported: even, at least 8"));
  Parts value;
  value.SetInt("llama.attention.value_length", 8);
  EXPECT_THAT(value.Error(), HasSubstr("key 'llama.attention.value_length': must equal the head size 16"));
  for (int64_t rope_dim : {int64_t{0}, int64_t{-2}, int64_t{7}, int64_t{18}, int64_t{1} << 40}) {
    Parts rope;
    rope.SetInt("llama.rope.dimension_count", rope_dim);
    EXPECT_THAT(rope.Error(), HasSubstr("key 'llama.rope.dimension_count': must be even, from 2 to the head size 16"));
  }
}

TEST(LoadConfig, RejectsNumbersThatMakeNoSense) {
  for (double value : {-1e-5, 1.0, std::nan(""), double{INFINITY}}) {
    Parts parts;
    parts.SetFloat("llama.attention.layer_norm_rms_epsilon", value);
    EXPECT_THAT(parts.Error(), HasSubstr("layer_norm_rms_epsilon")) << value;
  }
  for (double value : {0.0, -1.0, std::nan(""), double{INFINITY}}) {
    Parts parts;
    parts.SetFloat("llama.rope.freq_base", value);
    EXPECT_THAT(parts.Error(), HasSubstr("rope.freq_base")) << value;
  }
}

TEST(LoadConfig, ReadsRopeScaling) {
  Parts parts;
  parts.SetString("llama.rope.scaling.type", "yarn");
  parts.SetFloat("llama.rope.scaling.factor", 4);
  const auto config = parts.Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(RopeScalingText(config->rope.scaling), "yarn by 4 from 100");  // the context, where no other one is named
  parts.SetFloat("llama.rope.scaling.yarn_log_multiplier", 0.1);
  EXPECT_THAT(parts.Error(), HasSubstr("key 'llama.rope.scaling.yarn_log_multiplier': 0.1 is not supported; supported: "
                                       "absent or 0"));
  Parts other;
  other.SetString("llama.rope.scaling.type", "longrope");
  EXPECT_THAT(other.Error(), HasSubstr("key 'llama.rope.scaling.type': 'longrope' is not supported; supported: none, "
                                       "linear, yarn"));
}

TEST(LoadConfig, RejectsKeysThatChangeTheResult) {
  for (const char* key : {"llama.expert_count", "llama.attention.sliding_window", "llama.final_logit_softcapping",
                          "llama.attention.scale", "llama.logit_scale"}) {
    Parts parts;
    parts.SetFloat(key, 8);
    EXPECT_THAT(parts.Error(), HasSubstr(absl::StrCat("key '", key, "': 8 is not supported")));
    parts.SetFloat(key, 0);
    EXPECT_EQ(parts.Error(), "");
  }
}

TEST(LoadConfig, NamesEachTensorThatIsMissing) {
  for (const auto& [name, tensor] : Parts().tensors) {
    Parts parts;
    parts.tensors.erase(name);
    EXPECT_THAT(parts.Error(), HasSubstr(absl::StrCat("tensor '", name, "': missing")));
  }
  Parts layers;
  layers.SetInt("llama.block_count", 2);
  EXPECT_THAT(layers.Error(), HasSubstr("tensor 'blk.1.attn_norm.weight': missing; must be [32] of F32 F16 BF16"));
}

TEST(LoadConfig, NamesEachTensorOfAnotherShape) {
  Parts with_all;
  with_all.SetTensor("output.weight", {32, 10});
  with_all.SetTensor("rope_freqs.weight", {8});
  ASSERT_EQ(with_all.Error(), "");
  for (const auto& [name, tensor] : with_all.tensors) {
    const std::vector<uint64_t>& shape = tensor.second;
    std::vector<uint64_t> wider = shape;
    wider[0] += 32;
    std::vector<uint64_t> deeper = shape;
    deeper.push_back(2);
    for (const std::vector<uint64_t>& wrong : {wider, deeper}) {
      Parts parts = with_all;
      parts.SetTensor(name, wrong);
      EXPECT_THAT(parts.Error(), AllOf(HasSubstr(absl::StrCat("tensor '", name, "': found shape [")),
                                       HasSubstr("must be [")));
    }
  }
  Parts rows;
  rows.SetTensor("blk.0.attn_k.weight", {32, 32});
  EXPECT_THAT(rows.Error(), HasSubstr("'blk.0.attn_k.weight': found shape [32, 32], must be [32, 16]"));
}

TEST(LoadConfig, NamesTensorsOfUnsupportedTypes) {
  Parts matrix;
  matrix.SetTensor("blk.0.attn_q.weight", {32, 32}, static_cast<TensorType>(10));
  EXPECT_THAT(matrix.Error(), HasSubstr("tensor 'blk.0.attn_q.weight': found type 10; supported: F32 F16 BF16 Q8_0 "
                                        "Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K"));
  Parts norm;
  norm.SetTensor("output_norm.weight", {32}, TensorType::kQ8_0);
  EXPECT_THAT(norm.Error(), HasSubstr("tensor 'output_norm.weight': found Q8_0; supported: F32 F16 BF16"));
  Parts factors;
  factors.SetTensor("rope_freqs.weight", {8}, TensorType::kF16);
  EXPECT_THAT(factors.Error(), HasSubstr("tensor 'rope_freqs.weight': found F16; supported: F32"));
}

TEST(LoadConfig, RejectsTensorsThatWouldChangeTheResult) {
  for (const char* name : {"blk.0.attn_q.bias", "blk.0.ffn_gate_exps.weight", "blk.0.attn_q_norm.weight",
                           "rope_factors_long.weight", "blk.1.attn_norm.weight", "output.bias"}) {
    Parts parts;
    parts.SetTensor(name, {32});
    EXPECT_THAT(parts.Error(), HasSubstr(absl::StrCat("tensor '", name, "': not part of")));
  }
  Parts redundant;
  redundant.SetTensor("blk.0.attn_rot_embd.inv_freq", {8});
  EXPECT_EQ(redundant.Error(), "");
}

TEST(LoadConfig, RejectsRopeFactorsThatAreNotPositive) {
  for (float factor : {0.0f, -1.0f, INFINITY, NAN}) {
    TinyModelOptions options;
    options.rope_factors = true;
    std::string bytes = MakeTinyModel(options);
    // The factors are the file's last tensor: 8 floats, without padding behind them.
    bytes.replace(bytes.size() - 4, 4, RawBytes(factor));
    const auto file =
        GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny.gguf");
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_THAT(std::string(LoadConfig(**file).status().message()),
                HasSubstr("tensor 'rope_freqs.weight': factor 7 is ")) << factor;
  }
}

TEST(LoadConfig, RejectsMoreTokensThanRows) {
  Parts parts;
  parts.keys["tokenizer.ggml.tokens"] = [](GgufWriter& writer, const std::string& key) {
    writer.SetStrings(key, std::vector<std::string>(11, "x"));
  };
  EXPECT_THAT(parts.Error(), HasSubstr("key 'tokenizer.ggml.tokens': 11 tokens, but token_embd.weight has only 10"));
}

class Fingerprint : public ::testing::Test {
 protected:
  Fingerprint() : directory_(absl::StrCat(::testing::TempDir(), "/config_test.", ::getpid())) {
    std::filesystem::create_directories(directory_);
  }
  ~Fingerprint() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& bytes, const std::string& name = "model.gguf") {
    const std::string path = absl::StrCat(directory_, "/", name);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return path;
  }
  // Until what was written does no more change, as far as its times say.
  static void Settle() { absl::SleepFor(absl::Milliseconds(2100)); }
  std::string WriteSettled(const std::string& bytes) {
    const std::string path = Write(bytes);
    Settle();
    return path;
  }

  // The files in which fingerprints are remembered.
  std::vector<std::string> Remembered() const {
    std::vector<std::string> paths;
    if (!std::filesystem::exists(cache())) return paths;
    for (const auto& entry : std::filesystem::directory_iterator(cache())) paths.push_back(entry.path());
    return paths;
  }

  std::string cache() const { return directory_ + "/cache/fingerprints"; }

  std::string Of(const std::string& path) const { return *ModelFingerprint(**GgufFile::Open(path), cache()); }

  std::string directory_;
};

// An empty file of version 3: the vector was made with sha256sum.
TEST_F(Fingerprint, IsTheSha256OfTheFile) {
  std::string bytes = "GGUF" + RawBytes<uint32_t>(3) + std::string(16, '\0');
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "empty.gguf");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*ModelFingerprint(**file, cache()), "a4e5e156ddec27e286f75328784d7106b60a4eb1d246e950a001a3f944fbda99");
  EXPECT_TRUE(Remembered().empty());  // bytes in memory have no path
}

TEST_F(Fingerprint, IsRememberedAsLongAsTheFileStays) {
  const std::string path = WriteSettled(Parts().Bytes());
  const std::string fingerprint = Of(path);
  ASSERT_EQ(Remembered().size(), 1u);
  EXPECT_EQ(Of(path), fingerprint);

  // It is the remembered value that is returned.
  const std::string forged(64, 'a');
  std::string belongs_to;
  {
    std::ifstream stream(Remembered()[0]);
    std::getline(stream, belongs_to);
    std::getline(stream, belongs_to);
  }
  std::ofstream(Remembered()[0]) << forged << "\n" << belongs_to << "\n";
  EXPECT_EQ(Of(path), forged);

  Parts other;
  other.SetString("general.name", "ports");
  WriteSettled(other.Bytes());  // the same path and size
  const std::string other_fingerprint = Of(path);
  EXPECT_NE(other_fingerprint, forged);
  EXPECT_NE(other_fingerprint, fingerprint);
  EXPECT_EQ(Remembered().size(), 1u);
}

// In each way in which a file comes to have another content with the same path, size and time.
TEST_F(Fingerprint, OfTwoHundredReplacedFilesNoneKeepsItsOldName) {
  constexpr int kFiles = 200;
  Parts parts, other_parts;
  other_parts.SetString("general.name", "ports");
  const std::string bytes = parts.Bytes(), other = other_parts.Bytes();
  ASSERT_EQ(bytes.size(), other.size());
  const auto name = [](int i) { return absl::StrCat("model-", i, ".gguf"); };
  for (int i = 0; i < kFiles; ++i) Write(bytes, name(i));
  for (int i = 3; i < kFiles; i += 4) {  // a link, as in a store of packages
    std::filesystem::rename(Write(bytes, name(i)), directory_ + "/" + name(i) + ".1");
    std::filesystem::create_symlink(directory_ + "/" + name(i) + ".1", directory_ + "/" + name(i));
  }
  Settle();
  std::vector<std::string> before;
  for (int i = 0; i < kFiles; ++i) before.push_back(Of(directory_ + "/" + name(i)));
  ASSERT_EQ(Remembered().size(), size_t{kFiles});
  for (int i = 0; i < kFiles; ++i) {
    const std::string path = directory_ + "/" + name(i);
    const auto time = std::filesystem::last_write_time(path);
    const auto place = [&](const std::string& at) {
      std::ofstream(at, std::ios::binary | std::ios::trunc) << other;
      std::filesystem::last_write_time(at, time);
    };
    switch (i % 4) {
      case 0:  // written to, and its time set back
        place(path);
        break;
      case 1:  // another file in its place, as by cp -p and mv
        place(path + ".new");
        std::filesystem::rename(path + ".new", path);
        break;
      case 2:  // removed and made again: perhaps with the same inode
        std::filesystem::remove(path);
        place(path);
        break;
      case 3:
        place(path + ".2");
        std::filesystem::remove(path);
        std::filesystem::create_symlink(path + ".2", path);
        break;
    }
    ASSERT_EQ(std::filesystem::last_write_time(path), time);
    EXPECT_NE(Of(path), before[i]) << i;
  }
}

// A file system may say of another content all that it said of the first: a layer of an image, a mount.
TEST_F(Fingerprint, AnotherContentIsNoticedWhereTheFileSystemTellsNothing) {
  const std::string path = WriteSettled(Parts().Bytes());
  const std::string fingerprint = Of(path);
  Parts other_parts;
  other_parts.SetString("general.name", "ports");
  WriteSettled(other_parts.Bytes());
  const std::string other = Of(path);
  // What is remembered of it, with the first one's name and sample.
  std::ifstream stream(Remembered()[0]);
  std::string line, owner;
  std::getline(stream, line);
  std::getline(stream, owner);
  std::vector<std::string> parts = absl::StrSplit(owner, ' ');
  ASSERT_EQ(parts.size(), 6u);
  const auto remember = [&] {
    std::ofstream(Remembered()[0], std::ios::trunc) << fingerprint << "\n" << absl::StrJoin(parts, " ") << "\n";
  };
  remember();
  EXPECT_EQ(Of(path), fingerprint);  // it is believed,
  parts[4] = std::string(32, '0');
  remember();
  EXPECT_EQ(Of(path), other);  // but for the sample
}

TEST_F(Fingerprint, DamagedMemoryIsIgnored) {
  const std::string path = WriteSettled(Parts().Bytes());
  const std::string fingerprint = Of(path);
  ASSERT_EQ(Remembered().size(), 1u);
  for (const std::string& damage : {std::string(), fingerprint, fingerprint.substr(1) + "\nx\n",
                                    std::string(64, 'a') + "\n1 2 /other\n"}) {
    std::ofstream(Remembered()[0], std::ios::trunc) << damage;
    EXPECT_EQ(Of(path), fingerprint) << damage;
  }
  EXPECT_EQ(Remembered().size(), 1u);  // no temporary files are left
}

TEST_F(Fingerprint, AFileThatMayStillChangeIsNotRemembered) {
  const std::string path = Write(Parts().Bytes());
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) - std::chrono::hours(1));
  const std::string fingerprint = Of(path);
  EXPECT_TRUE(Remembered().empty());
  EXPECT_EQ(Of(path), fingerprint);
}

TEST_F(Fingerprint, WorksWhereNothingCanBeWritten) {
  const std::string path = WriteSettled(Parts().Bytes());
  const std::string fingerprint = Of(path);
  const auto file = *GgufFile::Open(path);
  std::ofstream(directory_ + "/file") << "in the way";
  std::vector<std::string> notices;
  const auto notice = [&](const std::string& line) { notices.push_back(line); };
  EXPECT_EQ(*ModelFingerprint(*file, directory_ + "/file/fingerprints", notice), fingerprint);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_THAT(notices[0], AllOf(HasSubstr("model.gguf for its SHA-256"),
                                HasSubstr("cannot write " + directory_ + "/file/fingerprints/")));
  EXPECT_EQ(*ModelFingerprint(*file, directory_ + "/file/fingerprints"), fingerprint);
  EXPECT_EQ(*ModelFingerprint(*file, ""), fingerprint);
}

}  // namespace
}  // namespace kedge
