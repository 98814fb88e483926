// Tiny models of every kind: cpu against the reference, whole passes against token by token, and what Launch refuses.
#include "common/model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/kernels/choose_token.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/create_ops.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kMaxRows = 64;
constexpr uint32_t kPages = 16;

// `model` must outlive the device.
std::unique_ptr<TransformerDevice> MakeDevice(const std::string& model, std::unique_ptr<Ops> ops, KvType type) {
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(model.data()), model.size());
  absl::StatusOr<std::shared_ptr<const GgufFile>> file = GgufFile::Parse(bytes, "tiny.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  const uint64_t kv_bytes = LoadConfig(**file)->row_shape(type).row_bytes() * kPageRows * kPages;
  auto device = TransformerDevice::Create(*file, std::move(ops), type, kv_bytes, kMaxRows);
  EXPECT_TRUE(device.ok()) << device.status();
  return *std::move(device);
}

std::vector<uint32_t> RandomTokens(std::mt19937& random, size_t count) {
  std::vector<uint32_t> tokens(count);
  for (uint32_t& token : tokens) token = random() % kTinyVocabularySize;
  return tokens;
}

// Logits [tokens, vocab] of a text under full attention, in steps of `chunk` rows.
std::vector<float> AllLogits(StepDevice& device, const std::vector<uint32_t>& tokens, uint32_t chunk,
                             PageId first_page = 0) {
  std::vector<float> logits;
  for (uint32_t done = 0; done < tokens.size(); done += chunk) {
    StepPlan plan;
    plan.tables.resize(1);
    for (PageId page = 0; page <= tokens.size() / kPageRows; ++page) plan.tables[0].recent.push_back(first_page + page);
    for (uint32_t i = done; i < std::min<size_t>(done + chunk, tokens.size()); ++i) {
      plan.rows.push_back({.token = tokens[i], .position = i, .role = Role::kPrompt, .wants_logits = true});
    }
    const std::unique_ptr<StepFuture> future = device.Launch(plan);
    EXPECT_TRUE(future->Wait().ok()) << future->Wait();
    for (size_t i = 0; i < plan.rows.size(); ++i) {
      const absl::Span<const float> row = future->Logits(i);
      logits.insert(logits.end(), row.begin(), row.end());
    }
  }
  return logits;
}

// Natural logs of the probabilities of all tokens, row by row.
std::vector<double> LogProbabilities(const std::vector<float>& logits) {
  std::vector<double> result(logits.size());
  for (size_t row = 0; row < logits.size(); row += kTinyVocabularySize) {
    const float max = *std::max_element(&logits[row], &logits[row] + kTinyVocabularySize);
    double sum = 0;
    for (int i = 0; i < kTinyVocabularySize; ++i) sum += std::exp(double{logits[row + i]} - max);
    for (int i = 0; i < kTinyVocabularySize; ++i) result[row + i] = logits[row + i] - max - std::log(sum);
  }
  return result;
}

// Full attention over the tokens, in one step on pages from `first_page` on; logits of every row.
std::unique_ptr<StepFuture> RunTokens(StepDevice& device, const std::vector<uint32_t>& tokens, PageId first_page = 0) {
  StepPlan plan;
  plan.tables.resize(1);
  for (PageId page = 0; page <= tokens.size() / kPageRows; ++page) plan.tables[0].recent.push_back(first_page + page);
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    plan.rows.push_back({.token = tokens[i], .position = i, .role = Role::kPrompt, .wants_logits = true});
  }
  std::unique_ptr<StepFuture> future = device.Launch(plan);
  EXPECT_TRUE(future->Wait().ok()) << future->Wait();
  return future;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Difference {
  double largest = 0;
  double root_mean_square = 0;
};

Difference CpuAgainstReference(const std::string& model, KvType type, uint32_t seed) {
  std::mt19937 random(seed);
  const std::vector<uint32_t> tokens = RandomTokens(random, 60);
  const auto log_probabilities = [&](std::unique_ptr<Ops> ops) {
    return LogProbabilities(AllLogits(*MakeDevice(model, std::move(ops), type), tokens, kMaxRows));
  };
  const std::vector<double> actual = log_probabilities(CreateCpuOps({.threads = 2}));
  const std::vector<double> expected = log_probabilities(*CreateOps({.backend = "reference"}));
  Difference difference;
  double squares = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double d = std::abs(actual[i] - expected[i]);
    difference.largest = std::max(difference.largest, std::isnan(d) ? INFINITY : d);
    squares += d * d;
  }
  difference.root_mean_square = std::sqrt(squares / static_cast<double>(expected.size()));
  return difference;
}

