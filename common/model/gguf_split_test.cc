// A tiny model in parts is the model; and what is said of parts that do not fit.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/testing/gguf_writer.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Setter {
  GgufWriter& writer;
  const std::string& key;
  void operator()(bool value) { writer.SetBool(key, value); }
  void operator()(int64_t value) { writer.SetInt64(key, value); }
  void operator()(uint64_t value) { writer.SetUint64(key, value); }
  void operator()(double value) { writer.SetFloat64(key, value); }
  void operator()(const std::string& value) { writer.SetString(key, value); }
  void operator()(const std::vector<bool>& values) { writer.SetBools(key, values); }
  void operator()(const std::vector<int64_t>& values) {
    writer.SetInt32s(key, std::vector<int32_t>(values.begin(), values.end()));
  }
  void operator()(const std::vector<double>& values) {
    writer.SetFloat32s(key, std::vector<float>(values.begin(), values.end()));
  }
  void operator()(const std::vector<std::string>& values) { writer.SetStrings(key, values); }
};

class GgufSplit : public ::testing::Test {
 protected:
  GgufSplit() : directory_(absl::StrCat(::testing::TempDir(), "/gguf_split_test.", ::getpid())) {
    std::filesystem::create_directories(directory_);
    whole_bytes_ = MakeTinyModel({});
    whole_ = *GgufFile::Parse(Bytes(whole_bytes_), "whole.gguf");
    for (int i = 0; i < 3; ++i) WritePart(i, i, [](GgufWriter&) {});
  }
  ~GgufSplit() override { std::filesystem::remove_all(directory_); }

  static absl::Span<const uint8_t> Bytes(const std::string& bytes) {
    return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }

  std::string Path(int i) const { return absl::StrFormat("%s/tiny-%05d-of-00003.gguf", directory_, i + 1); }

  // Part i of three under its name: every third tensor, and the metadata in the first.
  void WritePart(int i, int64_t number, const std::function<void(GgufWriter&)>& change, int64_t count = 3) {
    GgufWriter writer;
    if (i == 0) {
      for (const auto& [key, value] : whole_->metadata()) std::visit(Setter{writer, key}, value);
    }
    writer.SetUint16("split.no", static_cast<uint16_t>(number));
    writer.SetUint16("split.count", static_cast<uint16_t>(count));
    writer.SetInt32("split.tensors.count", static_cast<int32_t>(whole_->tensors().size()));
    const std::vector<GgufTensor>& tensors = whole_->tensors();
    for (size_t t = i; t < tensors.size(); t += 3) {
      writer.AddTensor(
          tensors[t].name, tensors[t].type, tensors[t].shape,
          absl::string_view(reinterpret_cast<const char*>(tensors[t].data.data()), tensors[t].data.size()));
    }
    change(writer);
    std::ofstream(Path(i), std::ios::binary | std::ios::trunc) << writer.Finish();
  }

  std::string Error() const { return std::string(GgufFile::Open(Path(0)).status().message()); }

  std::string directory_;
  std::string whole_bytes_;
  std::shared_ptr<const GgufFile> whole_;
};

TEST_F(GgufSplit, TheFirstPartOpensAllOfThem) {
  const auto file = GgufFile::Open(Path(0));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->further_parts().size(), 2u);
  EXPECT_EQ((*file)->total_bytes(), std::filesystem::file_size(Path(0)) + std::filesystem::file_size(Path(1)) +
                                        std::filesystem::file_size(Path(2)));
  ASSERT_EQ((*file)->tensors().size(), whole_->tensors().size());
  for (const GgufTensor& tensor : whole_->tensors()) {
    const GgufTensor* found = (*file)->FindTensor(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape);
    EXPECT_TRUE(found->data == tensor.data) << tensor.name;
  }
  EXPECT_TRUE(LoadConfig(**file).ok()) << LoadConfig(**file).status();
}

TEST_F(GgufSplit, TheFingerprintCoversEveryPart) {
  const auto of = [&] { return *ModelFingerprint(**GgufFile::Open(Path(0)), ""); };
  std::vector<std::string> all = {of()};
  EXPECT_EQ(of(), all[0]);
  for (int i = 0; i < 3; ++i) {
    WritePart(i, i, [](GgufWriter& writer) { writer.SetBool("other", true); });
    all.push_back(of());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  for (const std::string& fingerprint : all) EXPECT_TRUE(IsFingerprint(fingerprint));
}

TEST_F(GgufSplit, AnotherPartSaysWhichOneToGive) {
  const absl::Status status = GgufFile::Open(Path(1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr(absl::StrCat(Path(1), ": part 2 of 3 of a split model; give its first part, ", Path(0)))));
  const std::string renamed = directory_ + "/model.gguf";
  std::filesystem::copy(Path(2), renamed);
  EXPECT_THAT(std::string(GgufFile::Open(renamed).status().message()),
              HasSubstr("part 3 of 3 of a split model; give its first part, whose name ends in -00001-of-00003.gguf"));
  std::filesystem::copy(Path(0), renamed, std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(std::string(GgufFile::Open(renamed).status().message()),
              HasSubstr("model.gguf: part 1 of 3 of a split model; its name must end in -00001-of-00003.gguf"));
}

TEST_F(GgufSplit, AMissingPartIsNamed) {
  std::filesystem::remove(Path(2));
  EXPECT_EQ(GgufFile::Open(Path(0)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(2)), HasSubstr("part 3 of 3 of the split model")));
}

TEST_F(GgufSplit, AForeignPartIsNamed) {
  WritePart(1, 2, [](GgufWriter&) {});
  EXPECT_THAT(Error(),
              HasSubstr(absl::StrCat(Path(1), ": key 'split.no': must be 1, found 2: this is not part 2 of 3")));
  WritePart(
      1, 1, [](GgufWriter&) {}, 4);
  EXPECT_THAT(Error(), HasSubstr(absl::StrCat(Path(1), ": key 'split.count': must be 3, found 4")));
  std::ofstream(Path(1), std::ios::binary | std::ios::trunc) << whole_bytes_;
  EXPECT_THAT(Error(), HasSubstr(absl::StrCat(Path(1), ": key 'split.no': must be 1: this is not part 2")));
  std::ofstream(Path(1), std::ios::binary | std::ios::trunc) << "<html>";
  EXPECT_THAT(Error(),
              AllOf(HasSubstr(absl::StrCat(Path(1), ": not a GGUF file: a web page")), HasSubstr("part 2 of 3")));
  WritePart(1, 1, [](GgufWriter& writer) {
    writer.AddTensor("token_embd.weight", TensorType::kF32, {1}, std::string(4, '\0'));
  });
  EXPECT_THAT(Error(), HasSubstr(absl::StrCat(Path(1), ": tensor 'token_embd.weight': is in another part")));
  WritePart(1, 1, [](GgufWriter& writer) { writer.AddTensor("more", TensorType::kF32, {1}, std::string(4, '\0')); });
  EXPECT_THAT(Error(), AllOf(HasSubstr(Path(0)), HasSubstr("key 'split.tensors.count'"), HasSubstr("another model")));
}

TEST_F(GgufSplit, NumbersThatMakeNoSenseAreRefused) {
  WritePart(0, 3, [](GgufWriter&) {});
  EXPECT_THAT(Error(), HasSubstr("key 'split.no': must be below split.count, 3; found 3"));
  WritePart(
      0, 0, [](GgufWriter&) {}, 0);
  EXPECT_THAT(Error(), HasSubstr("key 'split.count': must be from 1 to 99999, found 0"));
}

}  // namespace
}  // namespace kedge
