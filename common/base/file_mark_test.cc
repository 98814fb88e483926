#include "common/base/file_mark.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

class FileMarkTest : public testing::Test {
 protected:
  FileMarkTest() : path_(absl::StrCat(testing::TempDir(), "/file_mark.", getpid())) {}
  ~FileMarkTest() override { std::remove(path_.c_str()); }

  void Write(const std::string& bytes) { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes; }
  std::string Mark() { return FileMark(path_).value(); }

  const std::string path_;
};

std::string Hash(const FileIdentity& identity, const std::string& bytes) {
  return FileMark(identity, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

TEST_F(FileMarkTest, IsTheSameUntilTheFileIsAnother) {
  Write(std::string(10000, 'a'));
  const std::string mark = Mark();
  EXPECT_EQ(Mark(), mark);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(Hash(IdentityOf(info), std::string(10000, 'a')), mark);
  // Another file in its place, of the same size, times and content.
  const std::string other = path_ + ".new";
  std::ofstream(other, std::ios::binary) << std::string(10000, 'a');
  const struct timespec times[2] = {info.st_atim, info.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, other.c_str(), times, 0), 0);
  ASSERT_EQ(std::rename(other.c_str(), path_.c_str()), 0);
  EXPECT_NE(Mark(), mark);
}

TEST_F(FileMarkTest, EachPartOfTheIdentityCounts) {
  const FileIdentity identity{.size = 3, .mtime_ns = 5, .ctime_ns = 7, .inode = 9};
  for (uint64_t FileIdentity::* field : {&FileIdentity::size, &FileIdentity::inode}) {
    FileIdentity other = identity;
    other.*field += 1;
    EXPECT_NE(Hash(other, "abc"), Hash(identity, "abc"));
  }
  for (int64_t FileIdentity::* field : {&FileIdentity::mtime_ns, &FileIdentity::ctime_ns}) {
    FileIdentity other = identity;
    other.*field += 1;
    EXPECT_NE(Hash(other, "abc"), Hash(identity, "abc"));
  }
}

TEST_F(FileMarkTest, BytesOfEverySizeAreLookedAtInManyPlaces) {
  EXPECT_EQ(Hash({}, ""), Hash({}, ""));
  for (const size_t size : {1u, 4095u, 4096u, 4097u, 200000u}) {  // all of it
    const std::string bytes(size, 'a');
    for (size_t at = 0; at < size; at += 997) {
      std::string other = bytes;
      other[at] = 'b';
      EXPECT_NE(Hash({}, other), Hash({}, bytes)) << size << " " << at;
    }
  }
  // A fine-tuned model of the same size differs nearly everywhere; this one in a thirty-second of it.
  const std::string bytes(8 << 20, 'a');
  for (size_t begin = 0; begin < bytes.size(); begin += bytes.size() / 32) {
    std::string other = bytes;
    other.replace(begin, bytes.size() / 32, bytes.size() / 32, 'b');
    EXPECT_NE(Hash({}, other), Hash({}, bytes)) << begin;
  }
}

TEST_F(FileMarkTest, WhatIsNotThereIsNamed) {
  const absl::Status status = FileMark(path_ + ".none").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find(path_), absl::string_view::npos);
}

TEST_F(FileMarkTest, ALatelyTouchedFileMayStillChange) {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  const auto at = [&](absl::Duration mtime, absl::Duration ctime) {
    return FileIdentity{.mtime_ns = absl::ToUnixNanos(now - mtime), .ctime_ns = absl::ToUnixNanos(now - ctime)};
  };
  EXPECT_FALSE(MayStillChange(at(absl::Seconds(3), absl::Seconds(3)), now));
  EXPECT_TRUE(MayStillChange(at(absl::Seconds(1), absl::Seconds(3)), now));
  EXPECT_TRUE(MayStillChange(at(absl::Hours(3), absl::Seconds(1)), now));  // its times were set back
}

}  // namespace
}  // namespace kedge
