// How far a long command is, on stderr.
#ifndef KEDGE_CLI_PROGRESS_H_
#define KEDGE_CLI_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace kedge {

// "[#####.....] 50 %, 2 min left: WHAT". The time left is what the done part suggests; it is left out before there is
// one. REQUIRES: done <= all.
std::string ProgressText(uint64_t done, uint64_t all, absl::Duration elapsed, absl::string_view what);

// On a terminal one line that changes; elsewhere a line every half minute. Owned by one thread.
class Progress {
 public:
  Progress();
  // Ends the changing line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(uint64_t done, uint64_t all, absl::string_view what);

 private:
  const bool on_terminal_;
  const absl::Time start_;
  absl::Time next_line_;
  bool is_shown_ = false;
};

}  // namespace kedge

#endif  // KEDGE_CLI_PROGRESS_H_
