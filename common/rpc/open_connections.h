// How many of the connections that were handed to a library are still open: the library does not say.
#ifndef KEDGE_COMMON_RPC_OPEN_CONNECTIONS_H_
#define KEDGE_COMMON_RPC_OPEN_CONNECTIONS_H_

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <unordered_map>

namespace kedge {

// Of an open socket, as long as it is open no other one's; nullopt: `file` is none.
std::optional<ino_t> SocketInode(int file);

// Remembers descriptors with the inodes of their sockets. A descriptor that has gone, or has become something else's,
// was closed; the kernel gives no two open sockets one inode. Thread-compatible; others may close descriptors
// meanwhile.
class OpenConnections {
 public:
  // REQUIRES: `file` is open, and stays so until this returns.
  void Add(int file);
  // No fewer than are open.
  size_t most() const { return inodes_.size(); }
  // Asks the kernel of each one, a fraction of a microsecond for each; returns how many are open.
  size_t Count();

 private:
  std::unordered_map<int, ino_t> inodes_;  // by descriptor
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_OPEN_CONNECTIONS_H_