// Random shapes; every second model has rope factors, every second its own output matrix; every third is a qwen2, every
// third a qwen3, and two of three have stretched positions.
TinyModelOptions RandomShape(std::mt19937& random, uint32_t seed, bool quantized) {
  const int head_dims[] = {8, 10, 16, 24, 64};
  TinyModelOptions options;
  options.seed = seed;
  options.kv_heads = 1 + static_cast<int>(random() % 3);
  options.heads = options.kv_heads * (1 + static_cast<int>(random() % 5));
  options.head_dim = quantized ? 32 : head_dims[random() % 5];
  options.hidden = quantized ? 32 * (1 + static_cast<int>(random() % 4)) : 17 + static_cast<int>(random() % 80);
  options.ffn = quantized ? 32 * (1 + static_cast<int>(random() % 4)) : 19 + static_cast<int>(random() % 80);
  options.tied = seed % 2 == 0;
  options.rope_factors = seed / 2 % 2 == 0;
  options.architecture = std::vector<std::string>{"llama", "qwen2", "qwen3"}[seed % 3];
  options.rope_scaling = std::vector<std::string>{"", "linear", "yarn"}[seed / 3 % 3];
  options.rope_freq_base = seed % 3 == 0 ? 100000 : 10000;
  return options;
}

TEST(TransformerTest, CpuAgreesWithTheReferenceForFloats) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const TinyModelOptions options = RandomShape(random, seed, false);
    EXPECT_LT(CpuAgainstReference(MakeTinyModel(options), KvType::kF32, seed).largest, 1e-4);
  }
}

// Weights of 16 bits are exact in both backends, so only sums differ, as for F32. Rows of 16 bits add a step of the KV
// type wherever that difference falls on a rounding edge: one of 2^-11 (f16) or 2^-8 (bf16) in one number of a row.
TEST(TransformerTest, CpuAgreesWithTheReferenceForHalves) {
  for (TensorType type : {TensorType::kF16, TensorType::kBF16}) {
    for (uint32_t seed = 20; seed <= 23; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " " << TensorTypeName(type));
      std::mt19937 random(seed);
      TinyModelOptions options = RandomShape(random, seed, false);
      options.weight_type = options.embedding_type = type;
      const std::string model = MakeTinyModel(options);
      EXPECT_LT(CpuAgainstReference(model, KvType::kF32, seed).largest, 1e-4);
      EXPECT_LT(CpuAgainstReference(model, KvType::kF16, seed).largest, 5e-3);
      EXPECT_LT(CpuAgainstReference(model, KvType::kBF16, seed).largest, 4e-2);
    }
  }
}

// The cpu backend rounds activations to 8 bits, the reference does not. Rounding noise is uniform in a step of
// (largest of 32) / 127; for normal numbers, whose largest of 32 is about 2.2 deviations, that is 0.5 % of a product's
// deviation. 7 products in each of 2 layers and the output, independent of one another, make 2 %; attention with these
// models' sharp scores may double it, and logits have a deviation of 2.5: 0.1 in root mean square. Largest of 20,000
// numbers: 5 deviations.
TEST(TransformerTest, CpuAgreesWithTheReferenceForQuantizedWeights) {
  for (TensorType type :
       {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1}) {
    for (uint32_t seed = 40; seed <= 44; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " " << TensorTypeName(type));
      std::mt19937 random(seed);
      TinyModelOptions options = RandomShape(random, seed, true);
      options.weight_type = type;
      options.embedding_type = seed % 2 == 0 ? TensorType::kQ8_0 : type;
      const Difference difference = CpuAgainstReference(MakeTinyModel(options), KvType::kF16, seed);
      RecordProperty("root_mean_square", std::to_string(difference.root_mean_square));
      EXPECT_LT(difference.root_mean_square, 0.1);
      EXPECT_LT(difference.largest, 0.5);
      EXPECT_GT(difference.largest, 0);  // it does round
    }
  }
}

