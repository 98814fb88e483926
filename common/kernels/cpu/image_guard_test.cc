#include "common/kernels/cpu/image_guard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kPages = 8;

class ImageGuardTest : public testing::Test {
 protected:
  ImageGuardTest() {
    std::ofstream(path_, std::ios::binary) << std::string(kPages * kPage, 'w');
    file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    data_ = static_cast<uint8_t*>(mmap(nullptr, kPages * kPage, PROT_READ, MAP_SHARED, file_, 0));
    guard_ = std::make_shared<ImageGuard>([this](const std::string& why) {
      notice_ = why;
      noticed_.Notify();
    });
  }
  ~ImageGuardTest() override {
    region_ = {};
    guard_ = nullptr;
    munmap(data_, kPages * kPage);
    close(file_);
  }
  // In another process, as everybody else is.
  static int Run(const std::string& command) { return WEXITSTATUS(std::system(command.c_str())); }
  bool IsAsItWas() const { return std::count(data_, data_ + kPages * kPage, 'w') == kPages * kPage; }

  const std::string path_ = testing::TempDir() + "/guarded";
  int file_;
  uint8_t* data_;
  std::string notice_;
  absl::Notification noticed_;
  std::shared_ptr<ImageGuard> guard_;
  ImageGuard::Region region_;
};

TEST_F(ImageGuardTest, WhoChangesOrCutsTheFileChangesNothingHere) {
  region_ = ImageGuard::Add(guard_, data_, kPages * kPage, 0);
  if (!guard_->Watch(file_)) GTEST_SKIP() << "this file system has no leases";
  EXPECT_TRUE(IsAsItWas());
  EXPECT_EQ(Run(absl::StrCat("printf xxxx > '", path_, "'")), 0);  // cuts it, and waits until it may
  ASSERT_TRUE(noticed_.WaitForNotificationWithTimeout(absl::Seconds(10)));
  EXPECT_NE(notice_.find("goes on with a copy"), std::string::npos);
  EXPECT_TRUE(IsAsItWas());  // a page behind the end of a file would be SIGBUS
}

TEST_F(ImageGuardTest, RegionsThatEndedAreLeftAlone) {
  region_ = ImageGuard::Add(guard_, data_, kPage, 0);
  ImageGuard::Region other = ImageGuard::Add(guard_, data_ + kPage, kPage, kPage);
  other = {};
  ASSERT_TRUE(guard_->Copy().ok());
  std::ofstream(path_, std::ios::binary | std::ios::in | std::ios::out) << std::string(2 * kPage, 'x');
  EXPECT_EQ(data_[0], 'w');
  EXPECT_EQ(data_[kPage], 'x');  // still the file
}

TEST_F(ImageGuardTest, NobodyWaitsOnceItIsGone) {
  region_ = ImageGuard::Add(guard_, data_, kPages * kPage, 0);
  if (!guard_->Watch(file_)) GTEST_SKIP() << "this file system has no leases";
  region_ = {};
  guard_ = nullptr;
  EXPECT_EQ(Run(absl::StrCat("timeout 5 truncate -s 0 '", path_, "'")), 0);
  EXPECT_FALSE(noticed_.HasBeenNotified());
}

}  // namespace
}  // namespace kedge
