// What `bench router` holds a router against: a process that passes a node's messages on, and does nothing else.
#ifndef KEDGE_CLI_TOKEN_RELAY_H_
#define KEDGE_CLI_TOKEN_RELAY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace kedge {

// Serves DecodeService by the same call to one node, over one connection to it as a router has. Messages that wait for
// one client travel together. Owned by one thread.
class TokenRelay {
 public:
  // Listens on a free port of this machine. `node`: HOST:PORT.
  static absl::StatusOr<std::unique_ptr<TokenRelay>> Start(const std::string& node);
  ~TokenRelay();

  // HOST:PORT.
  const std::string& address() const;

 private:
  struct Impl;
  explicit TokenRelay(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kedge

#endif  // KEDGE_CLI_TOKEN_RELAY_H_
