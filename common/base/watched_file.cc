// Tested by watched_file_test.cc.
#include "common/base/watched_file.h"

#include <errno.h>
#include <string.h>

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kedge {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  constexpr size_t kMostBytes = 16 << 20;
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const std::string message = absl::StrCat(path, ": ", strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(message) : absl::InvalidArgumentError(message);
  }
  std::string text;
  char block[1 << 14];
  do {
    file.read(block, sizeof(block));
    text.append(block, static_cast<size_t>(file.gcount()));
    if (text.size() > kMostBytes) return absl::InvalidArgumentError(absl::StrCat(path, ": has more than 16 MiB"));
  } while (file);
  if (file.bad()) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  return text;
}

WatchedFile::WatchedFile(std::string path, absl::StatusOr<std::string> known, absl::Duration interval,
                         OnChange on_change)
    : thread_([this, path = std::move(path), known = std::move(known), interval,
               on_change = std::move(on_change)]() mutable {
        while (!stopping_.WaitFor(interval)) {
          absl::StatusOr<std::string> text = ReadSmallFile(path);
          if (text == known) continue;
          known = std::move(text);
          on_change(known);
        }
      }) {}

WatchedFile::~WatchedFile() {
  stopping_.Notify();
  thread_.join();
}

}  // namespace kedge
