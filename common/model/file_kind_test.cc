#include "common/model/file_kind.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(DescribeOtherFile, WeightsAreConvertedByTheirFolder) {
  const std::string command = "`python3 tools/convert_hf.py '/my models/a' model.gguf`";
  const std::string safetensors = std::string("\x10\0\0\0\0\0\0\0", 8) + "{\"a\":{}}        ";
  EXPECT_THAT(DescribeOtherFile("/my models/a/model.safetensors", safetensors),
              AllOf(StartsWith("a safetensors file"), HasSubstr(command)));
  EXPECT_THAT(DescribeOtherFile("/my models/a/pytorch_model.bin", "PK\3\4......archive/data.pkl"),
              AllOf(StartsWith("a PyTorch file"), HasSubstr(command)));
  EXPECT_THAT(DescribeOtherFile("/my models/a/old.pt", "\x80\2}q"), StartsWith("a PyTorch file"));
  EXPECT_THAT(DescribeOtherFile("model.safetensors", safetensors), HasSubstr("convert_hf.py . model.gguf"));
  EXPECT_THAT(DescribeOtherFile("/my models/a/config.json", "{\"architectures\": []}"),
              AllOf(StartsWith("a JSON file"), HasSubstr(command)));
}

TEST(DescribeOtherFile, WhatStandsForAModelSaysSo) {
  EXPECT_THAT(DescribeOtherFile("m.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n"),
              HasSubstr("git lfs pull"));
  for (const char* page : {"<!DOCTYPE html><html>", "\n <html lang=en>", "<?xml version='1.0'?><Error>"}) {
    EXPECT_THAT(DescribeOtherFile("m.gguf", page), StartsWith("a web page")) << page;
  }
  for (const std::string& packed : {std::string("PK\3\4 model.gguf"), std::string("\x1f\x8b\b"), std::string("BZh9")}) {
    EXPECT_THAT(DescribeOtherFile("m.gguf.zip", packed), HasSubstr("unpack it"));
  }
  EXPECT_THAT(DescribeOtherFile("m.bin", "lmgg\1"), StartsWith("a GGML file"));
  EXPECT_EQ(DescribeOtherFile("m.gguf", "hello"), "it does not begin with 'GGUF'");
  EXPECT_EQ(DescribeOtherFile("m.gguf", ""), "it does not begin with 'GGUF'");
}

TEST(DescribeOtherFile, OllamasManifestLeadsToTheModel) {
  const std::string manifest =
      R"({"schemaVersion":2,"layers":[{"mediaType":"application/vnd.ollama.image.license","digest":"sha256:11"},)"
      R"({"mediaType":"application/vnd.ollama.image.model","digest":"sha256:22"}]})";
  EXPECT_THAT(DescribeOtherFile("/h/.ollama/models/manifests/registry.ollama.ai/library/qwen3/latest", manifest),
              HasSubstr("a manifest of Ollama; give the model that it names: /h/.ollama/models/blobs/sha256-22"));
  EXPECT_THAT(DescribeOtherFile("latest", manifest), HasSubstr("names: sha256-22"));
  EXPECT_THAT(DescribeOtherFile("latest", R"({"layers":[{"mediaType":7},3]})"), StartsWith("a JSON file"));
  for (const char* text : {"{{ .Prompt }}", "You are"}) {
    EXPECT_THAT(DescribeOtherFile("/h/.ollama/models/blobs/sha256-33", text), StartsWith("a blob of Ollama"));
  }
}

TEST(DescribeFolder, NamesWhatToGive) {
  const std::string folder = absl::StrCat(::testing::TempDir(), "/file kind.", ::getpid());
  std::filesystem::create_directories(folder);
  EXPECT_THAT(DescribeFolder(folder), HasSubstr("without a model"));
  std::ofstream(folder + "/config.json") << "{}";
  EXPECT_THAT(DescribeFolder(folder), AllOf(StartsWith("a Hugging Face folder"),
                                            HasSubstr(absl::StrCat("convert_hf.py '", folder, "' model.gguf"))));
  for (const char* name : {"d.gguf", "b.gguf", "c.gguf"}) std::ofstream(absl::StrCat(folder, "/", name)) << "GGUF";
  EXPECT_EQ(DescribeFolder(folder), absl::StrCat("a folder; give the model's file: '", folder, "/b.gguf', '", folder,
                                                 "/c.gguf', '", folder, "/d.gguf'"));
  std::ofstream(folder + "/a.gguf") << "GGUF";
  EXPECT_THAT(DescribeFolder(folder), AllOf(HasSubstr("/a.gguf"), Not(HasSubstr("/d.gguf")), HasSubstr(", ...")));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace kedge
