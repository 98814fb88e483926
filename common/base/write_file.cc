// Tested by write_file_test.cc.
#include "common/base/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/private_directory.h"

namespace kedge {
namespace {

// 0, or what went wrong. A limit of file size is an error here only where SIGXFSZ is ignored, as all programs do.
int WriteNew(const std::string& path, absl::string_view bytes, mode_t mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file < 0) return errno;
  int error = 0;
  while (error == 0 && !bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written >= 0) bytes.remove_prefix(static_cast<size_t>(written));
    if (written < 0 && errno != EINTR) error = errno;
  }
  if (close(file) != 0 && error == 0) error = errno;  // where a quota shows on some file systems
  return error;
}

absl::Status Write(const std::string& path, absl::string_view bytes, mode_t mode) {
  static std::atomic<uint64_t> count{0};
  const std::string part = absl::StrCat(path, ".", ::getpid(), ".", ++count, ".part");
  int error = WriteNew(part, bytes, mode);
  if (error == 0 && ::rename(part.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return absl::OkStatus();
  ::unlink(part.c_str());
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", strerror(error)));
}

}  // namespace

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  std::error_code ignored;  // what is wrong with the directory shows when the file is opened
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, ignored);
  return Write(path, bytes, 0644);
}

absl::Status WritePrivateFile(const std::string& path, absl::string_view bytes) {
  const absl::Status made = MakePrivateDirectory(std::filesystem::path(path).parent_path().string());
  if (made.ok()) return Write(path, bytes, 0600);
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", made.message()));
}

}  // namespace kedge
