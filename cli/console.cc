// One write(2) for each message, so that lines of several threads and processes do not mix, and so that a token is
// seen as soon as it is written.
//
// Tested by console_test.cc.
#include "cli/console.h"

#include <errno.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

bool WriteAll(int file, absl::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

void Say(absl::string_view message) { WriteAll(STDERR_FILENO, absl::StrCat("kedge: ", message, "\n")); }

void SayError(const absl::Status& status) {
  Say(absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message()));
}

void WriteErr(absl::string_view text) { WriteAll(STDERR_FILENO, text); }

bool WriteOut(absl::string_view text) { return WriteAll(STDOUT_FILENO, text); }

bool WriteAnswer(absl::string_view text, bool raw) {
  return raw || !isatty(STDOUT_FILENO) ? WriteOut(text) : WriteOut(ForTerminal(text));
}

}  // namespace kedge
