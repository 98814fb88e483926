// Rows of the packed table are those of the file, for every type of weights.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/test_device.h"
#include "common/kernels/cuda/weights.h"
#include "common/kernels/dequantize.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

TEST(Embed, GivesTheWeightsOfTheFile) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  // Little for TSan, to which each thread of a kernel is one of its own.
  const bool is_little = emulated::HasThreadSanitizer();
  using Seeds = std::vector<std::optional<uint64_t>>;
  const std::vector<int> some_inputs =
      is_little ? std::vector<int>{256} : std::vector<int>{32, 40, 72, 96, 256, 512};
  for (const std::optional<uint64_t> seed : is_little ? Seeds{1} : Seeds{std::nullopt, 1, 2}) {
    for (const TensorType type : kAllTypes) {
      for (const int inputs : some_inputs) {
        if (inputs % BlockSize(type) != 0) continue;
        constexpr int kTokens = 37;
        std::vector<float> values(size_t(kTokens) * inputs), expected(inputs);
        for (float& value : values) value = normal(random);
        const std::string data = Quantize(type, values);
        const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(data.data()), data.size());
        TestDevice device(seed);
        const WeightForm form = FormOf(type);
        std::vector<uint8_t> packed(PackedBytes(form, kTokens, inputs));
        PackGroups(type, kTokens, inputs, bytes, 0, Groups(form, kTokens), packed.data());
        const Matrix table = {form, kTokens, inputs, device.Upload(packed)};

        // Tokens, some by what the step before chose; the last ones are none that the table has.
        std::vector<ChosenToken> chosen;
        std::vector<StepRow> rows;
        std::vector<int> tokens;
        for (int token = 0; token < kTokens + 2; token += is_little ? 9 : 1) {
          StepRow& row = rows.emplace_back();
          const uint32_t id = token < kTokens ? token : UINT32_MAX - 3;
          row.token = id;
          if (token % 3 == 0) {
            row.token = 12345;
            row.chosen_before = static_cast<int32_t>(chosen.size());
            chosen.push_back({.token = id});
          }
          tokens.push_back(std::min(token, kTokens - 1));
        }
        Step step;
        step.num_rows = static_cast<int>(rows.size());
        step.rows = device.Upload(rows);
        step.chosen = device.Upload(chosen);
        const int stride = (inputs + 31) / 32 * 32;
        const FloatRows out = {device.New<float>(rows.size() * stride), inputs, stride};
        ASSERT_TRUE(Embed(device.stream(), table, step, out).ok());
        const std::vector<float> got = device.Download(out.data, rows.size() * stride);
        const size_t row_bytes = TensorBytes(type, inputs);
        for (size_t r = 0; r < rows.size(); ++r) {
          DequantizeWeights(type, bytes.subspan(tokens[r] * row_bytes, row_bytes), absl::MakeSpan(expected));
          ASSERT_EQ(std::memcmp(expected.data(), &got[r * stride], inputs * sizeof(float)), 0)
              << TensorTypeName(type) << " inputs " << inputs << " row " << r;
        }
      }
    }
  }
}

TEST(Embed, NoRowsAreNoLaunch) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(Embed(device.stream(), {WeightForm::kF32, 4, 8, nullptr}, {}, {nullptr, 8, 32}).ok());
  EXPECT_EQ(Embed(device.stream(), {WeightForm::kF32, 4, 8, nullptr}, {}, {nullptr, 9, 32}).message(),
            "embed: out.columns must be table.inputs");
}

}  // namespace
}  // namespace kedge::cuda
