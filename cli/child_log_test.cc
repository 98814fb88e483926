#include "cli/child_log.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/child_process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::HasSubstr;

std::string ReadAll(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

// Runs a script to its end with its output in a log.
class ChildLogTest : public testing::Test {
 protected:
  std::unique_ptr<ChildLog> Run(const std::string& path, const std::string& script) {
    auto log = ChildLog::Start(path, [this](const absl::Status& status) { errors_.push_back(status); });
    EXPECT_TRUE(log.ok()) << log.status();
    auto child = ChildProcess::Start({.argv = {"sh", "-c", script}, .output = (*log)->child_end()});
    EXPECT_TRUE(child.ok()) << child.status();
    (*log)->CloseChildEnd();
    for (int i = 0; i < 3000 && !child->Poll().has_value(); ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_EQ(child->Poll(), "exit code 0");
    return *std::move(log);
  }

  const std::string path_ =
      testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".log";
  std::vector<absl::Status> errors_;
};

TEST_F(ChildLogTest, KeepsTheLastLinesAndWritesAllToTheFile) {
  std::ofstream(path_) << "of an earlier one";
  const auto log = Run(path_, "echo one; echo two >&2; echo three");
  EXPECT_EQ(log->LastLines(2), "two\nthree\n");
  EXPECT_EQ(ReadAll(path_), "one\ntwo\nthree\n");
  EXPECT_TRUE(errors_.empty());
}

TEST_F(ChildLogTest, NeedsNoFile) {
  EXPECT_EQ(Run("", "echo one; echo two")->LastLines(1), "two\n");
  EXPECT_EQ(Run("/nowhere/x.log", "echo one; echo two")->LastLines(1), "two\n");
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_THAT(std::string(errors_[0].message()), HasSubstr("/nowhere/x.log: No such file"));
}

TEST_F(ChildLogTest, AFullDiskEndsTheFileAlone) {
  const auto log = Run("/dev/full", "echo one; echo two");
  EXPECT_EQ(log->LastLines(5), "one\ntwo\n");
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_THAT(std::string(errors_[0].message()), HasSubstr("/dev/full: No space left"));
}

TEST_F(ChildLogTest, ALimitOfFileSizeDoesToo) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto log = Run(path_, "for i in $(seq 1000); do echo line $i; done");
  EXPECT_EQ(log->LastLines(1), "line 1000\n");
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(std::filesystem::file_size(path_), 1000u);
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_THAT(std::string(errors_[0].message()), HasSubstr("File too large"));
}

TEST_F(ChildLogTest, HoldsABoundedPartOfWhatIsLong) {
  // In parts that fit a pipe of any size, with time to read each.
  const auto log = Run("", "for i in 1 2 3 4 5; do seq 10000; sleep 0.2; done");
  EXPECT_EQ(log->LastLines(2), "9999\n10000\n");
  EXPECT_LT(log->LastLines(1 << 30).size(), 140u << 10);
}

TEST(LastLinesTest, TakesTheEnd) {
  EXPECT_EQ(LastLines("", 20), "");
  EXPECT_EQ(LastLines("a\nb\nc\n", 2), "b\nc\n");
  EXPECT_EQ(LastLines("a\nb\nc", 2), "b\nc");
  EXPECT_EQ(LastLines("a\nb\n", 2), "a\nb\n");
  EXPECT_EQ(LastLines("a\nb\n", 20), "a\nb\n");
  EXPECT_EQ(LastLines("\n\n", 1), "\n");
  for (const char* text : {"", "\n", "a", "a\n"}) {
    EXPECT_EQ(LastLines(text, 0), "");
    EXPECT_EQ(LastLines(text, -1), "");
  }
}

}  // namespace
}  // namespace kedge
