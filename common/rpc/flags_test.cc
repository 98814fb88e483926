#include "common/rpc/flags.h"

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::HasSubstr;

// What the validator says; "" is yes.
std::string Says(const CLI::Validator& validator, std::string text) { return validator(text); }

TEST(WholeNumberTest, TakesDigitsWithinBounds) {
  const CLI::Validator any = WholeNumber(0, UINT64_MAX);
  EXPECT_EQ(Says(any, "0"), "");
  EXPECT_EQ(Says(any, "18446744073709551615"), "");
  for (const char* bad : {"-1", "18446744073709551616", "99999999999999999999999", "1.5", "1e3", "x", "", " 1", "+1"}) {
    EXPECT_THAT(Says(any, bad), HasSubstr("whole number from 0 to 18446744073709551615")) << bad;
  }
  EXPECT_NE(Says(WholeNumber(1, 5), "0"), "");
  EXPECT_NE(Says(WholeNumber(1, 5), "6"), "");
  EXPECT_EQ(Says(WholeNumber(1, 5), "5"), "");
}

TEST(WholeNumberTest, MayBeNegativeWhereTheBoundIs) {
  for (const char* good : {"-2", "-1", "0", "5"}) EXPECT_EQ(Says(WholeNumber(-2, 5), good), "") << good;
  for (const char* bad : {"-3", "6", "-", "--1", "-x"}) {
    EXPECT_THAT(Says(WholeNumber(-2, 5), bad), HasSubstr("whole number from -2 to 5")) << bad;
  }
  EXPECT_THAT(Says(WholeNumber(-20, 5), "-010"), HasSubstr("write -10"));
}

TEST(WholeNumberTest, OctalAndHexadecimalAreNotGuessed) {
  EXPECT_THAT(Says(WholeNumber(0, 100), "010"), HasSubstr("octal: 010; write 10"));
  EXPECT_THAT(Says(WholeNumber(0, 100), "00"), HasSubstr("write 0"));
  EXPECT_THAT(Says(WholeNumber(0, 100), "0x10"), HasSubstr("whole number from 0 to 100"));
}

TEST(NumberTest, TakesFiniteNumbersWithinBounds) {
  for (const char* good : {"0", "-1.5", "1e3", ".5"}) EXPECT_EQ(Says(Number(), good), "") << good;
  for (const char* bad : {"", "abc", "1x", "nan", "inf", "1e999"}) {
    EXPECT_THAT(Says(Number(), bad), HasSubstr(std::string("is not a number: ") + bad)) << bad;
  }
  EXPECT_EQ(Says(Number(0.5, 2), "2"), "");
  EXPECT_EQ(Says(Number(0.5, 2), "3"), "is not a number from 0.5 to 2: 3");
  EXPECT_EQ(Says(Number(0), "-1"), "is not a number from 0 on: -1");
}

TEST(AddressFlagTest, ListenersMayLeaveThePortOpen) {
  EXPECT_EQ(Says(ListenAddress(), "[::1]:0"), "");
  EXPECT_THAT(Says(ListenAddress(), "::1:0"), HasSubstr("brackets"));
  EXPECT_THAT(Says(ReachableAddress(), "[::1]:0"), HasSubstr("port 0"));
  EXPECT_THAT(Says(ReachableAddress(), "a:1,b:2"), HasSubstr("a:1,b:2"));
  EXPECT_EQ(Says(ReachableAddresses(), "a:1,b:2"), "");
  EXPECT_THAT(Says(ReachableAddresses(), "a:1,x"), HasSubstr("\"x\""));
}

TEST(AddressFlagTest, AHostHasNoPort) {
  EXPECT_EQ(Says(ListenHost(), "[::1]"), "");
  EXPECT_THAT(Says(ListenHost(), "127.1"), HasSubstr("\"127.1\" is not a host"));
}

// Parses and checks `tool ARGUMENTS`.
absl::Status Check(std::vector<std::string> arguments) {
  CLI::App app;
  std::string prompt, name, model;
  CLI::App* command = app.add_subcommand("run", "");
  command->add_option_group("Prompt")->add_option("PROMPT", prompt, "");
  command->add_option("--name", name, "");
  command->add_option("--model", model, "")->type_name(kFileType);
  arguments.insert(arguments.begin(), "run");
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  app.parse(arguments);
  return CheckFlagTexts(app);
}

TEST(FlagTextsTest, NamesTheFlagWithBytesThatAreNoText) {
  EXPECT_TRUE(Check({"Grüße", "--name", "日本"}).ok());
  for (const auto& [arguments, name] :
       {std::pair{std::vector<std::string>{"--name", "gr\xfc"}, "--name: is not valid UTF-8 at byte 2"},
        {{"--name=\xff"}, "--name: is not valid UTF-8 at byte 0"},
        {{"ab\xc3"}, "PROMPT: is not valid UTF-8 at byte 2"},
        {{"--model", "/nowhere/\xff.gguf"}, "--model: is not valid UTF-8 at byte 9"}}) {
    const absl::Status status = Check(arguments);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), name);
  }
}

TEST(FlagTextsTest, FilesHaveANameOtherTextsMayBeEmpty) {
  EXPECT_TRUE(Check({"", "--name", ""}).ok());
  EXPECT_EQ(Check({"--model", ""}).message(), "--model: is empty");
}

TEST(FlagTextsTest, FilesMayHaveAnyName) {
  const std::string path = testing::TempDir() + "/model\xe8.gguf";
  std::ofstream(path) << "x";
  EXPECT_TRUE(Check({"--model", path}).ok());
}

}  // namespace
}  // namespace kedge