// Against Hugging Face's transformers (tools/make_architecture_vectors.py).
TEST(TransformerTest, EveryArchitectureAgreesWithAnotherImplementation) {
  struct Case {
    const char* architecture;
    const char* rope_scaling;
    const char* vectors;
  };
  for (const Case& c :
       {Case{"llama", "linear", "llama_linear"}, Case{"llama", "yarn", "llama_yarn"}, Case{"qwen2", "", "qwen2"},
        Case{"qwen2", "yarn", "qwen2_yarn"}, Case{"qwen3", "", "qwen3"}, Case{"qwen3", "yarn", "qwen3_yarn"}}) {
    SCOPED_TRACE(c.vectors);
    std::ifstream stream(std::string("common/model/testdata/tiny_") + c.vectors + "_logprobs.json");
    const nlohmann::json vectors = nlohmann::json::parse(stream);
    const std::vector<uint32_t> ids = vectors["ids"];
    const std::vector<double> expected = vectors["logprobs"];
    ASSERT_EQ(expected.size(), 59u);
    const std::string model =
        MakeTinyModel({.tied = false, .architecture = c.architecture, .rope_scaling = c.rope_scaling});
    for (const char* backend : {"reference", "cpu"}) {
      const auto device = MakeDevice(model, *CreateOps({.backend = backend}), KvType::kF32);
      const std::vector<double> actual = LogProbabilities(AllLogits(*device, ids, kMaxRows));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(actual[i * kTinyVocabularySize + ids[i + 1]], expected[i], 1e-4) << backend << " at " << i;
      }
    }
  }
}

TEST(TransformerTest, WholePassEqualsTokenByToken) {
  const TensorType types[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                              TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1};
  for (uint32_t seed = 60; seed < 68; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    TinyModelOptions options = RandomShape(random, seed, seed >= 63);
    options.weight_type = options.embedding_type = types[seed - 60];
    const std::string model = MakeTinyModel(options);
    const std::vector<uint32_t> tokens = RandomTokens(random, 60);
    const KvType type = kKvTypes[seed % std::size(kKvTypes)];
    const auto device = MakeDevice(model, CreateCpuOps({.threads = 2}), type);
    const std::vector<float> whole = AllLogits(*device, tokens, kMaxRows);
    EXPECT_TRUE(SameBits(AllLogits(*device, tokens, 1, 4), whole));
    EXPECT_TRUE(SameBits(AllLogits(*device, tokens, 17, 8), whole));
    // Another device of the same class, without vectors or threads.
    const auto other = MakeDevice(model, CreateCpuOps({.instruction_set = InstructionSet::kScalar}), type);
    EXPECT_TRUE(SameBits(AllLogits(*other, tokens, 40), whole));
  }
}

// Rows read out of one device and written into another continue as if nothing had happened.
TEST(TransformerTest, RowsContinueOnAnotherDevice) {
  const std::string model = MakeTinyModel({.weight_type = TensorType::kQ4_0});
  std::mt19937 random(70);
  const std::vector<uint32_t> tokens = RandomTokens(random, 50);
  const auto first = MakeDevice(model, CreateCpuOps({.threads = 2}), KvType::kF16);
  const std::vector<float> expected = AllLogits(*first, tokens, kMaxRows);

  std::vector<RowRef> from, to;
  for (uint32_t i = 0; i + 1 < tokens.size(); ++i) {
    from.push_back({i / kPageRows, i % kPageRows});
    to.push_back({7 - i / kPageRows, i % kPageRows});
  }
  const RowBuffer rows = first->NewRowBuffer(from.size() * first->row_shape().row_bytes());
  ASSERT_TRUE(first->ReadRows(from, rows)->Wait().ok());
  const auto second = MakeDevice(model, CreateCpuOps({}), KvType::kF16);
  second->WriteRows(to, rows.Share());
  StepPlan plan;
  plan.tables = {{.recent = {7, 6}}};
  plan.rows = {{.token = tokens.back(), .position = 49, .role = Role::kGenerated, .wants_logits = true}};
  const auto future = second->Launch(plan);
  ASSERT_TRUE(future->Wait().ok());
  EXPECT_EQ(
      std::memcmp(future->Logits(0).data(), &expected[49 * kTinyVocabularySize], kTinyVocabularySize * sizeof(float)),
      0);
}

// More rows with logits than are computed at a time, and rows without between them.
TEST(TransformerTest, LogitsComeForTheRowsThatWantThemInPlanOrder) {
  const std::string model = MakeTinyModel({});
  const auto device = MakeDevice(model, CreateCpuOps({.threads = 2}), KvType::kF16);
  std::mt19937 random(80);
  const std::vector<uint32_t> tokens = RandomTokens(random, 60);
  const std::vector<float> all = AllLogits(*device, tokens, kMaxRows);
  StepPlan plan;
  plan.tables = {{.recent = {4, 5}}};
  std::vector<uint32_t> wanted;
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    const bool wants_logits = i % 4 != 1;
    if (wants_logits) wanted.push_back(i);
    plan.rows.push_back({.token = tokens[i], .position = i, .wants_logits = wants_logits});
  }
  ASSERT_GT(wanted.size(), 32u);
  const auto future = device->Launch(plan);
  ASSERT_TRUE(future->Wait().ok());
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(std::memcmp(future->Logits(i).data(), &all[size_t{wanted[i]} * kTinyVocabularySize],
                          kTinyVocabularySize * sizeof(float)),
              0)
        << i;
  }
}

