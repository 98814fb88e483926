// Trees of control groups as several systems show them, in files of the test.
#include "common/base/machine_limits.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint64_t kMib = 1 << 20;
constexpr char kVersion2[] = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr char kVersion1[] =
    "30 24 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "31 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 24 0:29 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n";

class MachineLimitsTest : public testing::Test {
 protected:
  MachineLimitsTest() { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  MachineLimits Limits() { return LimitedByGroups({.memory_bytes = 64000 * kMib, .cores = 16}, root_); }
  uint64_t Mib() { return Limits().memory_bytes / kMib; }

  const std::string root_ =
      testing::TempDir() + "/limits " + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(MachineLimitsTest, WithoutGroupsThereIsTheMachine) {
  EXPECT_EQ(Mib(), 64000u);
  EXPECT_EQ(Limits().cores, 16);
  Write("/proc/self/cgroup", "not what\n::\nis expected");
  Write("/proc/self/mountinfo", "at all\n - \n 1 2 3 - cgroup2");
  EXPECT_EQ(Mib(), 64000u);
}

TEST_F(MachineLimitsTest, Version2TakesTheSmallestLimitOnTheWayUp) {
  const std::string unit = "/sys/fs/cgroup/user.slice/user-1000.slice/run-7.scope";
  Write("/proc/self/cgroup", "0::/user.slice/user-1000.slice/run-7.scope\n");
  Write("/proc/self/mountinfo", kVersion2);
  Write(unit + "/memory.max", "max\n");
  Write(unit + "/cpu.max", "max 100000\n");
  EXPECT_EQ(Mib(), 64000u);
  EXPECT_EQ(Limits().cores, 16);
  Write("/sys/fs/cgroup/user.slice/memory.max", absl::StrCat(900 * kMib, "\n"));
  Write("/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max", "250000 100000\n");
  EXPECT_EQ(Mib(), 900u);
  EXPECT_EQ(Limits().cores, 3);  // two and a half
  Write(unit + "/memory.max", absl::StrCat(500 * kMib, "\n"));
  Write(unit + "/cpu.max", "50000 100000\n");
  EXPECT_EQ(Mib(), 500u);
  EXPECT_EQ(Limits().cores, 1);
  Write("/sys/fs/cgroup/user.slice/user-1000.slice/memory.high", absl::StrCat(400 * kMib, "\n"));
  EXPECT_EQ(Mib(), 400u);
}

TEST_F(MachineLimitsTest, Version1HasATreeForEachController) {
  Write("/proc/self/cgroup",
        "12:memory:/slurm/uid_1000/job_5/step_0\n5:cpuset:/slurm/other\n3:cpu,cpuacct:/slurm/uid_1000/job_5\n"
        "1:name=systemd:/x\n0::/x\n");
  Write("/proc/self/mountinfo", kVersion1);
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/slurm/uid_1000/job_5/memory.limit_in_bytes", absl::StrCat(900 * kMib));
  Write("/sys/fs/cgroup/memory/slurm/uid_1000/job_5/step_0/memory.limit_in_bytes", absl::StrCat(2000 * kMib));
  Write("/sys/fs/cgroup/memory/slurm/other/memory.limit_in_bytes", "1");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
  Write("/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us", "400000");
  Write("/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us", "100000");
  EXPECT_EQ(Mib(), 900u);
  EXPECT_EQ(Limits().cores, 4);
}

TEST_F(MachineLimitsTest, AContainerMaySeeTheTreeFromItsOwnGroupOn) {
  // Version 1 without a namespace of its own: the path is the host's, the directory shows the container's group.
  Write("/proc/self/cgroup", "12:memory:/docker/abc/inner\n");
  Write("/proc/self/mountinfo", "30 24 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", absl::StrCat(900 * kMib));
  EXPECT_EQ(Mib(), 900u);
  Write("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", absl::StrCat(300 * kMib));
  EXPECT_EQ(Mib(), 300u);
  // With one: the path is "/", or leads out of what is visible.
  for (const char* path : {"0::/\n", "0::/../other\n"}) {
    Write("/proc/self/cgroup", path);
    Write("/proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup2 ro - cgroup2 cgroup rw\n");
    Write("/sys/fs/cgroup2/memory.max", absl::StrCat(700 * kMib));
    EXPECT_EQ(Mib(), 700u);
  }
}

TEST_F(MachineLimitsTest, BothVersionsTogetherBothLimit) {
  Write("/proc/self/cgroup", "12:memory:/a\n0::/b\n");
  Write("/proc/self/mountinfo",
        absl::StrCat(kVersion1, "40 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"));
  Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", absl::StrCat(900 * kMib));
  Write("/sys/fs/cgroup/unified/b/cpu.max", "100000 100000");
  EXPECT_EQ(Mib(), 900u);
  EXPECT_EQ(Limits().cores, 1);
}

TEST(UsableMachineTest, AddressSpaceLimitsMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take more addresses than there is memory";
#endif
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit small = {.rlim_cur = UsableMachine().memory_bytes - kMib, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &small), 0);
  const uint64_t limited = UsableMachine().memory_bytes;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(limited, small.rlim_cur);
}

TEST(AddressSpaceWarningTest, ComesBeforeWhatHappens) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take more addresses than there is memory";
#endif
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  for (const uint64_t mib : {1024, 4096}) {
    const rlimit small = {.rlim_cur = mib * kMib, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &small), 0);
    const std::string warning = AddressSpaceWarning();
    ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
    EXPECT_EQ(absl::StrContains(warning, "limited to 1024 MiB (ulimit -v)"), mib == 1024) << warning;
    EXPECT_EQ(warning.empty(), mib == 4096) << warning;
  }
}

TEST(RaiseFileLimitTest, TakesWhatMayBeTakenAndSaysWhatIsTooLittle) {
  rlimit before, now;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit small = {.rlim_cur = 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
  EXPECT_TRUE(RaiseFileLimit(64).ok());
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_GE(now.rlim_cur, std::min<rlim_t>(before.rlim_max, 64));
  EXPECT_EQ(now.rlim_max, before.rlim_max);
  const absl::Status status = RaiseFileLimit(uint64_t{1} << 40);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(status.message(), "1099511627776 are needed: see ulimit -n")) << status;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(UsableMachineTest, CountsTheCoresThatMayBeUsed) {
  const MachineLimits before = UsableMachine();
  EXPECT_GT(before.memory_bytes, 16 * kMib);
  EXPECT_GE(before.cores, 1);
  cpu_set_t former, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(former), &former), 0);
  CPU_ZERO(&one);
  for (int i = 0; CPU_COUNT(&one) == 0; ++i) {
    if (CPU_ISSET(i, &former)) CPU_SET(i, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(UsableMachine().cores, 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(former), &former), 0);
}

}  // namespace
}  // namespace kedge
