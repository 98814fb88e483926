// Tested by open_connections_test.cc.
#include "common/rpc/open_connections.h"

#include <sys/stat.h>

#include "common/base/check.h"

namespace kedge {
namespace {

// Returns whether it is a socket that is open.
bool InodeOf(int file, ino_t* inode) {
  struct stat found;
  if (fstat(file, &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
  *inode = found.st_ino;
  return true;
}

}  // namespace

void OpenConnections::Add(int file) {
  ino_t inode = 0;
  KEDGE_CHECK(InodeOf(file, &inode));
  inodes_[file] = inode;  // who had this descriptor before has closed it
}

size_t OpenConnections::Count() {
  std::erase_if(inodes_, [](const auto& entry) {
    ino_t inode = 0;
    return !InodeOf(entry.first, &inode) || inode != entry.second;
  });
  return inodes_.size();
}

}  // namespace kedge
