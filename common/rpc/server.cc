// A ServerBuilder with the arguments that Kedge needs:
// - SO_REUSEPORT off: with gRPC's default a second server on the same port starts without an error and takes half of
//   the connections. The port is bound once by hand before, because the library does not return why it could not;
// - pings of clients allowed every 10 s: the default of 5 min ends calls that are silent during a long prefill;
// - the health descriptor linked in: reflection lists the health service, and tools fail on a listed service that has
//   no descriptor.
//
// Tested by server_test.cc.
#include "common/rpc/server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/host_port.h"
#include "common/base/status.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace kedge {
namespace {

// gRPC wants these once per process, before the first server.
void PrepareLibrary() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    // Explicit: the static initializer that would do it is lost when the linker drops unused libraries.
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::health::v1::HealthCheckRequest::descriptor();
  });
}

// Binds and lets go, to learn why a port cannot be had.
absl::Status TryBind(const HostPort& address, absl::string_view listen) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
      error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", listen, ": ", gai_strerror(error)));
  }
  // A name may stand for addresses that this machine does not have (::1 without IPv6): one that it has is enough.
  absl::Status status = absl::InvalidArgumentError(absl::StrCat("cannot listen on ", listen, ": no such address here"));
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    const int socket_fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
    if (socket_fd < 0) continue;
    const int on = 1;
    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));  // as gRPC does
    const int error = bind(socket_fd, info->ai_addr, info->ai_addrlen) == 0 ? 0 : errno;
    close(socket_fd);
    if (error == EADDRINUSE) {
      status = absl::UnavailableError(absl::StrCat("cannot listen on ", listen, ": the port is taken"));
      break;
    }
    if (error == EACCES) {
      status = absl::InvalidArgumentError(absl::StrCat("cannot listen on ", listen, ": ", std::strerror(error)));
    } else if (error == 0) {
      status = absl::OkStatus();
    }
  }
  freeaddrinfo(found);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const RpcServerOptions& options) {
  KEDGE_ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(options.listen));
  KEDGE_RETURN_IF_ERROR(TryBind(listen, options.listen));
  PrepareLibrary();

  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(
      options.listen, options.credentials == nullptr ? grpc::InsecureServerCredentials() : options.credentials, &port);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(options.max_receive_bytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 32 << 10);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);

  auto server = std::unique_ptr<RpcServer>(new RpcServer());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.listen));
  }
  server->port_ = port;
  server->address_ = JoinHostPort(listen.host, port);
  for (const std::string& service : options.health_services) server->SetServing(service, false);
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::SetServing(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;  // Start failed
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
}

}  // namespace kedge
