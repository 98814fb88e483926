// Held by a lock on the directory itself, which ends with the process, however that comes. What is removed must look in
// every respect like one of ours: a name of that form, a real directory, our own user's. Names sort by time.
//
// Tested by log_directory_test.cc.
#include "cli/log_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/private_directory.h"
#include "common/base/status.h"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr char kForm[] = "dddddddd-dddddd-";  // and the process id
constexpr size_t kFormSize = sizeof(kForm) - 1;
constexpr int kTries = 10;  // seconds: another machine, or container, with the same home may have the same process id

bool HasForm(absl::string_view name) {
  if (name.size() <= kFormSize) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool wants_digit = i >= kFormSize || kForm[i] == 'd';
    if (wants_digit ? !absl::ascii_isdigit(name[i]) : name[i] != '-') return false;
  }
  return true;
}

// "YYYYMMDD-HHMMSS", in local time.
std::string TimeText(absl::Time time) {
  const std::time_t seconds = absl::ToTimeT(time);
  std::tm local = {};
  localtime_r(&seconds, &local);
  char text[32];
  return std::string(text, std::strftime(text, sizeof(text), "%Y%m%d-%H%M%S", &local));
}

// The directory, locked; -1 if it is none of ours, or somebody holds it.
int TryHold(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat info;
  if (file >= 0 && fstat(file, &info) == 0 && info.st_uid == geteuid() && flock(file, LOCK_EX | LOCK_NB) == 0) {
    return file;
  }
  if (file >= 0) close(file);
  return -1;
}

void RemoveOld(const std::string& parent) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    if (std::string name = it->path().filename().string(); HasForm(name)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  for (size_t i = 0; i + LogDirectory::kKept < names.size(); ++i) {
    const std::string path = absl::StrCat(parent, "/", names[i]);
    const int file = TryHold(path);
    if (file < 0) continue;
    fs::remove_all(path, error);
    close(file);
  }
}

}  // namespace

absl::StatusOr<LogDirectory> LogDirectory::Make(const std::string& parent, absl::Time now) {
  KEDGE_RETURN_IF_ERROR(MakePrivateDirectory(parent));
  for (int i = 0; i < kTries; ++i) {
    const std::string path = absl::StrCat(parent, "/", TimeText(now + absl::Seconds(i)), "-", getpid());
    if (mkdir(path.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return absl::UnavailableError(absl::StrCat(path, ": ", strerror(errno)));
    }
    const int file = TryHold(path);  // -1 where a file system has no locks: then only time protects it
    RemoveOld(parent);
    return LogDirectory(path, file);
  }
  return absl::UnavailableError(absl::StrCat(parent, ": no name is free"));
}

LogDirectory::LogDirectory(LogDirectory&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

LogDirectory::~LogDirectory() {
  if (file_ >= 0) close(file_);
}

}  // namespace kedge
