// Sockets that listen at an address as people write it.
#ifndef KEDGE_COMMON_RPC_LISTEN_SOCKETS_H_
#define KEDGE_COMMON_RPC_LISTEN_SOCKETS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/host_port.h"

namespace kedge {

// One socket for each address that the host's name stands for, all on one port. They do not block, what comes from
// accept has their options (no delay of small messages, a limit for what nobody acknowledges), and nobody else may
// listen there. Owns them. Thread-compatible; move-only.
class ListenSockets {
 public:
  // `listen`: as it was written, for errors. kInvalidArgument: it names no address of this machine, or one that this
  // user may not have. kUnavailable: the port is taken. kResourceExhausted: there are no descriptors.
  static absl::StatusOr<ListenSockets> Open(const HostPort& address, absl::string_view listen);
  ~ListenSockets() { Close(); }
  ListenSockets(ListenSockets&& other) noexcept;
  ListenSockets& operator=(ListenSockets&& other) noexcept;

  // Never empty before Close.
  const std::vector<int>& files() const { return files_; }
  // The real one, also where 0 was asked for.
  int port() const { return port_; }
  void Close();

 private:
  ListenSockets() = default;
  std::vector<int> files_;
  int port_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_LISTEN_SOCKETS_H_