TEST(TransformerTest, PlansOutOfRangeAreRefused) {
  const std::string model = MakeTinyModel({});
  const auto device = MakeDevice(model, CreateCpuOps({}), KvType::kF16);
  StepPlan good;
  good.tables = {{.first_recent_page = 1, .recent = {3}, .kept = {5}}};
  good.rows = {{.token = 5, .position = 40, .recent_begin = 40, .kept_index = 0}};
  EXPECT_TRUE(device->Launch(good)->Wait().ok());
  const auto refused = [&](auto change) {
    StepPlan plan = good;
    change(plan);
    return device->Launch(plan)->Wait().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].token = kTinyVocabularySize; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].tables = 1; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.tables[0].recent[0] = kPages; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.tables[0].kept[0] = kPages; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].position = 64; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].recent_begin = 41; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].choice = 0; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].recent_begin = 31; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].kept_end = 33; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows[0].kept_index = 32; }));
  EXPECT_TRUE(refused([](StepPlan& p) { p.rows.resize(kMaxRows + 1, p.rows[0]); }));
}

TEST(TransformerTest, CreateReportsADamagedFile) {
  std::string model = MakeTinyModel({});
  const size_t at = model.find("blk.0.attn_k.weight");
  ASSERT_NE(at, std::string::npos);
  model[at] = 'x';
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(model.data()), model.size());
  auto file = GgufFile::Parse(bytes, "tiny.gguf");
  ASSERT_TRUE(file.ok());
  const absl::Status status = TransformerDevice::Create(*file, CreateCpuOps({}), KvType::kF16, 4, 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("blk.0.attn_k.weight"), std::string::npos) << status;
}

class NumbersTest : public testing::TestWithParam<std::string> {
 protected:
  // On every backend that this machine has.
  std::unique_ptr<TransformerDevice> Make(const TinyModelOptions& options, KvType type) {
    models_.push_back(std::make_unique<std::string>(MakeTinyModel(options)));
    return MakeDevice(*models_.back(), *CreateOps({.backend = GetParam(), .threads = 2}), type);
  }
  std::vector<std::unique_ptr<std::string>> models_;
};

TEST_P(NumbersTest, ARowThatIsNoNumberIsNamedAndNoOtherSuffers) {
  const auto device = Make({.tied = false, .nan_embedding = 20}, KvType::kF16);
  std::vector<uint32_t> tokens;
  for (uint32_t i = 0; i < 40; ++i) tokens.push_back(100 + i);
  const std::vector<float> good = AllLogits(*device, tokens, kMaxRows);
  EXPECT_TRUE(RunTokens(*device, tokens)->CheckRows(0, 40).ok());

  // Rows 17 to 39 see the bad one.
  std::vector<uint32_t> bad = tokens;
  bad[17] = 20;
  const auto step = RunTokens(*device, bad);
  EXPECT_TRUE(step->CheckRows(0, 17).ok());
  EXPECT_TRUE(step->CheckRows(40, 0).ok());
  for (const auto& [first, count] : {std::pair{0, 40}, {17, 1}, {10, 8}}) {
    const absl::Status status = step->CheckRows(first, count);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("token 17, layer 0: a key or value is infinite or not a number"));
  }
  EXPECT_FALSE(step->CheckRows(39, 1).ok());
  for (size_t i = 0; i < 17; ++i) {
    EXPECT_TRUE(SameBits({step->Logits(i).begin(), step->Logits(i).end()},
                         {good.begin() + i * kTinyVocabularySize, good.begin() + (i + 1) * kTinyVocabularySize}));
  }
  // The pages serve the next request as if nothing had been.
  EXPECT_TRUE(SameBits(AllLogits(*device, tokens, kMaxRows), good));
  EXPECT_TRUE(SameBits(AllLogits(*device, tokens, 1), good));
}

