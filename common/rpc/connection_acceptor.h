// Takes connections from sockets that listen, whatever happens to the descriptors of this process.
#ifndef KEDGE_COMMON_RPC_CONNECTION_ACCEPTOR_H_
#define KEDGE_COMMON_RPC_CONNECTION_ACCEPTOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/listen_sockets.h"
#include "common/rpc/open_connections.h"

namespace kedge {

// What listeners of a process that may have so many files open hold together, unless a flag says otherwise: nine
// tenths, and never all but what the process itself opens.
size_t ConnectionsFor(uint64_t files);

// A thread accepts, counts and hands over. Who comes when there are `max_connections`, or when the process has no
// descriptor left, is sent away at once: the queue of the kernel never stands still, and the first who comes after
// descriptors are free is let in. (gRPC's own listener sleeps for ever once it has found none, CVE-2023-4785.)
// Thread-safe.
class ConnectionAcceptor {
 public:
  // Gets each connection, which does not block, and owns it. Runs on the acceptor's thread.
  using Take = std::function<void(int file)>;

  // kResourceExhausted: there are no descriptors to begin with.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Start(ListenSockets sockets, size_t max_connections,
                                                                   Take take);
  ~ConnectionAcceptor() { Stop(); }
  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  // Closes the sockets; `take` does not run any more when it returns. Idempotent; not from two threads at once.
  void Stop();

  // All that came, those that were sent away as well.
  uint64_t accepted() const { return accepted_; }
  uint64_t refused() const { return refused_; }

  // Connects to the first socket and waits until that, or somebody else's connection, has been accepted. Any error:
  // within `timeout` it was not. REQUIRES: not called from two threads at once, and returns before Stop.
  absl::Status Knock(absl::Duration timeout);

 private:
  ConnectionAcceptor(ListenSockets sockets, size_t max_connections, Take take, int stop_file);
  void Run();
  // Takes what waits at a socket, so much of it that others have their turn. Returns false if there was no descriptor
  // even to send somebody away.
  bool AcceptFrom(int listener);
  bool SendAway(int listener);
  bool IsFull();
  void Refuse(int file, const char* why);

  ListenSockets sockets_;
  const size_t max_connections_;
  const Take take_;
  const int stop_file_;  // readable once Stop was called
  int knock_spare_;      // the same as spare_file_, of who knocks
  // All below but the counts is the thread's own.
  int spare_file_;  // given up for a moment where there is no other descriptor; -1: another thread was faster
  OpenConnections connections_;
  absl::Time next_count_ = absl::InfinitePast();
  absl::Time next_line_ = absl::InfinitePast();
  uint64_t untold_ = 0;  // refused since the last line of the log
  std::atomic<uint64_t> accepted_ = 0;
  std::atomic<uint64_t> refused_ = 0;
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_CONNECTION_ACCEPTOR_H_
