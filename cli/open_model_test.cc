#include "cli/open_model.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::StartsWith;

std::string Write(const std::string& name, const std::string& bytes) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string ErrorOf(const std::string& model, const std::string& adapter) {
  return std::string(OpenModel(model, adapter, [] { return false; }).status().message());
}

TEST(OpenModelTest, ErrorsBeginWithTheFlag) {
  const std::string model = Write("model.gguf", MakeTinyModel({}));
  const std::string text = Write("text.gguf", "no model");
  const std::string fifo = testing::TempDir() + "/fifo";
  std::filesystem::remove(fifo);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ErrorOf(model, ""), "");
  EXPECT_THAT(ErrorOf("/nowhere.gguf", ""),
              StartsWith("--model: there is no file /nowhere.gguf, and no model of that"));
  EXPECT_EQ(ErrorOf(fifo, ""), "--model: " + fifo + ": not a regular file");
  EXPECT_EQ(ErrorOf("/dev/null", ""), "--model: /dev/null: not a regular file");
  EXPECT_THAT(ErrorOf(text, ""), StartsWith("--model: " + text + ": not a GGUF file"));
  EXPECT_THAT(ErrorOf(text, model), StartsWith("--model: " + text));
  EXPECT_EQ(ErrorOf(model, fifo), "--adapter: " + fifo + ": not a regular file");
  EXPECT_THAT(ErrorOf(model, model), StartsWith("--adapter: " + model));
}

}  // namespace
}  // namespace kedge
