#include "common/node/salience_store.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

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
    bytes_ = MakeTinyModel({});
    file_ = GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()), "tiny")
                .value();
    config_ = LoadConfig(*file_).value();
  }

  const std::string cache_ = testing::TempDir() + "/salience_store";
  std::string bytes_;
  std::shared_ptr<const GgufFile> file_;
  ModelConfig config_;
};

TEST_F(SalienceStoreTest, WithoutCalibrationAllHeadsServe) {
  const FoundHeads found = FindSalienceHeads(*file_, config_, "abc").value();
  EXPECT_FALSE(found.calibrated);
  EXPECT_EQ(found.heads.retrieval.size(), static_cast<size_t>(config_.num_layers * config_.num_heads));
  EXPECT_TRUE(found.heads.pointers.empty());
}

TEST_F(SalienceStoreTest, StoredHeadsAreFoundByFingerprint) {
  const SalienceHeads heads{.pointers = {{1, 0}}, .retrieval = {{0, 1}, {1, 1}}};
  const std::string path = StoreSalienceHeads(heads, "abc").value();
  EXPECT_TRUE(std::filesystem::exists(path));
  const FoundHeads found = FindSalienceHeads(*file_, config_, "abc").value();
  EXPECT_TRUE(found.calibrated);
  EXPECT_EQ(found.heads, heads);
  EXPECT_FALSE(FindSalienceHeads(*file_, config_, "abcd")->calibrated);
}

TEST_F(SalienceStoreTest, DamageNamesTheFile) {
  const std::string path = StoreSalienceHeads({.retrieval = {{0, 0}}}, "abc").value();
  std::ofstream(path) << "retrieval=99.0\n";
  const absl::Status status = FindSalienceHeads(*file_, config_, "abc").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_THAT(std::string(status.message()), HasSubstr("99.0"));
}

TEST_F(SalienceStoreTest, TheDefaultModelIsKnown) {
  const absl::string_view text =
      KnownSalienceHeads("f4d1b1b1");  // no model's
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace kedge