TEST_P(NumbersTest, WhatTheKvTypeDoesNotHoldIsNoticed) {
  const std::vector<uint32_t> tokens = {30, 31, 32};
  const absl::Status status = RunTokens(*Make({.value_gain = 1e6f}, KvType::kF16), tokens)->CheckRows(0, 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("token 0, layer 0"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the KV type f16 holds: serve this model with --kv-type bf16"));
  EXPECT_TRUE(RunTokens(*Make({.value_gain = 1e6f}, KvType::kBF16), tokens)->CheckRows(0, 3).ok());
  EXPECT_TRUE(RunTokens(*Make({.value_gain = 1e6f}, KvType::kF32), tokens)->CheckRows(0, 3).ok());
}

TEST_P(NumbersTest, LogitsThatAreNoNumbersAreNoticed) {
  const auto device = Make({.tied = false, .nan_output = 99}, KvType::kF16);
  const absl::Status status = RunTokens(*device, {30, 31})->CheckRows(1, 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("token 1: its logits are infinite or not numbers"));
}

TEST_P(NumbersTest, ARowThatWantsATokenGetsThatOfItsLogits) {
  const auto device = Make({.tied = false, .nan_output = 99}, KvType::kF16);
  const auto good = Make({}, KvType::kF16);
  std::mt19937 random(4);
  StepPlan plan;
  plan.tables = {{.recent = {0, 1}}};
  for (uint32_t i = 0; i < 50; ++i) {  // more than are computed at a time
    plan.rows.push_back({.token = static_cast<uint32_t>(random() % kTinyVocabularySize), .position = i});
    plan.rows.back().wants_logits = i % 5 != 3;
  }
  const auto step = good->Launch(plan);
  ASSERT_TRUE(step->Wait().ok());
  std::vector<std::vector<float>> logits;
  for (size_t i = 0; i < 40; ++i) logits.emplace_back(step->Logits(i).begin(), step->Logits(i).end());
  for (uint32_t i = 0; i < 50; ++i) {
    if (!plan.rows[i].wants_logits || i % 3 == 0) continue;
    plan.rows[i].wants_logits = false;
    plan.rows[i].choice = static_cast<int32_t>(plan.choices.size());
    plan.choices.push_back({.temperature = i % 2 ? 1.0f : 0.0f, .top_p = 0.95f, .seed = i});
  }
  const auto other = good->Launch(plan);
  ASSERT_TRUE(other->Wait().ok());
  EXPECT_TRUE(other->CheckRows(0, 50).ok());
  size_t output = 0;
  for (const PlanRow& row : plan.rows) {
    if (!row.has_output()) continue;
    if (row.choice >= 0) {
      EXPECT_EQ(other->Token(output), ChooseToken(logits[output], plan.choices[row.choice]));
    } else {
      EXPECT_EQ(other->Token(output), std::nullopt);
      EXPECT_TRUE(SameBits({other->Logits(output).begin(), other->Logits(output).end()}, logits[output]));
    }
    ++output;
  }
  EXPECT_EQ(output, logits.size());

  const auto bad = device->Launch(plan);
  ASSERT_TRUE(bad->Wait().ok());
  for (uint32_t i = 0; i < 50; ++i) EXPECT_EQ(bad->CheckRows(i, 1).ok(), !plan.rows[i].has_output()) << i;
}

TEST_P(NumbersTest, ARowTakesTheTokenThatTheStepBeforeChose) {
  const auto device = Make({}, KvType::kF16);
  StepPlan first;
  first.tables = {{.recent = {0}}, {.recent = {1}}};
  first.rows = {{.token = 30, .position = 0, .wants_logits = true},
                {.token = 31, .position = 0, .tables = 1, .choice = 0}};
  first.choices = {{.temperature = 0}};
  const auto before = device->Launch(first);
  StepPlan next;
  next.tables = {{.recent = {1}}};
  next.rows = {{.position = 1, .wants_logits = true, .chosen_before = 1}};
  const auto ahead = device->Launch(next);
  ASSERT_TRUE(before->Wait().ok());
  ASSERT_TRUE(ahead->Wait().ok());
  ASSERT_TRUE(before->Token(1).has_value());  // what an earlier step made is still there
  EXPECT_EQ(before->Logits(0).size(), kTinyVocabularySize);
  next.rows[0].chosen_before = -1;
  next.rows[0].token = *before->Token(1);
  const auto given = device->Launch(next);
  ASSERT_TRUE(given->Wait().ok());
  EXPECT_TRUE(
      SameBits({ahead->Logits(0).begin(), ahead->Logits(0).end()}, {given->Logits(0).begin(), given->Logits(0).end()}));
  next.rows[0].chosen_before = 1;  // the last step has one output
  EXPECT_EQ(device->Launch(next)->Wait().code(), absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Backends, NumbersTest, testing::ValuesIn(Backends()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) c = absl::ascii_isalnum(c) ? c : '_';
  return name;
});

}  // namespace
}  // namespace kedge
