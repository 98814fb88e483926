// Starts a gRPC server the way all of Kedge's processes do.
#ifndef KEDGE_COMMON_RPC_SERVER_H_
#define KEDGE_COMMON_RPC_SERVER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
class Server;
class ServerCredentials;
class Service;
}  // namespace grpc

namespace kedge {

class ConnectionAcceptor;
class Reflection;

struct RpcServerOptions {
  // HOST:PORT; port 0 takes a free one.
  std::string listen;
  // Must outlive the server.
  std::vector<grpc::Service*> services;
  // Names that the health service knows besides "" (the process lives). They start as NOT_SERVING.
  std::vector<std::string> health_services;
  // Null: plain.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Larger messages get RESOURCE_EXHAUSTED from the library, those beyond FrameMeter::kMostMessage end their
  // connection. 16 MiB for clients, 64 MiB between nodes.
  int max_receive_bytes = 16 << 20;
  // Who comes when so many connections are open is sent away at once. 0: ConnectionsFor(FileLimit()).
  size_t max_connections = 0;
  // Calls under way on one connection; a client keeps back what is more. Between a router and a node one connection
  // carries all.
  int max_streams = 4096;
  // So old a connection is asked to take no new calls; those that it has may go on for as long as they want. Infinite
  // between nodes and routers: a registration is one call for ever, and its node would change the connection for
  // nothing.
  absl::Duration max_connection_age = absl::InfiniteDuration();
};

// A running server with the health service, reflection, keepalive and limits. Thread-safe.
class RpcServer {
 public:
  // kInvalidArgument: `listen` is malformed or names no address of this machine. kUnavailable: the port is taken.
  // kInternal: the library starts no server.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const RpcServerOptions& options);
  // Cancels what still runs.
  ~RpcServer();

  // The real port, also where 0 was asked for.
  int port() const { return port_; }
  // HOST:PORT with the real port.
  const std::string& address() const { return address_; }

  // `service` is one of health_services, or "".
  void SetServing(const std::string& service, bool serving);

  // Whether somebody who connects is let in and, where that needs no certificate, asks for health and gets an answer.
  // Any error: not within `timeout`. REQUIRES: not called from two threads at once, and returns before Shutdown.
  absl::Status Knock(absl::Duration timeout);

  // Closes the port, lets calls run for `grace`, then cancels them; returns when all have ended. Idempotent.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer() = default;
  std::unique_ptr<Reflection> reflection_;  // ends after server_ has
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;  // ends before server_ does
  std::shared_ptr<grpc::Channel> own_channel_;    // of Knock; null: a client would need more than an address
  int port_ = 0;
  std::string address_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_SERVER_H_
