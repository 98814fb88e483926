#include "common/kernels/cpu/panel_image.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/panels.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "xxhash.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PanelImageTest : public testing::Test {
 protected:
  PanelImageTest() { fs::remove_all(folder_); }

  std::string path() const { return folder_ + "/model.panels"; }

  // Two matrices' memory, written where it has to be. Returns whether both were there already.
  bool Load(const std::string& path) {
    PanelImage image(path, [this](const std::string& why) { notices_.push_back(why); });
    std::vector<LazyMemory> parts;
    bool packed = true;
    for (size_t bytes : kSizes) {
      PanelImage::Part part = image.Next(bytes);
      if (!part.packed) {
        EXPECT_EQ(std::count(part.memory.data(), part.memory.data() + bytes, 0), static_cast<long>(bytes));
        std::memset(part.memory.data(), static_cast<int>(bytes % 251), bytes);
      }
      packed &= part.packed;
      parts.push_back(std::move(part.memory));
    }
    image.Finish();
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(std::count(parts[i].data(), parts[i].data() + kSizes[i], kSizes[i] % 251),
                static_cast<long>(kSizes[i]));
    }
    return packed;
  }

  void Overwrite(size_t offset) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put('?');
  }

  static constexpr size_t kSizes[] = {10000, 4096, 1};
  const std::string folder_ = testing::TempDir() + "/images";
  std::vector<std::string> notices_;
};

TEST_F(PanelImageTest, IsWrittenOnceAndThenShared) {
  EXPECT_FALSE(Load(path()));
  EXPECT_TRUE(Load(path()));
  EXPECT_TRUE(Load(path()));
}

TEST_F(PanelImageTest, ADamagedFileIsMadeAgain) {
  EXPECT_FALSE(Load(path()));
  for (size_t offset : {size_t{0}, size_t{9}, size_t{4096}, size_t{4096 * 4 + 1}}) {  // magic, size, both ends
    Overwrite(offset);
    EXPECT_FALSE(Load(path())) << offset;
    EXPECT_TRUE(Load(path())) << offset;
  }
  fs::resize_file(path(), 5000);
  EXPECT_FALSE(Load(path()));
}

TEST_F(PanelImageTest, WhoAsksForMoreThanTheFileHasGetsMemoryOfItsOwn) {
  EXPECT_FALSE(Load(path()));
  PanelImage image(path());
  EXPECT_TRUE(image.Next(10000).packed);
  EXPECT_FALSE(image.Next(1 << 20).packed);
}

TEST_F(PanelImageTest, AnUnfinishedFileIsNotTaken) {
  {
    PanelImage image(path());
    image.Next(10000);
  }
  EXPECT_FALSE(fs::exists(path()));
  EXPECT_FALSE(fs::exists(path() + ".new"));
  EXPECT_FALSE(Load(path()));
}

TEST_F(PanelImageTest, WithoutAPlaceForTheFileThereIsMemory) {
  EXPECT_FALSE(Load(""));
  EXPECT_TRUE(notices_.empty());
  EXPECT_FALSE(Load("/proc/nowhere/model.panels"));
  EXPECT_THAT(notices_, ElementsAre(HasSubstr("/proc/nowhere/model.panels: /proc/nowhere: No such file or directory")));
}

TEST_F(PanelImageTest, WhereTheFileMayNotGrowThereIsMemory) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  for (const rlim_t most : {rlim_t{0}, rlim_t{4096}, rlim_t{20000}}) {
    notices_.clear();
    const rlimit small = {.rlim_cur = most, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_FALSE(Load(path()));
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_THAT(notices_, ElementsAre(HasSubstr("File too large"))) << most;
    EXPECT_FALSE(fs::exists(path()));
    EXPECT_FALSE(fs::exists(path() + ".new"));
  }
  EXPECT_FALSE(Load(path()));
  EXPECT_TRUE(Load(path()));
}

