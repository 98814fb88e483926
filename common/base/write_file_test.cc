#include "common/base/write_file.h"

#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

class WriteFileTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
  }
  static std::string Read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t Files() const { return std::distance(fs::directory_iterator(directory_), fs::directory_iterator()); }

  fs::path directory_;
};

TEST_F(WriteFileTest, MakesTheDirectoryAndReplacesWhatWasThere) {
  const fs::path path = directory_ / "a" / "file";
  ASSERT_TRUE(WriteFile(path, std::string("one\0two", 7)).ok());
  EXPECT_EQ(Read(path), std::string("one\0two", 7));
  ASSERT_TRUE(WriteFile(path, "").ok());
  EXPECT_EQ(Read(path), "");
}

TEST_F(WriteFileTest, AFailureNamesThePathAndLeavesNothing) {
  fs::create_directories(directory_ / "taken" / "full");
  const std::string path = directory_ / "taken";  // a directory, and not empty
  const absl::Status status = WriteFile(path, "x");
  EXPECT_EQ(status, absl::UnavailableError("cannot write " + path + ": Is a directory"));
  EXPECT_EQ(Files(), 1u);
  ASSERT_TRUE(WriteFile(directory_ / "file", "x").ok());
  EXPECT_FALSE(WriteFile(directory_ / "file" / "below", "y").ok());
  EXPECT_EQ(Read(directory_ / "file"), "x");
}

TEST_F(WriteFileTest, ALimitOfFileSizeLeavesWhatWasThere) {
  const fs::path path = directory_ / "file";
  ASSERT_TRUE(WriteFile(path, "old").ok());
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const absl::Status status = WriteFile(path, std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(status, absl::UnavailableError("cannot write " + path.string() + ": File too large"));
  EXPECT_EQ(Read(path), "old");
  EXPECT_EQ(Files(), 1u);
}

TEST_F(WriteFileTest, ReadersNeverSeeAPart) {
  const fs::path path = directory_ / "file";
  const std::string a(100'000, 'a'), b(50'000, 'b');
  ASSERT_TRUE(WriteFile(path, a).ok());
  std::vector<std::thread> writers;
  for (const std::string& bytes : {a, b}) {
    writers.emplace_back([&path, bytes] {
      for (int i = 0; i < 100; ++i) EXPECT_TRUE(WriteFile(path, bytes).ok());
    });
  }
  for (int i = 0; i < 100; ++i) {
    const std::string seen = Read(path);
    EXPECT_TRUE(seen == a || seen == b) << seen.size();
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(Files(), 1u);
}

}  // namespace
}  // namespace kedge
