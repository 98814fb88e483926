#include "cli/token_list.h"

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(TokenListTest, TakesCommasAndWhiteSpace) {
  EXPECT_THAT(*ParseTokenList("1,2,3"), ElementsAre(1, 2, 3));
  EXPECT_THAT(*ParseTokenList(" 1 ,\n2\t3\r\n4294967295, "), ElementsAre(1, 2, 3, 4294967295u));
  EXPECT_THAT(*ParseTokenList(""), IsEmpty());
}

TEST(TokenListTest, NamesWhatIsNoTokenId) {
  for (const char* text : {"1,-2", "1,2.5", "1,x", "4294967296", "1;2"}) {
    absl::Status status = ParseTokenList(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("is no token id"));
  }
}

TEST(ReadFileTest, ReadsEveryByteAndNamesAMissingFile) {
  std::string path = testing::TempDir() + "/prompt";
  std::string content("a\0b\n\n", 5);
  std::ofstream(path, std::ios::binary) << content;
  EXPECT_EQ(*ReadFileOrStdin(path), content);
  absl::Status status = ReadFileOrStdin(path + ".gone").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("prompt.gone"));
  EXPECT_EQ(ReadFileOrStdin(testing::TempDir()).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace kedge