// Others wait for the one that writes.
TEST_F(PanelImageTest, OneProcessWrites) {
  int from_children[2];
  ASSERT_EQ(pipe(from_children), 0);
  for (int child = 0; child < 4; ++child) {
    if (fork() == 0) {
      const char packed = Load(path()) ? 'y' : 'n';
      _exit(write(from_children[1], &packed, 1) == 1 ? 0 : 1);
    }
  }
  std::string answers;
  for (int child = 0; child < 4; ++child) {
    char answer = '?';
    ASSERT_EQ(read(from_children[0], &answer, 1), 1);
    answers += answer;
    wait(nullptr);
  }
  EXPECT_EQ(std::count(answers.begin(), answers.end(), 'n'), 1) << answers;
}

TEST_F(PanelImageTest, ALockThatSomebodyKeepsIsNotWaitedForForEver) {
  fs::create_directories(folder_);
  const int lock = open((path() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(flock(lock, LOCK_SH), 0);
  const absl::Time begin = absl::Now();
  PanelImage image(path(), [this](const std::string& why) { notices_.push_back(why); }, absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_FALSE(image.Next(10000).packed);
  EXPECT_THAT(notices_, ElementsAre(HasSubstr("another process holds its lock")));
  close(lock);
}

TEST_F(PanelImageTest, FilesAreTheUsersAloneAndLinksAreNotFollowed) {
  EXPECT_FALSE(Load(path()));
  const auto mode = [](const std::string& path) {
    struct stat info;
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 0777;
  };
  EXPECT_EQ(mode(folder_), 0700u);
  EXPECT_EQ(mode(path()), 0600u);
  EXPECT_EQ(mode(path() + ".lock"), 0600u);
  ASSERT_EQ(chmod(path().c_str(), 0666), 0);  // others may have written it
  EXPECT_FALSE(Load(path()));
  EXPECT_EQ(mode(path()), 0600u);
  fs::rename(path(), folder_ + "/elsewhere");
  fs::create_symlink(folder_ + "/elsewhere", path());
  EXPECT_FALSE(Load(path()));
  EXPECT_FALSE(fs::is_symlink(path()));
}

// Both who made the file and who found it.
TEST_F(PanelImageTest, WhoCutsTheFileChangesNoWeight) {
  for (const bool is_found : {false, true}) {
    if (is_found) EXPECT_FALSE(Load(path()));
    absl::Notification noticed;
    PanelImage image(path(), [&](const std::string&) { noticed.Notify(); });
    PanelImage::Part part = image.Next(10000);
    ASSERT_EQ(part.packed, is_found);
    if (!is_found) std::memset(part.memory.data(), 'w', 10000);
    PanelImage::Part other = image.Next(4096);
    image.Finish();
    const std::vector<uint8_t> before(part.memory.data(), part.memory.data() + 10000);
    ASSERT_EQ(std::system(absl::StrCat("printf x > '", path(), "'").c_str()), 0);
    EXPECT_TRUE(noticed.WaitForNotificationWithTimeout(absl::Seconds(10)));
    EXPECT_EQ(std::vector<uint8_t>(part.memory.data(), part.memory.data() + 10000), before);
    fs::remove(path());
  }
}

// A layout that changes needs another kLayout, or old images would be taken for new ones.
TEST_F(PanelImageTest, TheLayoutIsThatOfItsNumber) {
  EXPECT_EQ(PanelImage::kLayout, 1);
  ThreadPool pool(1);
  uint64_t hash = 0;
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1,
                          TensorType::kQ5_1, TensorType::kQ4_K, TensorType::kQ6_K}) {
    std::vector<uint8_t> data(20 * 256 / BlockSize(type) * BlockBytes(type));
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 37 % 101);  // no NaN among the scales
    const CpuMatrix matrix(type, 20, 256, data, pool);
    hash ^= XXH3_64bits_withSeed(matrix.view().data, matrix.panels() * matrix.view().panel_bytes,
                                 static_cast<uint64_t>(type));
  }
  EXPECT_EQ(hash, 795683345793258749u);
}

}  // namespace
}  // namespace kedge
