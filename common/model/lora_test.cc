#include "common/model/lora.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/kernels/dequantize.h"
#include "common/model/config.h"
#include "common/testing/gguf_writer.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Shape = std::vector<uint64_t>;

// `bytes` must outlive the file.
std::shared_ptr<const GgufFile> Parse(const std::string& bytes, const std::string& name) {
  return GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), name)
      .value();
}

// Normal-like enough.
std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = (static_cast<float>(random() >> 8) * 0x1p-23f - 1) * 0.7f;
  return values;
}

std::string Bytes(const std::vector<float>& values) { return Quantize(TensorType::kF32, values); }

// An adapter in parts, for tests to change one of them. It changes one matrix [10, 6] with rank 2.
struct Parts {
  std::string architecture = "llama";
  std::string general_type = "adapter";
  std::string adapter_type = "lora";
  std::string alpha = RawBytes(4.0f);  // as it lies in the file, F32; "": no key
  std::string policy;
  std::string base;
  std::map<std::string, std::pair<TensorType, Shape>> tensors = {{"w.lora_a", {TensorType::kF32, {10, 2}}},
                                                                 {"w.lora_b", {TensorType::kF32, {2, 6}}}};

  std::string Make() const {
    GgufWriter writer;
    if (!architecture.empty()) writer.SetString("general.architecture", architecture);
    if (!general_type.empty()) writer.SetString("general.type", general_type);
    if (!adapter_type.empty()) writer.SetString("adapter.type", adapter_type);
    if (!alpha.empty()) writer.SetRaw("adapter.lora.alpha", alpha.size() == 4 ? 6 : 12, alpha);
    if (!policy.empty()) writer.SetString("kedge.anchor.policy", policy);
    if (!base.empty()) writer.SetString("kedge.adapter.base", base);
    for (const auto& [name, tensor] : tensors) {
      const auto& [type, shape] = tensor;
      size_t count = 1;
      for (uint64_t side : shape) count *= side;
      writer.AddTensor(name, type, shape,
                       IsSupported(type) ? Quantize(type, std::vector<float>(count, 0.5f)) : std::string(count, 'x'));
    }
    return writer.Finish();
  }

  // Why it is refused, by itself or with `base_file`; "" if it is not.
  std::string Refusal(const GgufFile& base_file) const {
    const std::string bytes = Make();
    const auto adapter = LoraAdapter::Create(Parse(bytes, "adapter.gguf"));
    const absl::Status status = adapter.ok() ? (*adapter)->CheckFits(base_file) : adapter.status();
    if (status.ok()) return "";
    EXPECT_TRUE(absl::StartsWith(status.message(), "adapter.gguf: ")) << status;
    EXPECT_EQ(absl::IsFailedPrecondition(status), absl::StrContains(status.message(), "another base")) << status;
    EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }
};

// A file with tensor "w" [10, 6], a vector and a matrix of a type that is not supported.
std::string SmallBase() {
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.AddTensor("w", TensorType::kF32, {10, 6}, Bytes(RandomFloats(60, 9)));
  writer.AddTensor("vector", TensorType::kF32, {10}, Bytes(RandomFloats(10, 9)));
  writer.AddTensor("unsupported", static_cast<TensorType>(10), {256, 6}, std::string(6 * 84, 'x'));
  writer.AddTensor("token_embd.weight", TensorType::kF32, {10, 6}, Bytes(RandomFloats(60, 9)));
  return writer.Finish();
}

class LoraRefusalTest : public ::testing::Test {
 protected:
  std::string bytes_ = SmallBase();
  std::shared_ptr<const GgufFile> base_ = Parse(bytes_, "base.gguf");
};

TEST_F(LoraRefusalTest, TakesWhatIsWhole) {
  EXPECT_EQ(Parts().Refusal(*base_), "");
  for (TensorType type : {TensorType::kF16, TensorType::kBF16}) {
    Parts parts;
    parts.tensors["w.lora_b"].first = type;
    EXPECT_EQ(parts.Refusal(*base_), "");
  }
  Parts exact;
  exact.base = *ModelFingerprint(*base_);
  exact.policy = "window";
  EXPECT_EQ(exact.Refusal(*base_), "");
}

