#include "common/model/model_files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/model/config.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::HasSubstr;

class ModelFilesTest : public ::testing::Test {
 protected:
  ModelFilesTest() : directory_(absl::StrCat(::testing::TempDir(), "/model_files_test.", ::getpid())) {
    std::filesystem::create_directories(directory_);
  }
  ~ModelFilesTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = absl::StrCat(directory_, "/", name);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return path;
  }

  // "" where it opens.
  static std::string Refusal(const std::string& path, const std::string& adapter) {
    return std::string(ModelFiles::Open(path, adapter).status().message());
  }

  const std::string directory_;
  const TinyModelOptions options_{.weight_type = TensorType::kQ4_0};
};

TEST_F(ModelFilesTest, OnlyWhatTheAdapterChangesIsACopy) {
  const std::string base = Write("base.gguf", MakeTinyModel(options_));
  const ModelFiles files = *ModelFiles::Open(base, Write("adapter.gguf", MakeTinyAdapter(options_, {})));
  Weights merging = *Weights::Merge(files, 2);
  const Weights weights = std::move(merging);  // its tensors stay valid
  size_t changed = 0;
  for (const GgufTensor& tensor : files.base->tensors()) {
    const GgufTensor* found = weights.FindTensor(tensor.name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->name, tensor.name);
    EXPECT_EQ(found->shape, tensor.shape);
    if (files.adapter->pairs().count(tensor.name) == 0) {
      EXPECT_EQ(found, &tensor);
      continue;
    }
    ++changed;
    EXPECT_EQ(found->type, TensorType::kQ8_0);
    EXPECT_EQ(found->data.size(), tensor.shape[0] * tensor.shape[1] / 32 * 34);
    EXPECT_NE(found->data.data(), tensor.data.data());
  }
  EXPECT_EQ(changed, 6u);
  EXPECT_EQ(weights.FindTensor("blk.9.attn_q.weight"), nullptr);
  EXPECT_EQ(&weights.base(), files.base.get());
}

TEST_F(ModelFilesTest, WithoutAnAdapterTheWeightsAreTheFiles) {
  const ModelFiles files = *ModelFiles::Open(Write("base.gguf", MakeTinyModel(options_)), "");
  EXPECT_EQ(files.adapter_policy(), "");
  const Weights weights = *Weights::Merge(files, 1);
  for (const GgufTensor& tensor : files.base->tensors()) EXPECT_EQ(weights.FindTensor(tensor.name), &tensor);
  EXPECT_EQ(*ModelFingerprint(files), *ModelFingerprint(*files.base));
}

// Base and adapter, each by its content.
TEST_F(ModelFilesTest, TheFingerprintNamesBothFiles) {
  TinyModelOptions other_options = options_;
  other_options.seed = 2;
  const std::string base = Write("base.gguf", MakeTinyModel(options_));
  const std::string other_base = Write("other-base.gguf", MakeTinyModel(other_options));
  const std::string adapter = Write("adapter.gguf", MakeTinyAdapter(options_, {}));
  const std::string same_adapter = Write("copy.gguf", MakeTinyAdapter(options_, {}));
  const std::string other_adapter = Write("other-adapter.gguf", MakeTinyAdapter(options_, {.policy = "window"}));
  const auto of = [](const std::string& path, const std::string& adapter_path) {
    return *ModelFingerprint(*ModelFiles::Open(path, adapter_path));
  };
  const std::set<std::string> all = {of(base, ""),           of(base, adapter),       of(base, other_adapter),
                                     of(other_base, ""),     of(other_base, adapter), of(other_base, other_adapter),
                                     *ModelFingerprint(**GgufFile::Open(adapter))};
  EXPECT_EQ(all.size(), 7u);
  EXPECT_EQ(of(base, same_adapter), of(base, adapter));
  EXPECT_EQ(of(base, adapter), *CombinedFingerprint(*ModelFingerprint(**GgufFile::Open(base)),
                                                    *ModelFingerprint(**GgufFile::Open(adapter))));
}

TEST_F(ModelFilesTest, RefusalsNameTheFileThatIsWrong) {
  const std::string base = Write("base.gguf", MakeTinyModel(options_));
  const std::string wide = Write("wide.gguf", MakeTinyModel({.ffn = 128}));
  const std::string adapter = Write("adapter.gguf", MakeTinyAdapter(options_, {.policy = "full"}));
  EXPECT_EQ(Refusal(base, adapter), "");
  EXPECT_EQ(ModelFiles::Open(base, adapter)->adapter_policy(), "full");
  EXPECT_THAT(Refusal(wide, adapter), HasSubstr("/adapter.gguf: tensor 'blk.0.ffn_down.weight.lora_a'"));
  EXPECT_THAT(Refusal(base, base), HasSubstr("/base.gguf: key 'general.type'"));
  EXPECT_THAT(Refusal(adapter, base), HasSubstr("/adapter.gguf: key 'general.type': this is an adapter"));
  EXPECT_THAT(Refusal(adapter, adapter), HasSubstr("give it with --adapter"));
  EXPECT_THAT(Refusal(base, directory_ + "/none.gguf"), HasSubstr("/none.gguf"));
  EXPECT_THAT(Refusal(directory_ + "/none.gguf", adapter), HasSubstr("/none.gguf"));

  // The digest is the plain SHA-256 of the file (Fingerprint.IsTheSha256OfTheFile, in config_test.cc).
  const std::string digest = *ModelFingerprint(**GgufFile::Open(base));
  const std::string exact = Write("exact.gguf", MakeTinyAdapter(options_, {.base_digest = digest}));
  EXPECT_EQ(Refusal(base, exact), "");
  TinyModelOptions other_options = options_;
  other_options.seed = 2;
  EXPECT_THAT(Refusal(Write("other.gguf", MakeTinyModel(other_options)), exact),
              HasSubstr("/exact.gguf: key 'kedge.adapter.base': " + digest));
}

}  // namespace
}  // namespace kedge
