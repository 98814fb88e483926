// Tested by announce_test.cc.
#include "common/rpc/announce.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace kedge {

absl::Status Announce(int file, const std::string& addresses) {
  const std::string line = absl::StrCat(addresses, "\n");
  const ssize_t written = write(file, line.data(), line.size());
  const int error = errno;
  close(file);
  // Who does not listen any more need not be told.
  if (written == static_cast<ssize_t>(line.size()) || error == EPIPE) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--announce-fd: ", file, ": ", strerror(error)));
}

absl::StatusOr<AnnouncePipe> AnnouncePipe::Make() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::UnavailableError(absl::StrCat("no pipe: ", strerror(errno)));
  AnnouncePipe pipe(ends[0], ends[1]);
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
    return absl::UnavailableError(absl::StrCat("a pipe: ", strerror(errno)));
  }
  return pipe;
}

AnnouncePipe::AnnouncePipe(AnnouncePipe&& other) noexcept
    : read_end_(std::exchange(other.read_end_, -1)),
      child_end_(std::exchange(other.child_end_, -1)),
      text_(std::move(other.text_)) {}

AnnouncePipe::~AnnouncePipe() {
  CloseChildEnd();
  if (read_end_ >= 0) close(read_end_);
}

void AnnouncePipe::CloseChildEnd() {
  if (child_end_ >= 0) close(std::exchange(child_end_, -1));
}

std::string AnnouncePipe::Poll() {
  char bytes[256];
  for (ssize_t count; (count = read(read_end_, bytes, sizeof(bytes))) > 0;) text_.append(bytes, count);
  return text_.substr(0, text_.find('\n') == std::string::npos ? 0 : text_.find('\n'));
}

}  // namespace kedge