TEST_F(LoraRefusalTest, WhatIsNoLoraAdapter) {
  Parts model;
  model.general_type = "model";
  EXPECT_THAT(model.Refusal(*base_), AllOf(HasSubstr("'general.type'"), HasSubstr("no adapter"), HasSubstr("--model")));
  model.general_type = "";
  EXPECT_THAT(model.Refusal(*base_), HasSubstr("'general.type'"));
  Parts other;
  other.adapter_type = "control_vector";
  EXPECT_THAT(other.Refusal(*base_), AllOf(HasSubstr("'adapter.type'"), HasSubstr("control_vector")));
  other.adapter_type = "";
  EXPECT_THAT(other.Refusal(*base_), HasSubstr("'adapter.type'"));
  Parts empty;
  empty.tensors.clear();
  EXPECT_THAT(empty.Refusal(*base_), HasSubstr("no tensors"));
  const std::string bytes = MakeTinyModel({});
  EXPECT_THAT(std::string(LoraAdapter::Create(Parse(bytes, "tiny.gguf")).status().message()),
              HasSubstr("tiny.gguf: key 'general.type'"));
}

TEST_F(LoraRefusalTest, AnAdapterAsTheModel) {
  const std::string bytes = MakeTinyAdapter({}, {});
  EXPECT_THAT(std::string(LoadConfig(*Parse(bytes, "adapter.gguf")).status().message()),
              AllOf(HasSubstr("adapter.gguf: key 'general.type'"), HasSubstr("give it with --adapter")));
}

TEST_F(LoraRefusalTest, AlphaThatIsNotFinite) {
  for (const std::string& alpha : {RawBytes(NAN), RawBytes(INFINITY), RawBytes(-INFINITY), RawBytes(1e300)}) {
    Parts parts;
    parts.alpha = alpha;
    EXPECT_THAT(parts.Refusal(*base_), HasSubstr("'adapter.lora.alpha'"));
  }
}

TEST_F(LoraRefusalTest, ADigestThatIsNoneOrAnotherFiles) {
  Parts parts;
  parts.base = std::string(64, 'a');
  EXPECT_THAT(parts.Refusal(*base_), AllOf(HasSubstr("'kedge.adapter.base'"), HasSubstr("another base"),
                                           HasSubstr(parts.base), HasSubstr(*ModelFingerprint(*base_))));
  for (const std::string& digest : {std::string(63, 'a'), std::string(64, 'A'), std::string("none")}) {
    parts.base = digest;
    EXPECT_THAT(parts.Refusal(*base_), AllOf(HasSubstr("'kedge.adapter.base'"), HasSubstr("64 lower-case hex")));
  }
}

TEST_F(LoraRefusalTest, AnotherArchitecture) {
  for (const char* architecture : {"qwen2", ""}) {
    Parts parts;
    parts.architecture = architecture;
    EXPECT_THAT(parts.Refusal(*base_), AllOf(HasSubstr("'general.architecture'"), HasSubstr("another base")));
  }
}

TEST_F(LoraRefusalTest, TensorsByThemselves) {
  const auto refusal = [&](const std::string& name, TensorType type, const Shape& shape) {
    Parts parts;
    parts.tensors[name] = {type, shape};
    return parts.Refusal(*base_);
  };
  EXPECT_THAT(refusal("w.lora_c", TensorType::kF32, {2, 2}), AllOf(HasSubstr("'w.lora_c'"), HasSubstr(".lora_a")));
  EXPECT_THAT(refusal("v.lora_a", TensorType::kF32, {2, 2}), AllOf(HasSubstr("'v.lora_a'"), HasSubstr("no .lora_b")));
  EXPECT_THAT(refusal("v.lora_b", TensorType::kF32, {2, 2}), AllOf(HasSubstr("'v.lora_b'"), HasSubstr("no .lora_a")));
  EXPECT_THAT(refusal("w.lora_a", TensorType::kQ4_0, {32, 2}), AllOf(HasSubstr("'w.lora_a'"), HasSubstr("Q4_0")));
  EXPECT_THAT(refusal("w.lora_a", static_cast<TensorType>(10), {256, 2}),
              AllOf(HasSubstr("'w.lora_a'"), HasSubstr("type 10")));
  EXPECT_THAT(refusal("w.lora_a", TensorType::kF32, {10}), AllOf(HasSubstr("'w.lora_a'"), HasSubstr("2 dimensions")));
  EXPECT_THAT(refusal("w.lora_b", TensorType::kF32, {3, 6}),
              AllOf(HasSubstr("'w.lora_b'"), HasSubstr("[3, 6]"), HasSubstr("rank 2")));
}

