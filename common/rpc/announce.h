// How a server tells who started it where it listens.
#ifndef KEDGE_COMMON_RPC_ANNOUNCE_H_
#define KEDGE_COMMON_RPC_ANNOUNCE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kedge {

// Writes the addresses as one line to an open file that came with the process, and closes it. kInvalidArgument: `file`
// is none.
absl::Status Announce(int file, const std::string& addresses);

// The other side: a pipe that the server gets, so that nothing depends on a disk. Owned by one thread.
class AnnouncePipe {
 public:
  static absl::StatusOr<AnnouncePipe> Make();
  ~AnnouncePipe();
  AnnouncePipe(AnnouncePipe&& other) noexcept;
  AnnouncePipe& operator=(AnnouncePipe&&) = delete;

  // For ChildOptions::shared_file and --announce-fd. Close it once the child is there.
  int child_end() const { return child_end_; }
  void CloseChildEnd();

  // The line; "" as long as it has not been announced. Does not block.
  std::string Poll();

 private:
  AnnouncePipe(int read_end, int child_end) : read_end_(read_end), child_end_(child_end) {}

  int read_end_;
  int child_end_;
  std::string text_;  // so far
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_ANNOUNCE_H_
