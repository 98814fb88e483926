#include "common/rpc/signals.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StopSignalsTest, ASignalBecomesAnEvent) {
  std::atomic<int> seen = 0;
  StopSignals signals([&](int signal) { seen = signal; });
  EXPECT_FALSE(signals.stopped());
  EXPECT_FALSE(signals.WaitFor(absl::Milliseconds(1)));
  kill(getpid(), SIGTERM);
  EXPECT_TRUE(signals.WaitFor(absl::Seconds(10)));
  EXPECT_TRUE(signals.stopped());
  EXPECT_EQ(signals.Wait(), SIGTERM);
  signals.SetHandler({});  // waits for the handler that may still run
  EXPECT_EQ(seen, SIGTERM);
}

TEST(StopSignalsTest, ALateHandlerHearsOfAnEarlierSignal) {
  StopSignals signals;
  kill(getpid(), SIGINT);
  ASSERT_TRUE(signals.WaitFor(absl::Seconds(10)));
  int seen = 0;
  signals.SetHandler([&](int signal) { seen = signal; });
  EXPECT_EQ(seen, SIGINT);
}

TEST(StopSignalsTest, WorksWhereTheShellHadSigintIgnored) {
  signal(SIGINT, SIG_IGN);
  {
    StopSignals signals;
    kill(getpid(), SIGINT);
    EXPECT_TRUE(signals.WaitFor(absl::Seconds(10)));
  }
  signal(SIGINT, SIG_DFL);
}

// Each scene runs in a child process of its own: signals belong to a process. Returns its wait status.
template <typename Scene>
int RunInChild(Scene scene) {
  const pid_t child = fork();
  if (child == 0) {
    scene();
    _exit(99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(SignalWaiterTest, FirstSignalEndsTheWait) {
  const int status = RunInChild([] {
    SignalWaiter waiter;
    waiter.StartServing();
    std::thread sender([] { kill(getpid(), SIGTERM); });
    const int number = waiter.Wait();
    sender.join();
    _exit(number == SIGTERM ? 0 : 1);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SignalWaiterTest, ASignalWhileTheServerStartsEndsIt) {
  const int status = RunInChild([] {
    SignalWaiter waiter;
    kill(getpid(), SIGTERM);
    sleep(20);  // loads, packs, waits for a lock
    _exit(1);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SignalWaiterTest, SecondSignalEndsTheProcess) {
  const int status = RunInChild([] {
    SignalWaiter waiter;
    waiter.StartServing();
    kill(getpid(), SIGINT);
    waiter.Wait();
    kill(getpid(), SIGINT);
    std::this_thread::sleep_for(std::chrono::seconds(20));  // an orderly end that takes too long
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGINT);
}

TEST(DieWithParentTest, ChildDiesWithItsParent) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  const int status = RunInChild([&] {
    const int parent = getpid();
    int ready[2];
    if (pipe(ready) != 0) _exit(1);
    if (fork() == 0) {
      DieWithParent(parent);
      [[maybe_unused]] const auto written = write(ready[1], "x", 1);
      std::this_thread::sleep_for(std::chrono::seconds(20));
      _exit(0);
    }
    char byte;
    _exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // The grandchild holds the other end of `fds`: it reads as closed when the grandchild is gone.
  close(fds[1]);
  const auto start = std::chrono::steady_clock::now();
  char byte;
  EXPECT_EQ(read(fds[0], &byte, 1), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  close(fds[0]);
}

}  // namespace
}  // namespace kedge
