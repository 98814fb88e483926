#include "cli/log_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// 2026-11-28 12:00:00, in local time.
absl::Time Noon() {
  std::tm local = {};
  local.tm_year = 126;
  local.tm_mon = 10;
  local.tm_mday = 28;
  local.tm_hour = 12;
  local.tm_isdst = -1;
  return absl::FromTimeT(std::mktime(&local));
}
const absl::Time kNow = Noon();

class LogDirectoryTest : public testing::Test {
 protected:
  LogDirectoryTest() { fs::remove_all(parent_); }

  size_t Count() const { return std::distance(fs::directory_iterator(parent_), fs::directory_iterator()); }

  const std::string parent_ =
      testing::TempDir() + "/logs " + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(LogDirectoryTest, IsNamedByTimeAndProcess) {
  const absl::StatusOr<LogDirectory> directory = LogDirectory::Make(parent_, kNow);
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(directory->path(), absl::StrFormat("%s/20261128-120000-%d", parent_, getpid()));
  EXPECT_TRUE(fs::is_directory(directory->path()));
}

TEST_F(LogDirectoryTest, TwoOfOneSecondHaveTwoNames) {
  const absl::StatusOr<LogDirectory> one = LogDirectory::Make(parent_, kNow);
  const absl::StatusOr<LogDirectory> two = LogDirectory::Make(parent_, kNow);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(one->path(), two->path());
}

TEST_F(LogDirectoryTest, LaterOnesRemoveTheOldestButNoneThatIsHeld) {
  std::optional<LogDirectory> running = *LogDirectory::Make(parent_, kNow);
  std::ofstream(running->path() + "/router.log") << "here";
  const std::string ended = LogDirectory::Make(parent_, kNow + absl::Seconds(1))->path();
  std::ofstream(ended + "/router.log") << "here";
  for (int i = 2; i < 120; ++i) ASSERT_TRUE(LogDirectory::Make(parent_, kNow + absl::Minutes(i)).ok());
  EXPECT_EQ(Count(), LogDirectory::kKept + 1);
  EXPECT_TRUE(fs::exists(running->path() + "/router.log"));
  EXPECT_FALSE(fs::exists(ended));

  const std::string path = running->path();
  running.reset();
  ASSERT_TRUE(LogDirectory::Make(parent_, kNow + absl::Hours(9)).ok());
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(LogDirectoryTest, RemovesOnlyWhatIsItsOwn) {
  const std::string elsewhere = testing::TempDir() + "/elsewhere";
  fs::create_directories(elsewhere);
  std::ofstream(elsewhere + "/precious") << "x";
  fs::create_directories(parent_);
  fs::create_directory_symlink(elsewhere, parent_ + "/20000101-000000-1");
  std::ofstream(parent_ + "/20000101-000000-2") << "a file";
  for (const char* name : {"notes", "20000101-000000", "20000101-000000-", "20000101-000000-3a", "20000101_000000-4"}) {
    fs::create_directories(parent_ + "/" + name);
  }
  const size_t before = Count();
  for (int i = 0; i < 70; ++i) ASSERT_TRUE(LogDirectory::Make(parent_, kNow + absl::Minutes(i)).ok());
  EXPECT_TRUE(fs::exists(elsewhere + "/precious"));
  EXPECT_TRUE(fs::is_symlink(parent_ + "/20000101-000000-1"));
  EXPECT_TRUE(fs::exists(parent_ + "/20000101-000000-2"));
  EXPECT_EQ(Count(), LogDirectory::kKept + before);
}

TEST_F(LogDirectoryTest, SaysWhyThereIsNone) {
  std::ofstream(parent_) << "a file";
  const absl::Status status = LogDirectory::Make(parent_ + "/logs", kNow).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(parent_));
}

}  // namespace
}  // namespace kedge
