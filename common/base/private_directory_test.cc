#include "common/base/private_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

unsigned ModeOf(const std::string& path) {
  struct stat info;
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mode & 0777;
}

TEST(PrivateDirectoryTest, AllThatIsMadeIsTheUsersAlone) {
  const std::string top = testing::TempDir() + "/private";
  fs::remove_all(top);
  ASSERT_TRUE(MakePrivateDirectory(top + "/a/b/c").ok());
  for (const char* made : {"", "/a", "/a/b", "/a/b/c"}) EXPECT_EQ(ModeOf(top + made), 0700u) << made;
  ASSERT_EQ(chmod((top + "/a").c_str(), 0777), 0);
  ASSERT_TRUE(MakePrivateDirectory(top + "/a").ok());
  EXPECT_EQ(ModeOf(top + "/a"), 0700u);
}

TEST(PrivateDirectoryTest, FilesAndWhatBelongsToOthersAreRefused) {
  const std::string top = testing::TempDir() + "/private2";
  fs::remove_all(top);
  ASSERT_TRUE(MakePrivateDirectory(top + "/a").ok());
  fs::create_directory_symlink(top + "/a", top + "/link");  // a cache on another disk
  EXPECT_TRUE(MakePrivateDirectory(top + "/link").ok());
  std::ofstream(top + "/file") << "x";
  EXPECT_EQ(MakePrivateDirectory(top + "/file").code(), absl::StatusCode::kUnavailable);
  if (lchown((top + "/link").c_str(), 12345, 12345) == 0) {  // as root, and not in every sandbox
    EXPECT_NE(MakePrivateDirectory(top + "/link").message().find("belongs to another user"), absl::string_view::npos);
  }
  EXPECT_NE(MakePrivateDirectory("/proc/nowhere/a").message().find("/proc/nowhere: No such file or directory"),
            absl::string_view::npos)
      << MakePrivateDirectory("/proc/nowhere/a");
  if (chown((top + "/a").c_str(), 12345, 12345) == 0) {
    EXPECT_NE(MakePrivateDirectory(top + "/a").message().find("belongs to another user"), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace kedge
