#include "common/model/gguf.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/testing/gguf_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<std::shared_ptr<const GgufFile>> Parse(const std::string& bytes) {
  return GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
                         "model.gguf");
}

// The error's text; "" when there is none. Checks the code and that the file is named.
std::string ParseError(const std::string& bytes) {
  const auto file = Parse(bytes);
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(file.status().message()), ::testing::StartsWith("model.gguf: "));
  return std::string(file.status().message());
}

// `bytes` with the only occurrence of `from` replaced by `to` (of the same length).
std::string Patched(std::string bytes, const std::string& from, const std::string& to) {
  const size_t position = bytes.find(from);
  EXPECT_NE(position, std::string::npos);
  EXPECT_EQ(bytes.find(from, position + 1), std::string::npos);
  EXPECT_EQ(from.size(), to.size());
  return bytes.replace(position, from.size(), to);
}

// A file with one tensor [4, 2] of F32 and a few keys.
GgufWriter SmallFile() {
  GgufWriter writer;
  writer.SetString("general.name", "small");
  writer.SetInt32s("numbers", {1, 2, 3});
  writer.AddTensor("weights", TensorType::kF32, {4, 2},
                   Quantize(TensorType::kF32, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  return writer;
}

TEST(GgufFile, ReadsMetadataOfEveryKind) {
  for (uint32_t version : {2u, 3u}) {
    GgufWriter writer(version);
    writer.SetUint8("u8", 200);
    writer.SetInt8("i8", -100);
    writer.SetUint16("u16", 60000);
    writer.SetInt16("i16", -30000);
    writer.SetUint32("u32", 4000000000u);
    writer.SetInt32("i32", -2000000000);
    writer.SetUint64("u64", std::numeric_limits<int64_t>::max());
    writer.SetInt64("i64", std::numeric_limits<int64_t>::min());
    writer.SetFloat32("f32", 0.5f);
    writer.SetFloat64("f64", 0.1);
    writer.SetBool("bool", true);
    writer.SetString("string", std::string("a\0b", 3));
    writer.SetInt32s("i32s", {-1, 0, 7});
    writer.SetFloat32s("f32s", {0.5f, -2.0f});
    writer.SetBools("bools", {true, false, true});
    writer.SetStrings("strings", {"x", "", "\xff"});
    writer.SetInt32s("none", {});
    writer.SetRaw("u8s", 9, RawBytes<uint32_t>(0) + RawBytes<uint64_t>(2) + "\x01\xff");
    const std::string bytes = writer.Finish();
    const auto file = Parse(bytes);
    ASSERT_TRUE(file.ok()) << file.status();
    const GgufFile& f = **file;
    EXPECT_EQ(f.version(), version);
    EXPECT_EQ(f.metadata().size(), 18u);
    EXPECT_EQ(*f.GetInt("u8"), 200);
    EXPECT_EQ(*f.GetInt("i8"), -100);
    EXPECT_EQ(*f.GetInt("u16"), 60000);
    EXPECT_EQ(*f.GetInt("i16"), -30000);
    EXPECT_EQ(*f.GetInt("u32"), 4000000000);
    EXPECT_EQ(*f.GetInt("i32"), -2000000000);
    EXPECT_EQ(*f.GetInt("u64"), std::numeric_limits<int64_t>::max());
    EXPECT_EQ(*f.GetInt("i64"), std::numeric_limits<int64_t>::min());
    EXPECT_EQ(*f.GetFloat("f32"), 0.5);
    EXPECT_EQ(*f.GetFloat("f64"), 0.1);
    EXPECT_EQ(*f.GetFloat("i8"), -100.0);
    EXPECT_EQ(*f.GetFloat("u8"), 200.0);
    EXPECT_TRUE(*f.GetBool("bool"));
    EXPECT_EQ(*f.GetString("string"), std::string("a\0b", 3));
    EXPECT_EQ(**f.GetInts("i32s"), (std::vector<int64_t>{-1, 0, 7}));
    EXPECT_EQ(**f.GetInts("u8s"), (std::vector<int64_t>{1, 255}));
    EXPECT_TRUE((*f.GetInts("none"))->empty());
    EXPECT_EQ(**f.GetFloats("f32s"), (std::vector<double>{0.5, -2.0}));
    EXPECT_EQ(std::get<std::vector<bool>>(f.metadata().at("bools")), (std::vector<bool>{true, false, true}));
    EXPECT_EQ(**f.GetStrings("strings"), (std::vector<std::string>{"x", "", "\xff"}));
  }
}

TEST(GgufFile, LookUpsNameTheKeyThatIsMissingOrOfAnotherType) {
  GgufWriter writer;
  writer.SetString("text", "x");
  writer.SetUint64("huge", ~uint64_t{0});
  const std::string bytes = writer.Finish();
  const auto file = *Parse(bytes);
  EXPECT_EQ(file->GetInt("absent").status(), absl::NotFoundError("model.gguf: key 'absent' is missing"));
  EXPECT_EQ(file->GetStrings("absent").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(file->GetInt("text").status(),
            absl::InvalidArgumentError("model.gguf: key 'text': must be an integer, found: string"));
  for (const absl::Status& status :
       {file->GetFloat("text").status(), file->GetBool("text").status(), file->GetStrings("text").status(),
        file->GetInts("text").status(), file->GetFloats("text").status(), file->GetString("huge").status(),
        file->GetInt("huge").status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(GgufFile, TensorsAreViewsOfTheFile) {
  GgufWriter writer(3, 64);
  const std::string floats = Quantize(TensorType::kF32, std::vector<float>{1, 2, 3, 4, 5, 6});
  const std::string blocks(2 * 3 * 18, 'q');
  writer.AddTensor("a", TensorType::kF32, {3, 2}, floats);
  writer.AddTensor("b", TensorType::kQ4_0, {64, 3}, blocks);
  writer.AddTensor("c", TensorType::kF16, {1, 1, 1, 1}, "xy");
  const std::string bytes = writer.Finish();
  const auto file = *Parse(bytes);
  ASSERT_EQ(file->tensors().size(), 3u);
  const GgufTensor* a = file->FindTensor("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape, (std::vector<uint64_t>{3, 2}));
  EXPECT_EQ(std::string(a->data.begin(), a->data.end()), floats);
  EXPECT_EQ((a->data.data() - file->bytes().data()) % 64, 0);
  const GgufTensor* b = file->FindTensor("b");
  EXPECT_EQ(b->type, TensorType::kQ4_0);
  EXPECT_EQ(std::string(b->data.begin(), b->data.end()), blocks);
  EXPECT_EQ(file->FindTensor("c")->data.size(), 2u);
  EXPECT_EQ(file->FindTensor("d"), nullptr);
}

TEST(GgufFile, ListsTensorsOfUnsupportedTypesWithoutData) {
  GgufWriter writer;
  writer.AddTensor("k-quant", static_cast<TensorType>(10), {256}, std::string(84, 'x'));
  writer.AddTensor("after", TensorType::kF32, {1}, "1234");
  const std::string bytes = writer.Finish();
  const auto file = *Parse(bytes);
  ASSERT_NE(file->FindTensor("k-quant"), nullptr);
  EXPECT_EQ(TensorTypeName(file->FindTensor("k-quant")->type), "type 10");
  EXPECT_TRUE(file->FindTensor("k-quant")->data.empty());
  EXPECT_EQ(file->FindTensor("after")->data.size(), 4u);
}

TEST(GgufFile, AFileOfMetadataAloneNeedsNoPadding) {
  GgufWriter writer;
  writer.SetString("k", "v");
  std::string bytes = writer.Finish();
  bytes.resize(24 + 8 + 1 + 4 + 8 + 1);
  ASSERT_TRUE(Parse(bytes).ok()) << Parse(bytes).status();
}

TEST(GgufFile, RejectsWhatIsNotGguf) {
  EXPECT_THAT(ParseError(""), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ParseError("GGU"), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ParseError("ggml and more bytes than a header"), HasSubstr("not a GGUF file"));
}

TEST(GgufFile, RejectsOtherVersions) {
  EXPECT_THAT(ParseError(GgufWriter(1).Finish()), HasSubstr("version 1 is not supported; supported: 2 and 3"));
  EXPECT_THAT(ParseError(GgufWriter(4).Finish()), HasSubstr("version 4"));
  EXPECT_THAT(ParseError(GgufWriter(0x03000000).Finish()), HasSubstr("big-endian"));
}

TEST(GgufFile, RejectsEveryTruncation) {
  const std::string bytes = SmallFile().Finish();
  const size_t end_of_data = bytes.size();  // 8 floats: the data need no padding
  for (size_t size = 0; size < end_of_data; ++size) {
    // A heap block of exactly this size: a sanitizer sees a read past it.
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + size);
    EXPECT_EQ(GgufFile::Parse(part, "model.gguf").status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
  EXPECT_TRUE(Parse(bytes).ok());
}

TEST(GgufFile, RejectsCountsThatTheFileCannotHold) {
  const std::string bytes = SmallFile().Finish();
  for (uint64_t count : {uint64_t{1} << 62, ~uint64_t{0}, uint64_t{100}}) {
    std::string tensors = bytes;
    std::memcpy(&tensors[8], &count, 8);
    EXPECT_THAT(ParseError(tensors), HasSubstr("the tensor table")) << count;
    std::string keys = bytes;
    std::memcpy(&keys[16], &count, 8);
    EXPECT_THAT(ParseError(keys), HasSubstr("the metadata")) << count;
  }
}

TEST(GgufFile, RejectsLengthsThatTheFileCannotHold) {
  const std::string bytes = SmallFile().Finish();
  for (uint64_t length : {uint64_t{1} << 20, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_THAT(ParseError(Patched(bytes, RawBytes<uint64_t>(5) + "small", RawBytes(length) + "small")),
                AllOf(HasSubstr("key 'general.name'"), HasSubstr("truncated or damaged"))) << length;
    EXPECT_THAT(ParseError(Patched(bytes, RawBytes<uint64_t>(3) + RawBytes<uint32_t>(1),
                                   RawBytes(length) + RawBytes<uint32_t>(1))),
                HasSubstr("key 'numbers'")) << length;
    EXPECT_THAT(ParseError(Patched(bytes, RawBytes<uint64_t>(7) + "numbers", RawBytes(length) + "numbers")),
                HasSubstr("key 2 of 2")) << length;
    EXPECT_THAT(ParseError(Patched(bytes, RawBytes<uint64_t>(7) + "weights", RawBytes(length) + "weights")),
                HasSubstr("tensor 1 of 1")) << length;
  }
  // Before anything is allocated for the elements: the message is about all of them, not about the first missing one.
  EXPECT_THAT(ParseError(Patched(bytes, RawBytes<uint64_t>(3) + RawBytes<uint32_t>(1),
                                 RawBytes<uint64_t>(1 << 20) + RawBytes<uint32_t>(1))),
              HasSubstr("needs 1048576 x 4 bytes"));
}

TEST(GgufFile, RejectsDamagedValues) {
  const auto with_raw = [](uint32_t type, const std::string& value) {
    GgufWriter writer;
    writer.SetRaw("some.key", type, value + std::string(64, '\0'));
    return ParseError(writer.Finish());
  };
  EXPECT_THAT(with_raw(13, ""), AllOf(HasSubstr("key 'some.key'"), HasSubstr("unknown value type 13")));
  EXPECT_THAT(with_raw(7, "\x02"), AllOf(HasSubstr("key 'some.key'"), HasSubstr("boolean")));
  EXPECT_THAT(with_raw(9, RawBytes<uint32_t>(9) + RawBytes<uint64_t>(1)),
              AllOf(HasSubstr("key 'some.key'"), HasSubstr("arrays of arrays are not supported")));
  EXPECT_THAT(with_raw(9, RawBytes<uint32_t>(99) + RawBytes<uint64_t>(0)), HasSubstr("unknown array element type 99"));
  EXPECT_THAT(with_raw(9, RawBytes<uint32_t>(10) + RawBytes<uint64_t>(1) + RawBytes(~uint64_t{0})),
              HasSubstr("larger than any supported integer"));
  EXPECT_THAT(with_raw(9, RawBytes<uint32_t>(0) + RawBytes(uint64_t{1} << 40)), HasSubstr("at most 16777216"));
}

TEST(GgufFile, RejectsNamesThatOccurTwice) {
  GgufWriter keys = SmallFile();
  keys.SetUint8("general.name", 1);
  EXPECT_THAT(ParseError(keys.Finish()), HasSubstr("key 'general.name': twice"));
  GgufWriter tensors = SmallFile();
  tensors.AddTensor("weights", TensorType::kF32, {1}, "1234");
  EXPECT_THAT(ParseError(tensors.Finish()), HasSubstr("tensor 'weights': twice"));
}

TEST(GgufFile, RejectsEmptyNamesAndEscapesStrangeOnes) {
  GgufWriter empty;
  empty.SetUint8("", 1);
  EXPECT_THAT(ParseError(empty.Finish()), HasSubstr("key 1 of 1: a key is empty"));
  GgufWriter strange;
  strange.SetRaw("\xff\n", 13, std::string(16, '\0'));
  EXPECT_THAT(ParseError(strange.Finish()), HasSubstr("key '\\xff\\n'"));
}

TEST(GgufFile, RejectsAlignmentsThatAreNone) {
  for (uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 1u << 31}) {
    GgufWriter writer;
    writer.SetUint32("general.alignment", alignment);
    EXPECT_THAT(ParseError(writer.Finish()), HasSubstr("key 'general.alignment': must be a power of two")) << alignment;
  }
  GgufWriter text;
  text.SetString("general.alignment", "32");
  EXPECT_THAT(ParseError(text.Finish()), HasSubstr("key 'general.alignment': must be an integer"));
}

TEST(GgufFile, RejectsDamagedShapes) {
  const auto with_shape = [](TensorType type, const std::vector<uint64_t>& shape) {
    GgufWriter writer;
    writer.AddTensor("w", type, shape, std::string(4096, 'x'));
    return ParseError(writer.Finish());
  };
  EXPECT_EQ(with_shape(TensorType::kQ8_0, {32, 2}), "");
  EXPECT_THAT(with_shape(TensorType::kF32, {}), HasSubstr("tensor 'w': 0 dimensions"));
  EXPECT_THAT(with_shape(TensorType::kF32, {1, 1, 1, 1, 1}), HasSubstr("tensor 'w': 5 dimensions, must be 1 to 4"));
  EXPECT_THAT(with_shape(TensorType::kF32, {4, 0}), HasSubstr("tensor 'w': dimension 1 is 0"));
  EXPECT_THAT(with_shape(TensorType::kQ8_0, {33}),
              HasSubstr("a row of 33 values is no multiple of the 32 values in a block of Q8_0"));
  const uint64_t big = uint64_t{1} << 32;
  EXPECT_THAT(with_shape(TensorType::kF32, {big, big}), HasSubstr("overflows"));
  EXPECT_THAT(with_shape(TensorType::kF32, {uint64_t{1} << 62}), HasSubstr("overflows"));
  EXPECT_THAT(with_shape(TensorType::kF16, {big, 1, 1, big}), HasSubstr("overflows"));
  EXPECT_THAT(with_shape(TensorType::kF32, {1025}), HasSubstr("do not lie inside the file"));
  EXPECT_THAT(with_shape(TensorType::kF32, {uint64_t{1} << 61}), HasSubstr("do not lie inside the file"));
}

TEST(GgufFile, RejectsOffsetsOutsideOfTheData) {
  const std::string bytes = SmallFile().Finish();
  const std::string offset_field = RawBytes<uint64_t>(2) + RawBytes<uint32_t>(0);  // the last dimension and the type
  for (uint64_t offset : {uint64_t{32}, uint64_t{1} << 40, uint64_t{0} - 32}) {
    EXPECT_THAT(ParseError(Patched(bytes, offset_field + RawBytes<uint64_t>(0), offset_field + RawBytes(offset))),
                AllOf(HasSubstr("tensor 'weights'"), HasSubstr("do not lie inside the file"))) << offset;
  }
  EXPECT_THAT(ParseError(Patched(bytes, offset_field + RawBytes<uint64_t>(0), offset_field + RawBytes<uint64_t>(8))),
              HasSubstr("offset 8 is no multiple of the alignment 32"));
}

class GgufOpen : public ::testing::Test {
 protected:
  GgufOpen() : directory_(absl::StrCat(::testing::TempDir(), "/gguf_test.", ::getpid())) {
    std::filesystem::create_directories(directory_);
  }
  ~GgufOpen() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = absl::StrCat(directory_, "/", name);
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  std::string directory_;
};

TEST_F(GgufOpen, MapsAFileThatOutlivesItsDirectoryEntry) {
  const std::string path = Write("small.gguf", SmallFile().Finish());
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::remove(path);
  EXPECT_EQ((*file)->name(), path);
  ASSERT_TRUE((*file)->origin().has_value());
  EXPECT_EQ((*file)->origin()->identity.size, SmallFile().Finish().size());
  float last;
  std::memcpy(&last, (*file)->FindTensor("weights")->data.data() + 28, sizeof(last));
  EXPECT_EQ(last, 8.0f);
}

TEST_F(GgufOpen, ReportsFilesThatAreMissingEmptyDirectoriesOrDamaged) {
  EXPECT_EQ(GgufFile::Open(directory_ + "/absent.gguf").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(GgufFile::Open(directory_ + "/absent.gguf").status().ToString(), HasSubstr("absent.gguf"));
  EXPECT_EQ(GgufFile::Open(directory_).status(),
            absl::InvalidArgumentError(
                absl::StrCat(directory_, ": not a GGUF file: a folder without a model; give a GGUF file")));
  EXPECT_EQ(GgufFile::Open(Write("empty.gguf", "")).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string bytes = SmallFile().Finish();
  const absl::Status status = GgufFile::Open(Write("cut.gguf", bytes.substr(0, bytes.size() - 1))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("cut.gguf"), HasSubstr("tensor 'weights'")));
}

}  // namespace
}  // namespace kedge
