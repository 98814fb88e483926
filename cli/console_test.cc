#include "cli/console.h"

#include <signal.h>
#include <unistd.h>

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

}  // namespace
}  // namespace kedge
