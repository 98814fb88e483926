#include "common/model/rope.h"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/testing/gguf_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Of a model with heads of 64 values and a context of 4,096.
absl::StatusOr<RopeConfig> Load(const std::function<void(GgufWriter&)>& set) {
  GgufWriter writer;
  set(writer);
  const std::string bytes = writer.Finish();
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "rope.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  return LoadRope(**file, "llama", 64, 4096);
}

std::string Error(const std::function<void(GgufWriter&)>& set) {
  const absl::Status status = Load(set).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StartsWith(status.message(), "rope.gguf: key 'llama.rope.")) << status;
  return std::string(status.message());
}

void SetScaling(GgufWriter& writer, const std::string& type, float factor) {
  writer.SetString("llama.rope.scaling.type", type);
  writer.SetFloat32("llama.rope.scaling.factor", factor);
}

TEST(LoadRope, FillsInWhatTheFormatLeavesOut) {
  const auto config = Load([](GgufWriter&) {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->dim, 64);
  EXPECT_EQ(config->freq_base, 10000);
  EXPECT_EQ(config->scaling.type, RopeScaling::Type::kNone);
  EXPECT_EQ(RopeScalingText(config->scaling), "none");
}

TEST(LoadRope, AFactorWithoutATypeIsLinear) {
  for (const char* key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    const auto config = Load([&](GgufWriter& writer) { writer.SetFloat32(key, 2.5f); });
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(RopeScalingText(config->scaling), "linear by 2.5");
  }
}

TEST(LoadRope, ReadsYarn) {
  const auto plain = Load([](GgufWriter& writer) { SetScaling(writer, "yarn", 4); });
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(RopeScalingText(plain->scaling), "yarn by 4 from 4096");
  EXPECT_EQ(plain->scaling.beta_fast, 32);
  EXPECT_EQ(plain->scaling.beta_slow, 1);
  const auto all = Load([](GgufWriter& writer) {
    SetScaling(writer, "yarn", 2);
    writer.SetUint32("llama.rope.scaling.original_context_length", 1024);
    writer.SetFloat32("llama.rope.scaling.yarn_beta_fast", 16);
    writer.SetFloat32("llama.rope.scaling.yarn_beta_slow", 2);
    writer.SetFloat32("llama.rope.scaling.attn_factor", 0.5f);
  });
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(RopeScalingText(all->scaling), "yarn by 2 from 1024");
  EXPECT_EQ(all->scaling.beta_fast, 16);
  EXPECT_EQ(all->scaling.beta_slow, 2);
  EXPECT_FLOAT_EQ(MakeRopeTable(*all, {}).magnitude, 0.5 * (1 + 0.1 * std::log(2.0)));
}

// To the bit: such a model's rows may lie in a cache.
TEST(LoadRope, AFactorOfOneChangesNothing) {
  const RopeTable plain = MakeRopeTable(*Load([](GgufWriter&) {}), {});
  EXPECT_EQ(plain.magnitude, 1);
  EXPECT_EQ(plain.inverse_frequencies[0], 1);
  for (const char* type : {"none", "linear", "yarn"}) {
    for (float factor : {0.0f, 1.0f}) {
      const auto config = Load([&](GgufWriter& writer) { SetScaling(writer, type, factor); });
      ASSERT_TRUE(config.ok()) << config.status();
      EXPECT_EQ(config->scaling.type, RopeScaling::Type::kNone);
      const RopeTable table = MakeRopeTable(*config, {});
      EXPECT_EQ(table.inverse_frequencies, plain.inverse_frequencies);
      EXPECT_EQ(table.magnitude, 1);
    }
  }
  const auto none = Load([&](GgufWriter& writer) { SetScaling(writer, "none", 4); });
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(MakeRopeTable(*none, {}).inverse_frequencies, plain.inverse_frequencies);
}

TEST(LoadRope, RefusalsNameTheKey) {
  EXPECT_THAT(Error([](GgufWriter& w) { SetScaling(w, "longrope", 4); }),
              AllOf(HasSubstr("scaling.type': 'longrope' is not supported"), HasSubstr("none, linear, yarn")));
  for (float bad : {-1.0f, NAN, INFINITY}) {
    EXPECT_THAT(Error([&](GgufWriter& w) { SetScaling(w, "linear", bad); }), HasSubstr("scaling.factor': must be"));
    EXPECT_THAT(Error([&](GgufWriter& w) { w.SetFloat32("llama.rope.scaling.attn_factor", bad); }),
                HasSubstr("attn_factor': must be positive and finite"));
  }
  EXPECT_THAT(Error([](GgufWriter& w) {
                SetScaling(w, "yarn", 4);
                w.SetUint32("llama.rope.scaling.original_context_length", 0);
              }),
              HasSubstr("original_context_length': must be positive"));
  EXPECT_THAT(Error([](GgufWriter& w) {
                SetScaling(w, "yarn", 4);
                w.SetFloat32("llama.rope.scaling.yarn_beta_slow", 33);
              }),
              AllOf(HasSubstr("yarn_beta_slow': must be at most"), HasSubstr("32; found 33")));
  EXPECT_THAT(Error([](GgufWriter& w) {
                SetScaling(w, "yarn", 4);
                w.SetFloat32("llama.rope.freq_base", 1);
              }),
              HasSubstr("freq_base': must be above 1"));
}

TEST(MakeRopeTable, LinearDividesEveryFrequency) {
  RopeConfig config = {.dim = 64};
  const RopeTable plain = MakeRopeTable(config, {});
  config.scaling = {.type = RopeScaling::Type::kLinear, .factor = 4};
  const RopeTable table = MakeRopeTable(config, {});
  EXPECT_EQ(table.magnitude, 1);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(table.inverse_frequencies[i], plain.inverse_frequencies[i] / 4) << i;
}

// 64 values, base 10,000, from 4,096: pair 10.47 turns 32 times, pair 22.52 once. So pairs up to 10 stay, those from 23
// on are divided, and the 13 steps between are even.
TEST(MakeRopeTable, YarnKeepsWhatTurnsFast) {
  RopeConfig config = {.dim = 64};
  const RopeTable plain = MakeRopeTable(config, {});
  config.scaling = {.type = RopeScaling::Type::kYarn, .factor = 4, .original_context = 4096};
  const RopeTable table = MakeRopeTable(config, {});
  EXPECT_FLOAT_EQ(table.magnitude, 1.1386294f);
  for (int i = 0; i < 32; ++i) {
    const double kept = i <= 10 ? 1 : i >= 23 ? 0 : (23 - i) / 13.0;
    EXPECT_NEAR(table.inverse_frequencies[i] / plain.inverse_frequencies[i], kept + (1 - kept) / 4, 1e-6) << i;
  }
}

TEST(MakeRopeTable, FactorsOfTheTensorDivideBesides) {
  RopeConfig config = {.dim = 8, .scaling = {.type = RopeScaling::Type::kLinear, .factor = 2}};
  const RopeTable plain = MakeRopeTable(config, {});
  const RopeTable table = MakeRopeTable(config, {1, 2, 4, 8});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(table.inverse_frequencies[i], plain.inverse_frequencies[i] / (1 << i)) << i;
}

}  // namespace
}  // namespace kedge
