#include "common/rpc/line_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

class LineWriterTest : public testing::Test {
 protected:
  LineWriterTest() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~LineWriterTest() override {
    close(ends_[0]);
    close(ends_[1]);
  }
  // What has been written so far.
  std::string Read() {
    std::string text(4 << 20, '\0');
    EXPECT_EQ(fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
    size_t size = 0;
    for (ssize_t count; (count = read(ends_[0], &text[size], text.size() - size)) > 0;) size += count;
    text.resize(size);
    return text;
  }
  static std::string Dropped(uint64_t count) { return absl::StrCat(count, " dropped\n"); }

  int ends_[2];
};

TEST_F(LineWriterTest, WritesLinesInTheirOrder) {
  LineWriter writer(ends_[1], &Dropped);
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    writer.Add(absl::StrCat("line ", i, "\n"));
    absl::StrAppend(&expected, "line ", i, "\n");
  }
  EXPECT_TRUE(writer.Flush(absl::Seconds(10)));
  EXPECT_EQ(Read(), expected);
}

TEST_F(LineWriterTest, WhatNobodyReadsStopsNobodyAndIsCounted) {
  const std::string line = std::string(999, 'a') + "\n";
  uint64_t lines = 0;
  {
    LineWriter writer(ends_[1], &Dropped);
    const absl::Time begin = absl::Now();
    for (; lines < 5000; ++lines) writer.Add(line);  // 5 MB: no pipe and no queue holds them
    EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
    EXPECT_FALSE(writer.Flush(absl::Milliseconds(50)));
    std::string text;  // then somebody reads
    while (!writer.Flush(absl::Milliseconds(1))) text += Read();
    text += Read();
    uint64_t dropped = 0;  // told once, or more often if the writer took some lines between
    for (size_t told; (told = text.find(" dropped\n")) != std::string::npos;) {
      const size_t begins = text.rfind('\n', told) + 1;
      dropped += std::stoull(text.substr(begins));
      text.erase(begins, told + 9 - begins);
    }
    EXPECT_EQ(text.size(), (lines - dropped) * line.size());
    EXPECT_GT(dropped, 2000u);
  }
}

TEST_F(LineWriterTest, EndsThoughNobodyReads) {
  const absl::Time begin = absl::Now();
  {
    LineWriter writer(ends_[1], &Dropped);
    for (int i = 0; i < 5000; ++i) writer.Add(std::string(999, 'a') + "\n");
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

}  // namespace
}  // namespace kedge
