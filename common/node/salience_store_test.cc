#include "common/node/salience_store.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "common/node/known_heads.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

class SalienceStoreTest : public testing::Test {
 protected:
  SalienceStoreTest() {
    setenv("XDG_CACHE_HOME", cache_.c_str(), 1);
    std::filesystem::remove_all(cache_);
    const std::string path = testing::TempDir() + "/tiny.gguf";
    std::ofstream(path, std::ios::binary) << MakeTinyModel({});
    files_.emplace(ModelFiles::Open(path, "").value());
    config_ = LoadConfig(*files_->base).value();
    fingerprint_ = ModelFingerprint(*files_).value();
  }

  const std::string cache_ = testing::TempDir() + "/salience_store";
  std::optional<ModelFiles> files_;
  ModelConfig config_;
  std::string fingerprint_;
};

TEST_F(SalienceStoreTest, WithoutCalibrationAllHeadsServe) {
  const FoundHeads found = FindSalienceHeads(*files_, config_).value();
  EXPECT_FALSE(found.calibrated);
  EXPECT_EQ(found.heads.retrieval.size(), static_cast<size_t>(config_.num_layers * config_.num_heads));
  EXPECT_TRUE(found.heads.pointers.empty());
}

TEST_F(SalienceStoreTest, StoredHeadsAreFoundByFingerprint) {
  const SalienceHeads heads{.pointers = {{1, 0}}, .retrieval = {{0, 1}, {1, 1}}};
  const std::string path = StoreSalienceHeads(heads, fingerprint_).value();
  EXPECT_TRUE(std::filesystem::exists(path));
  const FoundHeads found = FindSalienceHeads(*files_, config_).value();
  EXPECT_TRUE(found.calibrated);
  EXPECT_EQ(found.heads, heads);
  ASSERT_TRUE(StoreSalienceHeads({.retrieval = {{0, 0}}}, "of another model").ok());
  EXPECT_EQ(FindSalienceHeads(*files_, config_)->heads, heads);
}

TEST_F(SalienceStoreTest, DamageNamesTheFile) {
  const std::string path = StoreSalienceHeads({.retrieval = {{0, 0}}}, fingerprint_).value();
  std::ofstream(path) << "retrieval=99.0\n";
  const absl::Status status = FindSalienceHeads(*files_, config_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_THAT(std::string(status.message()), HasSubstr("99.0"));
}

TEST(KnownHeads, AreListsOfHeads) {
  // SmolLM2-135M-Instruct: 30 layers of 9 heads.
  const absl::string_view text = KnownSalienceHeads("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
  EXPECT_TRUE(ParseSalienceHeads(text, 30, 9).ok()) << text;
  EXPECT_EQ(KnownSalienceHeads("of no model"), "");
}

}  // namespace
}  // namespace kedge
