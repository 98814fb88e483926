#include "bench/engine_bench.h"

#include <set>

#include "common/model/model_files.h"
#include "common/node/load_model.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Work kPrompt{.kind = Work::Kind::kPrompt, .context = 40};
const Work kDecode{.kind = Work::Kind::kDecode, .streams = 1, .context = 40};
const Work kTogether{.kind = Work::Kind::kDecode, .streams = 3, .context = 20};
const Work kAtOnce{.kind = Work::Kind::kDecode, .streams = 1, .context = 0};

TEST(EngineBenchTest, WorksOfOneContextShareARun) {
  const std::vector<RunKey> runs = RunsFor({kPrompt, kTogether, kDecode, kAtOnce, kDecode}, /*written=*/0);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_THAT(runs[0].works, ElementsAre(kPrompt, kDecode));
  EXPECT_EQ(runs[0].written, DefaultWritten(kDecode));
  EXPECT_THAT(runs[1].works, ElementsAre(kTogether));
  EXPECT_EQ(runs[1].written, DefaultWritten(kTogether));
  EXPECT_EQ(RunsFor({kPrompt}, 9)[0].written, 0u);
  EXPECT_EQ(RunsFor({kPrompt, kDecode}, 9)[0].written, 9u);
}

class TinyEngineBenchTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = testing::TempDir() + "/tiny.gguf";
    ASSERT_TRUE(WriteTinyModel({}, path).ok());
    auto files = ModelFiles::Open(path, "");
    ASSERT_TRUE(files.ok());
    auto tokenizer = Tokenizer::Load(*files->base);
    ASSERT_TRUE(tokenizer.ok());
    tokenizer_ = *std::move(tokenizer);
    auto device = MakeDevice(*files, {.threads = 1, .kv_bytes = 64 << 20});
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    cost_ = *CostOf(*files->base);
    text_.emplace(*BenchText::Make(*tokenizer_));
  }

  absl::StatusOr<EngineBench> Run(EngineBenchOptions options) {
    const Limits limits{.read_bytes = 1e9, .int8_products = 1e9, .float_products = 1e9};
    return RunEngineBench(
        options, *text_, *tokenizer_, cost_, limits, [](const std::string&) {}, device_.get());
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<StepDevice> device_;
  ModelCost cost_;
  std::optional<BenchText> text_;
};

TEST_F(TinyEngineBenchTest, EveryWorkIsMeasuredUnderEveryPolicy) {
  EngineBenchOptions options{.works = {kPrompt, kDecode, kTogether},
                             .policies = {{"full", {.recent = Policy::kAll}}, {"few", {.sinks = 2, .recent = 8}}},
                             .repeat = 2,
                             .written = 3};
  const auto bench = Run(options);
  ASSERT_TRUE(bench.ok()) << bench.status();
  std::set<std::string> names;
  for (const EngineRow& row : bench->rows) {
    names.insert(row.work + "/" + row.policy);
    EXPECT_EQ(row.tokens_per_second.size(), 2u);
    EXPECT_GT(row.tokens_per_second[0], 0);
    EXPECT_GT(row.share_of_limit, 0);
    EXPECT_GT(row.share_idle, 0);
    EXPECT_LT(row.share_idle, 1);
  }
  EXPECT_THAT(names, ElementsAre("decode_1_ctx40/few", "decode_1_ctx40/full", "decode_3_ctx20/few",
                                 "decode_3_ctx20/full", "prompt_40/few", "prompt_40/full"));
  EXPECT_LE(PagesNeeded(options, *text_, *tokenizer_, device_->max_rows()), device_->num_pages());

  const auto json = nlohmann::json::parse(EngineBenchJson(*bench));
  EXPECT_EQ(json["rows"].size(), 6u);
  EXPECT_EQ(json["rows"][0]["work"], "prompt_40");
  EXPECT_EQ(json["rows"][0]["policy"], "full");
  EXPECT_GT(json["rows"][0]["tokens_per_s"], 0);
  EXPECT_EQ(json["limits"]["read_bytes_per_s"], 1e9);
  EXPECT_THAT(EngineBenchText(*bench), HasSubstr("decode_3_ctx20"));
}

TEST_F(TinyEngineBenchTest, SharesAreOfTheWorkThatMustBeDone) {
  const auto bench =
      Run({.works = {kPrompt, kDecode}, .policies = {{"full", {.recent = Policy::kAll}}}, .repeat = 1, .written = 1});
  ASSERT_TRUE(bench.ok()) << bench.status();
  const EngineRow& prompt = bench->rows[0];
  const double products = 40.0 * cost_.row_products + cost_.output_products;
  EXPECT_NEAR(prompt.share_of_limit, products * prompt.tokens_per_second[0] / 40 / 1e9, 1e-9);
  const EngineRow& decode = bench->rows[1];
  const double bytes = cost_.weight_bytes + 41.0 * device_->row_shape().page_row_bytes();
  EXPECT_NEAR(decode.share_of_limit, bytes * decode.tokens_per_second[0] / 1e9, 1e-9);
}

TEST_F(TinyEngineBenchTest, WhatAPolicyHoldsIsAShareOfAllPages) {
  const auto bench = Run({.works = {{.kind = Work::Kind::kDecode, .streams = 2, .context = 200}},
                          .policies = {{"full", {.recent = Policy::kAll}}, {"few", {.sinks = 2, .recent = 8}}},
                          .repeat = 2,
                          .written = 1});
  ASSERT_TRUE(bench.ok()) << bench.status();
  EXPECT_EQ(bench->rows[0].share_of_full_cache, 1);
  EXPECT_DOUBLE_EQ(bench->rows[1].share_of_full_cache, 2.0 / 7);  // pages of sinks and of rows 193..199; of 200 rows
}

}  // namespace
}  // namespace kedge
