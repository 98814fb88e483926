// Tested by progress_test.cc.
#include "cli/progress.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/console.h"
#include "common/base/steady_time.h"

namespace kedge {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(30);
constexpr int kBarWidth = 24;

}  // namespace

std::string ProgressText(uint64_t done, uint64_t all, absl::Duration elapsed, absl::string_view what) {
  const double share = all > 0 ? static_cast<double>(done) / static_cast<double>(all) : 1;
  const int full = static_cast<int>(share * kBarWidth);
  std::string text =
      absl::StrFormat("[%s%s] %.0f %%", std::string(full, '#'), std::string(kBarWidth - full, '.'), 100 * share);
  if (done > 0 && done < all) {
    const double seconds = absl::ToDoubleSeconds(elapsed) * (1 - share) / share;
    absl::StrAppend(&text, seconds < 90 ? absl::StrFormat(", %.0f s left", seconds)
                                        : absl::StrFormat(", %.0f min left", seconds / 60));
  }
  return absl::StrCat(text, ": ", what);
}

Progress::Progress() : on_terminal_(isatty(STDERR_FILENO)), start_(SteadyNow()), next_line_(start_ + kInterval) {}

Progress::~Progress() {
  if (is_shown_) std::fputs("\r\033[K", stderr);
}

void Progress::Show(uint64_t done, uint64_t all, absl::string_view what) {
  const absl::Time now = SteadyNow();
  if (on_terminal_) {
    // Back to the line's start; what is left of a longer one before is erased.
    std::fputs(absl::StrCat("\r", ProgressText(done, all, now - start_, what), "\033[K").c_str(), stderr);
    is_shown_ = true;
  } else if (now >= next_line_) {
    next_line_ = now + kInterval;
    Say(ProgressText(done, all, now - start_, what));
  }
}

}  // namespace kedge
