// Against the outside: the default model's log probabilities, computed by llama.cpp in float (see
// tools/make_logprob_vectors.py). The slow reference takes the beginning of each text. Needs the model file:
// KEDGE_MODEL, which `./kedge test` sets where it is cached.
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "common/engine/score.h"
#include "common/node/load_model.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

struct Difference {
  double mean = 0;
  double worst = 0;
};

Difference Compare(const std::string& backend, KvType kv_type, size_t most_tokens, const char* model) {
  const auto file = GgufFile::Open(model).value();
  std::ifstream stream("tests/testdata/smollm2_logprobs.json");
  const nlohmann::json vectors = nlohmann::json::parse(stream);
  Difference difference;
  size_t count = 0;
  for (const nlohmann::json& vector : vectors["cases"]) {
    std::vector<uint32_t> ids = vector["ids"];
    if (ids.size() > most_tokens) ids.resize(most_tokens);
    Content content{.ids = ids, .policy = {.recent = Policy::kAll}};
    content.prompt_length = static_cast<uint32_t>(content.ids.size());
    const auto device = MakeDevice(file, {.backend = backend, .kv_type = kv_type, .kv_bytes = 64 << 20}).value();
    const Score score = ScoreWhole(content, {}, device.get()).value();
    const std::vector<double> expected = vector["logprobs"];
    EXPECT_EQ(score.logprobs.size(), ids.size() - 1);
    for (size_t i = 0; i < score.logprobs.size(); ++i, ++count) {
      const double error = std::abs(score.logprobs[i] - expected[i]);
      difference.mean += error;
      difference.worst = std::max(difference.worst, error);
    }
  }
  difference.mean /= static_cast<double>(count);
  std::printf("%s: mean %.5f worst %.5f over %zu tokens\n", backend.c_str(), difference.mean, difference.worst, count);
  return difference;
}

TEST(GoldenLogprobsTest, ReferenceAgreesWithLlamaCppInFloat) {
  const char* model = std::getenv("KEDGE_MODEL");
  if (model == nullptr || *model == 0)
    GTEST_SKIP() << "KEDGE_MODEL is not set: run `./kedge run hello` once, or set it";
  EXPECT_LT(Compare("reference", KvType::kF32, 40, model).worst, 1e-3);
}

TEST(GoldenLogprobsTest, CpuStaysNearIt) {
  const char* model = std::getenv("KEDGE_MODEL");
  if (model == nullptr || *model == 0)
    GTEST_SKIP() << "KEDGE_MODEL is not set: run `./kedge run hello` once, or set it";
  const Difference difference = Compare("cpu", KvType::kF16, 1000, model);
  EXPECT_LT(difference.mean, 0.05);  // int8 activations against Q4_1 weights
  EXPECT_LT(difference.worst, 1.0);
}

}  // namespace
}  // namespace kedge