// The reader of GGUF knows no empty dimension.
TEST_F(LoraRefusalTest, RankZero) {
  Parts parts;
  parts.tensors = {{"w.lora_a", {TensorType::kF32, {10, 0}}}, {"w.lora_b", {TensorType::kF32, {0, 6}}}};
  const std::string bytes = parts.Make();
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "a.gguf");
  EXPECT_THAT(std::string(file.status().message()), AllOf(HasSubstr("'w.lora_a'"), HasSubstr("dimension 1 is 0")));
}

TEST_F(LoraRefusalTest, TensorsThatTheBaseHasNot) {
  const auto refusal = [&](const std::string& name, uint64_t inputs, uint64_t outputs) {
    Parts parts;
    parts.tensors = {{name + ".lora_a", {TensorType::kF32, {inputs, 2}}},
                     {name + ".lora_b", {TensorType::kF32, {2, outputs}}}};
    return parts.Refusal(*base_);
  };
  EXPECT_EQ(refusal("w", 10, 6), "");
  EXPECT_THAT(refusal("w", 11, 6), AllOf(HasSubstr("'w.lora_a'"), HasSubstr("[11, 2]"), HasSubstr("[10, 6]")));
  EXPECT_THAT(refusal("w", 10, 7), AllOf(HasSubstr("'w.lora_b'"), HasSubstr("[2, 7]"), HasSubstr("[10, 6]")));
  EXPECT_THAT(refusal("w", 6, 10), HasSubstr("'w.lora_a'"));
  EXPECT_THAT(refusal("x", 10, 6), AllOf(HasSubstr("'x.lora_a'"), HasSubstr("base.gguf has no tensor")));
  EXPECT_THAT(refusal("vector", 10, 1), AllOf(HasSubstr("'vector.lora_a'"), HasSubstr("[10] of F32")));
  EXPECT_THAT(refusal("unsupported", 256, 6), AllOf(HasSubstr("'unsupported.lora_a'"), HasSubstr("type 10")));
  EXPECT_THAT(refusal("token_embd.weight", 10, 6), HasSubstr("embedding"));
}

// One matrix and a pair for it, merged by the code under test and by a loop over single numbers.
struct Case {
  TensorType base_type = TensorType::kF32;
  TensorType pair_type = TensorType::kF32;
  uint64_t inputs = 64;
  uint64_t outputs = 21;
  uint64_t rank = 5;
  float alpha = 8;

  void Check(int threads) const {
    SCOPED_TRACE(absl::StrCat(TensorTypeName(base_type), " and ", TensorTypeName(pair_type), ", [", inputs, ", ",
                              outputs, "], rank ", rank, ", alpha ", alpha));
    const std::string w = Quantize(base_type, RandomFloats(inputs * outputs, 1));
    const std::string a = Quantize(pair_type, RandomFloats(inputs * rank, 2));
    const std::string b = Quantize(pair_type, RandomFloats(rank * outputs, 3));
    GgufWriter base_writer;
    base_writer.SetString("general.architecture", "llama");
    base_writer.AddTensor("w", base_type, {inputs, outputs}, w);
    const std::string base_bytes = base_writer.Finish();
    GgufWriter writer;
    writer.SetString("general.architecture", "llama");
    writer.SetString("general.type", "adapter");
    writer.SetString("adapter.type", "lora");
    writer.SetFloat32("adapter.lora.alpha", alpha);
    writer.AddTensor("w.lora_a", pair_type, {inputs, rank}, a);
    writer.AddTensor("w.lora_b", pair_type, {rank, outputs}, b);
    const std::string adapter_bytes = writer.Finish();
    const auto base = Parse(base_bytes, "base.gguf");
    const auto adapter = LoraAdapter::Create(Parse(adapter_bytes, "adapter.gguf")).value();
    ASSERT_TRUE(adapter->CheckFits(*base).ok()) << adapter->CheckFits(*base);
    EXPECT_EQ(adapter->largest_rank(), rank);

    std::vector<float> merged(inputs * outputs);
    DequantizeWeights(base_type, base->FindTensor("w")->data, absl::MakeSpan(merged));
    const std::vector<float> a_values = Dequantize(pair_type, a, inputs * rank);
    const std::vector<float> b_values = Dequantize(pair_type, b, rank * outputs);
    const float scale = alpha == 0 ? 1 : alpha / static_cast<float>(rank);
    for (size_t i = 0; i < outputs; ++i) {
      for (size_t j = 0; j < inputs; ++j) {
        float sum = 0;
        for (size_t k = 0; k < rank; ++k) sum += b_values[i * rank + k] * a_values[k * inputs + j];
        merged[i * inputs + j] += scale * sum;
      }
    }
    const TensorType type =
        base_type == TensorType::kF32 || inputs % 32 != 0 ? TensorType::kF32 : TensorType::kQ8_0;
    EXPECT_EQ(LoraAdapter::MergedType(*base->FindTensor("w")), type);
    ThreadPool pool(threads);
    const auto actual = adapter->Merge(*base->FindTensor("w"), pool);
    ASSERT_TRUE(actual.ok()) << actual.status();
    EXPECT_EQ(std::string(actual->begin(), actual->end()), Quantize(type, merged));
  }
};

