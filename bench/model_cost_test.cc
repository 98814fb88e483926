#include "bench/model_cost.h"

#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

ModelCost Cost(const TinyModelOptions& options) {
  const std::string bytes = MakeTinyModel(options);
  const auto file = GgufFile::Parse({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "tiny");
  EXPECT_TRUE(file.ok()) << file.status();
  const auto cost = CostOf(**file);
  EXPECT_TRUE(cost.ok()) << cost.status();
  return *cost;
}

TEST(ModelCostTest, CountsEachMatrixOnce) {
  const TinyModelOptions options;  // 2 layers, hidden 64, 4 heads and 2 kv heads of 16, ffn 96, F32, tied
  const ModelCost cost = Cost(options);
  const uint64_t layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96;
  const uint64_t output = uint64_t{kTinyVocabularySize} * 64;
  EXPECT_EQ(cost.row_products, 2 * layer);
  EXPECT_EQ(cost.output_products, output);
  const uint64_t norms = (2 * 2 + 1) * 64;
  EXPECT_EQ(cost.weight_bytes, 4 * (2 * layer + output + norms));
}

TEST(ModelCostTest, AnEmbeddingThatIsNoOutputIsNotRead) {
  EXPECT_EQ(Cost({.tied = false}).weight_bytes, Cost({.tied = true}).weight_bytes);
  EXPECT_EQ(Cost({.tied = false}).output_products, Cost({.tied = true}).output_products);
}

}  // namespace
}  // namespace kedge
