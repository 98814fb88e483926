// Tested by write_file_test.cc.
#include "common/base/write_file.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace kedge {

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  static std::atomic<uint64_t> count{0};
  std::error_code error;
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory, error);  // an error shows below
  const std::string part = absl::StrCat(path, ".", ::getpid(), ".", ++count, ".part");
  std::ofstream stream(part, std::ios::binary | std::ios::trunc);
  stream << bytes;
  stream.close();
  error.clear();
  if (stream) std::filesystem::rename(part, path, error);
  if (stream && !error) return absl::OkStatus();
  std::filesystem::remove(part, error);
  return absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace kedge
