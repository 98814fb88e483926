// Tested by open_connections_test.cc.
#include "common/rpc/open_connections.h"

#include <sys/stat.h>

#include "common/base/check.h"

namespace kedge {

std::optional<ino_t> SocketInode(int file) {
  struct stat found;
  if (fstat(file, &found) != 0 || !S_ISSOCK(found.st_mode)) return std::nullopt;
  return found.st_ino;
}

void OpenConnections::Add(int file) {
  const std::optional<ino_t> inode = SocketInode(file);
  KEDGE_CHECK(inode.has_value());
  inodes_[file] = *inode;  // who had this descriptor before has closed it
}

size_t OpenConnections::Count() {
  std::erase_if(inodes_, [](const auto& entry) { return SocketInode(entry.first) != entry.second; });
  return inodes_.size();
}

}  // namespace kedge
