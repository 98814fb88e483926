// Control groups, version 2 (one tree, all limits in it) and version 1 (a tree for each controller); a machine may have
// both. /proc/self/cgroup says where in a tree we are, /proc/self/mountinfo where that tree is to be seen and from
// which of its groups on: a container may see the tree from its own group on, and be told the whole path all the same.
// A limit holds for everything below it, so all groups from ours up are asked. What cannot be read sets no limit.
//
// Tested by machine_limits_test.cc.
#include "common/base/machine_limits.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace kedge {
namespace {

// A tree of groups that limits memory or cores.
struct Tree {
  bool is_version_2 = false;
  std::string top;    // the directory in which its visible part begins
  std::string group;  // ours, below `top`: "" or "/a/b"
};

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

bool HasWord(absl::string_view list, absl::string_view word) {
  const std::vector<absl::string_view> words = absl::StrSplit(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Our group in the tree of `controller`; "" names that of version 2. In /proc/self/cgroup: ID:CONTROLLER,...:PATH.
std::optional<std::string> GroupPath(const std::vector<std::string>& groups, absl::string_view controller) {
  for (const std::string& line : groups) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() == 3 && (controller.empty() ? parts[1].empty() : HasWord(parts[1], controller))) return parts[2];
  }
  return std::nullopt;
}

// `path` below `from`, a group that is the top of what is visible. A path that does not lie there (or leads out of it,
// "/../x") is of no use here: then we know only that we are somewhere below the top.
std::string Below(absl::string_view path, absl::string_view from) {
  if (from == "/") from = "";
  if (!absl::ConsumePrefix(&path, from) || (!path.empty() && path[0] != '/') || absl::StrContains(path, "/..")) {
    return "";
  }
  return path == "/" ? "" : std::string(path);
}

// In /proc/self/mountinfo: ID PARENT DEVICE TOP DIRECTORY OPTIONS ... - TYPE SOURCE SUPER_OPTIONS.
std::vector<Tree> Trees(const std::string& root, absl::string_view controller) {
  const std::vector<std::string> groups = Lines(absl::StrCat(root, "/proc/self/cgroup"));
  std::vector<Tree> trees;
  for (const std::string& line : Lines(absl::StrCat(root, "/proc/self/mountinfo"))) {
    const std::vector<std::string> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<std::string> mount = absl::StrSplit(halves[0], ' ');
    const std::vector<std::string> system = absl::StrSplit(halves[1], ' ');
    if (mount.size() < 5 || system.size() < 3) continue;
    const bool is_version_2 = system[0] == "cgroup2";
    if (!is_version_2 && !(system[0] == "cgroup" && HasWord(system[2], controller))) continue;
    const std::optional<std::string> path = GroupPath(groups, is_version_2 ? "" : controller);
    if (!path.has_value()) continue;
    trees.push_back({is_version_2, absl::StrCat(root, mount[4]), Below(*path, mount[3])});
  }
  return trees;
}

// The numbers of a file; "max", which stands for no limit, and what is not there are none.
std::vector<int64_t> Numbers(const std::string& path) {
  std::ifstream file(path);
  std::vector<int64_t> numbers;
  for (std::string word; file >> word;) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(word, &number)) return {};
    numbers.push_back(number);
  }
  return numbers;
}

// Calls visit(directory) for our group and all around it.
template <typename Visit>
void ForEachGroup(const Tree& tree, Visit visit) {
  std::string group = tree.group;
  while (true) {
    visit(absl::StrCat(tree.top, group));
    if (group.empty()) return;
    group.resize(group.rfind('/'));
  }
}

uint64_t MemoryLimit(const Tree& tree, const std::string& group) {
  uint64_t limit = UINT64_MAX;
  // Beyond memory.high a group is slowed down until it is of no use.
  const std::vector<const char*> names = tree.is_version_2 ? std::vector<const char*>{"/memory.max", "/memory.high"}
                                                           : std::vector<const char*>{"/memory.limit_in_bytes"};
  for (const char* name : names) {
    const std::vector<int64_t> value = Numbers(absl::StrCat(group, name));
    if (value.size() == 1 && value[0] > 0) limit = std::min(limit, static_cast<uint64_t>(value[0]));
  }
  return limit;
}

// Of time on cores; a part of one counts as one.
int64_t CoreLimit(const Tree& tree, const std::string& group) {
  std::vector<int64_t> quota, period;
  if (tree.is_version_2) {
    quota = Numbers(absl::StrCat(group, "/cpu.max"));  // QUOTA PERIOD
    if (quota.size() == 2) period = {quota[1]};
  } else {
    quota = Numbers(absl::StrCat(group, "/cpu.cfs_quota_us"));  // -1: none
    period = Numbers(absl::StrCat(group, "/cpu.cfs_period_us"));
  }
  if (quota.empty() || period.empty() || quota[0] <= 0 || period[0] <= 0) return INT64_MAX;
  return (quota[0] - 1) / period[0] + 1;
}

int CoresOfThread() {
  for (size_t size = 1024; size <= 1 << 20; size *= 2) {  // the kernel's set may be larger than a cpu_set_t
    cpu_set_t* const set = CPU_ALLOC(size);
    const bool ok = sched_getaffinity(0, CPU_ALLOC_SIZE(size), set) == 0;
    const int count = ok ? CPU_COUNT_S(CPU_ALLOC_SIZE(size), set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace

MachineLimits LimitedByGroups(MachineLimits whole, const std::string& root) {
  for (const Tree& tree : Trees(root, "memory")) {
    ForEachGroup(tree, [&](const std::string& group) {
      whole.memory_bytes = std::min(whole.memory_bytes, MemoryLimit(tree, group));
    });
  }
  for (const Tree& tree : Trees(root, "cpu")) {
    ForEachGroup(tree, [&](const std::string& group) {
      whole.cores = static_cast<int>(std::min<int64_t>(whole.cores, CoreLimit(tree, group)));
    });
  }
  return whole;
}

MachineLimits UsableMachine() {
  uint64_t memory = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGE_SIZE));
  rlimit addresses;
  if (getrlimit(RLIMIT_AS, &addresses) == 0) memory = std::min<uint64_t>(memory, addresses.rlim_cur);
  return LimitedByGroups({.memory_bytes = memory, .cores = CoresOfThread()}, "");
}

std::string AddressSpaceWarning() {
  constexpr rlim_t kEnough = rlim_t{2} << 30;
  rlimit addresses;
  if (getrlimit(RLIMIT_AS, &addresses) != 0 || addresses.rlim_cur >= kEnough) return "";
  return absl::StrCat("the address space is limited to ", addresses.rlim_cur >> 20, " MiB (ulimit -v): below ",
                      kEnough >> 20, " MiB processes may abort, or not reach each other");
}

absl::Status RaiseFileLimit(uint64_t least) {
  constexpr rlim_t kEnough = 1 << 20;  // some programs that we start close whatever they might have open
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return absl::OkStatus();  // then there is none to be known
  const rlim_t wanted = std::max(files.rlim_cur, std::min(files.rlim_max, kEnough));
  if (wanted < least) {
    return absl::ResourceExhaustedError(
        absl::StrCat("only ", wanted, " files may be open at once here, and ", least, " are needed: see ulimit -n"));
  }
  files.rlim_cur = wanted;
  (void)setrlimit(RLIMIT_NOFILE, &files);  // what there was serves as well, just not as many
  return absl::OkStatus();
}

uint64_t FileLimit() {
  rlimit files;
  return getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : RLIM_INFINITY;
}

}  // namespace kedge
