#include "tests/gpu/check/random_model.h"

#include <cmath>

#include "bench/model_cost.h"
#include "common/kernels/dequantize.h"
#include "common/model/config.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// The deviation of a matrix, with inputs of deviation 1, is what it was made for.
double Gain(const GgufFile& file, const std::string& name) {
  const GgufTensor& tensor = *file.FindTensor(name);
  std::vector<float> values(tensor.shape[0] * tensor.shape[1]);
  DequantizeWeights(tensor.type, tensor.data, absl::MakeSpan(values));
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
  }
  const double count = static_cast<double>(values.size());
  EXPECT_LT(std::abs(sum / count), 0.1 * std::sqrt(squares / count)) << name;
  return std::sqrt(squares / count * static_cast<double>(tensor.shape[0]));
}

TEST(RandomModel, HasTheShapesOfTheRealOnes) {
  const struct {
    const char* name;
    double products;  // of a row, in millions: the parameters but the embedding
  } kShapes[] = {{"8B", 7504}, {"0.5B", 494}};
  for (const auto& [name, products] : kShapes) {
    ModelShape shape = ShapeNamed(name).value();
    const int layers = shape.layers;
    shape.layers = 1;
    for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_K}) {
      const RandomModel model = RandomModel::Make(shape, type, 2).value();
      const absl::StatusOr<ModelConfig> config = LoadConfig(*model.file());
      ASSERT_TRUE(config.ok()) << config.status();
      EXPECT_EQ(config->vocab_size, shape.vocab);
      const ModelCost cost = CostOf(*model.file()).value();
      EXPECT_NEAR(static_cast<double>(cost.row_products * layers + cost.output_products) / 1e6, products, 1);
      EXPECT_NEAR(Gain(*model.file(), "blk.0.attn_q.weight"), 1, 0.05);
      EXPECT_NEAR(Gain(*model.file(), "blk.0.ffn_down.weight"), 1, 0.05);
    }
  }
  EXPECT_FALSE(ShapeNamed("7B").ok());
}

}  // namespace
}  // namespace kedge