TEST(LoraMergeTest, EqualsAPlainLoopForEveryTypeOfBase) {
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
                          TensorType::kQ4_1}) {
    for (int threads : {1, 3}) Case{.base_type = type}.Check(threads);
  }
}

TEST(LoraMergeTest, EqualsAPlainLoopForEveryTypeOfAdapter) {
  for (TensorType type : {TensorType::kF16, TensorType::kBF16}) Case{.pair_type = type}.Check(2);
  Case{.base_type = TensorType::kQ4_1, .pair_type = TensorType::kQ8_0, .outputs = 9, .rank = 32}.Check(2);
}

TEST(LoraMergeTest, EqualsAPlainLoopForEveryShape) {
  for (uint64_t inputs : {1, 31, 32, 33, 100}) {
    for (uint64_t rank : {1, 2, 40}) {
      Case{.inputs = inputs, .outputs = 1, .rank = rank}.Check(2);
      Case{.base_type = TensorType::kF16, .inputs = inputs, .outputs = 5, .rank = rank}.Check(2);
    }
  }
}

TEST(LoraMergeTest, AlphaZeroIsAScaleOfOne) {
  Case{.alpha = 0}.Check(1);
  Case{.alpha = -3}.Check(1);
}

// A machine that adds in another order, or fuses, or rounds otherwise, shows here.
TEST(LoraMergeTest, BitsAreTheSameEverywhere) {
  const TinyModelOptions options{.weight_type = TensorType::kQ4_1};
  const std::string base_bytes = MakeTinyModel(options);
  const std::string adapter_bytes = MakeTinyAdapter(options, {});
  const auto base = Parse(base_bytes, "tiny.gguf");
  const auto adapter = LoraAdapter::Create(Parse(adapter_bytes, "adapter.gguf")).value();
  ASSERT_TRUE(adapter->CheckFits(*base).ok());
  ThreadPool pool(2);
  std::string all;
  for (const auto& [name, pair] : adapter->pairs()) {
    const std::vector<uint8_t> merged = adapter->Merge(*base->FindTensor(name), pool).value();
    all.append(merged.begin(), merged.end());
  }
  EXPECT_EQ(*CombinedFingerprint(all, ""),  // SHA-256
            "28e711cc8e9f5d4597bba611b47d24d09891035ace2618b881144ee242b09507");
}

TEST(LoraMergeTest, WeightsThatAreNotFiniteAreRefused) {
  const std::string base_bytes = SmallBase();
  const auto base = Parse(base_bytes, "base.gguf");
  ThreadPool pool(2);
  for (float value : {NAN, INFINITY, 3e38f}) {
    std::vector<float> a(20, 1.0f);
    a[13] = value;
    GgufWriter writer;
    writer.SetString("general.architecture", "llama");
    writer.SetString("general.type", "adapter");
    writer.SetString("adapter.type", "lora");
    writer.AddTensor("w.lora_a", TensorType::kF32, {10, 2}, Bytes(a));
    writer.AddTensor("w.lora_b", TensorType::kF32, {2, 6}, Bytes(std::vector<float>(12, 2.0f)));
    const std::string bytes = writer.Finish();
    const auto adapter = LoraAdapter::Create(Parse(bytes, "adapter.gguf")).value();
    ASSERT_TRUE(adapter->CheckFits(*base).ok());
    const absl::Status status = adapter->Merge(*base->FindTensor("w"), pool).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("adapter.gguf: tensor 'w.lora_a'"));
  }
}

}  // namespace
}  // namespace kedge
