// Tested by private_directory_test.cc.
#include "common/base/private_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace kedge {

absl::Status MakePrivateDirectory(const std::string& path) {
  const auto error = [&path](int number) {
    return absl::UnavailableError(absl::StrCat(path, ": ", strerror(number)));
  };
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  if (errno == ENOENT) {
    const std::string above = std::filesystem::path(path).parent_path().string();
    if (above.empty() || above == path) return error(ENOENT);
    if (mkdir(above.c_str(), 0700) != 0 && errno != EEXIST) {
      if (errno != ENOENT) return error(errno);
      KEDGE_RETURN_IF_ERROR(MakePrivateDirectory(above));
    }
    if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  }
  if (errno != EEXIST) return error(errno);
  struct stat link, info;
  if (lstat(path.c_str(), &link) != 0) return error(errno);
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return error(errno);
  const absl::Cleanup close_it = [directory] { close(directory); };
  if (fstat(directory, &info) != 0) return error(errno);
  if (link.st_uid != geteuid() || info.st_uid != geteuid()) {
    return absl::UnavailableError(absl::StrCat(path, ": belongs to another user"));
  }
  if ((info.st_mode & 077) != 0 && fchmod(directory, info.st_mode & 0700) != 0) return error(errno);
  return absl::OkStatus();
}

}  // namespace kedge
