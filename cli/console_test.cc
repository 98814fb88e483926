#include "cli/console.h"

#include <pty.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(ConsoleTest, ErrorsHaveTheNameOfTheirCode) {
  testing::internal::CaptureStderr();
  SayError(absl::InvalidArgumentError("policy: no key `sink`"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "kedge: INVALID_ARGUMENT: policy: no key `sink`\n");
}

TEST(ConsoleTest, WriteOutNoticesAReaderThatIsGone) {
  signal(SIGPIPE, SIG_IGN);
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  int saved = dup(STDOUT_FILENO);
  dup2(pipe_ends[1], STDOUT_FILENO);
  bool with_reader = WriteOut("text");
  close(pipe_ends[0]);
  bool without_reader = WriteOut("text");
  dup2(saved, STDOUT_FILENO);
  close(saved);
  close(pipe_ends[1]);
  EXPECT_TRUE(with_reader);
  EXPECT_FALSE(without_reader);
}

// What WriteAnswer writes to `file`.
std::string Answered(int file, int read_from, absl::string_view text, bool raw) {
  const int saved = dup(STDOUT_FILENO);
  dup2(file, STDOUT_FILENO);
  EXPECT_TRUE(WriteAnswer(text, raw));
  dup2(saved, STDOUT_FILENO);
  close(saved);
  char buffer[100];
  const ssize_t count = read(read_from, buffer, sizeof(buffer));
  return std::string(buffer, std::max<ssize_t>(count, 0));
}

TEST(ConsoleTest, ATerminalGetsNoControlCharactersOfAModelAndAPipeGetsAll) {
  constexpr char kText[] = "a\x1b]0;owned\x07\tb\u009b";
  int pipe_ends[2], terminal, other_side;
  ASSERT_EQ(pipe(pipe_ends), 0);
  ASSERT_EQ(openpty(&other_side, &terminal, nullptr, nullptr, nullptr), 0);
  termios mode;
  ASSERT_EQ(tcgetattr(terminal, &mode), 0);
  cfmakeraw(&mode);
  ASSERT_EQ(tcsetattr(terminal, TCSANOW, &mode), 0);
  EXPECT_EQ(Answered(pipe_ends[1], pipe_ends[0], kText, /*raw=*/false), kText);
  EXPECT_EQ(Answered(terminal, other_side, kText, /*raw=*/false), "a\uFFFD]0;owned\uFFFD\tb\uFFFD");
  EXPECT_EQ(Answered(terminal, other_side, kText, /*raw=*/true), kText);
  for (const int file : {pipe_ends[0], pipe_ends[1], terminal, other_side}) close(file);
}

}  // namespace
}  // namespace kedge
