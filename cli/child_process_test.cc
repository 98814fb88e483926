#include "cli/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/time/clock.h"
#include "common/rpc/signals.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::HasSubstr;

std::string WaitForEnd(ChildProcess& child) {
  for (int i = 0; i < 1000 && !child.Poll().has_value(); ++i) absl::SleepFor(absl::Milliseconds(10));
  return child.Poll().value_or("still running");
}

std::string Read(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

bool Lives(pid_t pid) { return kill(pid, 0) == 0; }

TEST(ChildProcessTest, TellsHowItEnded) {
  auto good = ChildProcess::Start({.argv = {"true"}});
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(WaitForEnd(*good), "exit code 0");
  EXPECT_TRUE(good->succeeded());
  auto bad = ChildProcess::Start({.argv = {"sh", "-c", "exit 3"}});
  EXPECT_EQ(WaitForEnd(*bad), "exit code 3");
  EXPECT_FALSE(bad->succeeded());
  auto killed = ChildProcess::Start({.argv = {"sleep", "60"}});
  killed->Signal(SIGKILL);
  EXPECT_THAT(WaitForEnd(*killed), HasSubstr("signal 9"));
}

TEST(ChildProcessTest, NamesAProgramThatIsNotThere) {
  auto child = ChildProcess::Start({.argv = {"/nowhere/kedge-router"}});
  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(child.status().message()), HasSubstr("/nowhere/kedge-router"));
}

TEST(ChildProcessTest, SaysThatNoFileCanBeOpened) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(STDERR_FILENO);  // the lowest number that is free: the pipe of Start takes it and one more
  close(next);
  for (const int room : {0, 2}) {  // for the pipe; for what the child opens
    const rlimit small = {.rlim_cur = static_cast<rlim_t>(next + room), .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &small);
    const absl::Status status = ChildProcess::Start({.argv = {"true"}}).status();
    setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << room;
    EXPECT_EQ(status.message(), "cannot start true: Too many open files") << room;
  }
}

TEST(ChildProcessTest, WritesItsOutputToTheFileAndSeesTheGivenEnvironment) {
  std::string path = testing::TempDir() + "/output";
  std::remove(path.c_str());
  auto child = ChildProcess::Start({.argv = {"sh", "-c", "echo out $COLOUR; echo err >&2"},
                                    .output_file = path,
                                    .environment = {{"COLOUR", "red"}}});
  WaitForEnd(*child);
  EXPECT_EQ(Read(path), "out red\nerr\n");
}

TEST(ChildProcessTest, HasTheFilesThatItIsGivenAndNoOthers) {
  int output[2], shared[2];
  ASSERT_EQ(pipe2(output, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(shared, O_CLOEXEC), 0);
  const std::string script = "echo out; echo err >&2; echo here > /proc/self/fd/" + std::to_string(shared[1]) +
                             "; test ! -e /proc/self/fd/" + std::to_string(shared[0]);
  auto child = ChildProcess::Start({.argv = {"sh", "-c", script}, .output = output[1], .shared_file = shared[1]});
  EXPECT_EQ(WaitForEnd(*child), "exit code 0");
  char bytes[64];
  EXPECT_EQ(std::string(bytes, read(output[0], bytes, sizeof(bytes))), "out\nerr\n");
  EXPECT_EQ(std::string(bytes, read(shared[0], bytes, sizeof(bytes))), "here\n");
  for (const int file : {output[0], output[1], shared[0], shared[1]}) EXPECT_EQ(close(file), 0);  // still ours
}

TEST(ChildProcessTest, TheDestructorKillsItAndItsChildren) {
  std::string path = testing::TempDir() + "/grandchild";
  std::remove(path.c_str());
  pid_t pid, grandchild = 0;
  {
    auto child = ChildProcess::Start({.argv = {"sh", "-c", "sleep 60 & echo $!; wait"}, .output_file = path});
    pid = child->pid();
    for (int i = 0; i < 1000 && Read(path).empty(); ++i) absl::SleepFor(absl::Milliseconds(10));
    grandchild = std::stoi(Read(path));
    EXPECT_TRUE(Lives(grandchild));
  }
  EXPECT_FALSE(Lives(pid));
  // The grandchild is reaped by init, some time soon; a zombie still counts as alive to kill(2).
  std::string state;
  for (int i = 0; i < 500; ++i) {
    state = Read("/proc/" + std::to_string(grandchild) + "/stat");
    if (state.empty() || state.find(" Z ") != std::string::npos) return;
    absl::SleepFor(absl::Milliseconds(10));
  }
  FAIL() << "the grandchild lives: " << state;
}

TEST(ChildProcessTest, CpuTimeGrowsWhileItComputes) {
  auto child = ChildProcess::Start({.argv = {"sh", "-c", "while :; do :; done"}});
  absl::Duration used;
  for (int i = 0; i < 1000 && used < absl::Milliseconds(50); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    const absl::StatusOr<absl::Duration> now = child->CpuTime();
    ASSERT_TRUE(now.ok()) << now.status();
    EXPECT_GE(*now, used);
    used = *now;
  }
  EXPECT_GE(used, absl::Milliseconds(50));
  child->Signal(SIGKILL);
  WaitForEnd(*child);
  EXPECT_EQ(child->CpuTime().status().code(), absl::StatusCode::kUnavailable);
}

TEST(ChildProcessTest, ReactsToSigtermAlthoughWeBlockIt) {
  StopSignals signals;
  auto child = ChildProcess::Start({.argv = {"sleep", "60"}});
  child->Signal(SIGTERM);
  EXPECT_THAT(WaitForEnd(*child), HasSubstr("signal 15"));
}

}  // namespace
}  // namespace kedge
