#include "common/base/watched_file.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

class WatchedFileTest : public testing::Test {
 protected:
  WatchedFileTest() { std::filesystem::remove_all(path_); }
  void Write(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  const std::string path_ = testing::TempDir() + "/watched";
};

TEST_F(WatchedFileTest, ReadsAllAndNamesWhatItCannotRead) {
  EXPECT_EQ(ReadSmallFile(path_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(ReadSmallFile(path_).status().message().find(path_), absl::string_view::npos);
  const std::string text = std::string(100'000, 'a') + '\0' + "b";
  Write(text);
  EXPECT_EQ(ReadSmallFile(path_).value(), text);
  Write(std::string((16 << 20) + 1, 'a'));
  EXPECT_EQ(ReadSmallFile(path_).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadSmallFile(testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(WatchedFileTest, TellsEachChangeOnce) {
  Write("one");
  absl::Mutex mutex;
  std::vector<std::string> seen;
  const auto wait_for = [&](size_t count) {
    absl::MutexLock lock(&mutex);
    const auto enough = [&] { return seen.size() >= count; };
    return mutex.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  };
  {
    const WatchedFile file(path_, ReadSmallFile(path_), absl::Milliseconds(5), [&](const auto& text) {
      absl::MutexLock lock(&mutex);
      seen.push_back(text.ok() ? *text : "gone");
    });
    absl::SleepFor(absl::Milliseconds(50));
    Write("two");  // of equal size, perhaps within one tick of the file's time
    ASSERT_TRUE(wait_for(1));
    std::filesystem::remove(path_);
    ASSERT_TRUE(wait_for(2));
  }
  Write("three");
  absl::SleepFor(absl::Milliseconds(50));
  // A reader may see a file that is just being written: truncated, and then whole.
  if (seen.front().empty()) seen.erase(seen.begin());
  EXPECT_EQ(seen, (std::vector<std::string>{"two", "gone"}));
}

}  // namespace
}  // namespace kedge
