// A ServerBuilder with the arguments that Kedge needs, and a door of our own:
// - connections come from ConnectionAcceptor. gRPC's listener, of the version that Debian has, accepts nobody any more
//   once descriptors have run out, bounds no number of connections, and does not return why a port cannot be had;
// - nothing is decompressed: of a megabyte it becomes a gigabyte;
// - a connection that does not get to its first frames in time is ended, and one without calls after a while;
// - pings of clients allowed every 10 s: the default of 5 min ends calls that are silent during a long prefill;
// - reflection, which anybody may ask, bounds what it reads;
// - the health descriptor linked in: reflection lists the health service, and tools fail on a listed service that has
//   no descriptor.
//
// Tested by server_test.cc.
#include "common/rpc/server.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/host_port.h"
#include "common/base/machine_limits.h"
#include "common/base/status.h"
#include "common/rpc/channel.h"
#include "common/rpc/connection_acceptor.h"
#include "common/rpc/deadline.h"
#include "common/rpc/frame_guard.h"
#include "common/rpc/listen_sockets.h"
#include "common/rpc/reflection.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace kedge {
namespace {

constexpr absl::Duration kHandshakeLimit = absl::Seconds(10);  // of TLS and the first frames
constexpr absl::Duration kIdleLimit = absl::Minutes(15);

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

int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

// What one connection may take. Beside these the acceptor holds their number.
void SetLimits(const RpcServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_receive_bytes);
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder->SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
  // What a call sends that nobody reads stays within 64 KiB, which the library would let grow to megabytes with the speed
  // of the network. Of a message that is being read it lets a MiB be under way all the same.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 32 << 10);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_streams);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(kHandshakeLimit));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(kIdleLimit));
  if (options.max_connection_age != absl::InfiniteDuration()) {
    // The grace, after which calls would be cut, stays what it is without an argument: endless.
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(options.max_connection_age));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const RpcServerOptions& options) {
  KEDGE_ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(options.listen));
  KEDGE_ASSIGN_OR_RETURN(ListenSockets sockets, ListenSockets::Open(listen, options.listen));
  const int port = sockets.port();
  PrepareLibrary();

  grpc::ServerBuilder builder;
  const bool is_plain = options.credentials == nullptr;
  std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> library =
      builder.experimental().AddExternalConnectionAcceptor(
          grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
          is_plain ? grpc::InsecureServerCredentials() : options.credentials);
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Reflection> reflection, Reflection::Start(options.services));
  builder.RegisterCallbackGenericService(reflection.get()).SetOption(Reflection::RemoveLibraryReflection());
  SetLimits(options, &builder);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);

  auto server = std::unique_ptr<RpcServer>(new RpcServer());
  server->reflection_ = std::move(reflection);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.listen));
  }
  server->port_ = port;
  server->address_ = JoinHostPort(listen.host, port);
  for (const std::string& service : options.health_services) server->SetServing(service, false);
  if (is_plain) {
    const std::string own_host = IsWildcard(listen.host) ? "localhost" : listen.host;
    server->own_channel_ = NewChannel(JoinHostPort(own_host, port), {.own_connection = true});
  }
  // Last: the library drops what it is handed before it has started, and after it has ended.
  KEDGE_ASSIGN_OR_RETURN(
      server->acceptor_,
      ConnectionAcceptor::Start(std::move(sockets),
                                options.max_connections != 0 ? options.max_connections : ConnectionsFor(FileLimit()),
                                [library, is_plain](int file) {
                                  if (is_plain) GuardFrames(file);
                                  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
                                  connection.fd = file;
                                  library->HandleNewConnection(&connection);
                                }));
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::SetServing(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

absl::Status RpcServer::Knock(absl::Duration timeout) {
  const RealClock clock;
  const absl::Time deadline = clock.Now() + timeout;
  KEDGE_RETURN_IF_ERROR(acceptor_->Knock(timeout));
  if (own_channel_ == nullptr) return absl::OkStatus();
  grpc::ClientContext context;
  context.set_deadline(DeadlineTo(deadline, clock));
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = grpc::health::v1::Health::NewStub(own_channel_)->Check(&context, {}, &response);
  // Other errors are answers: a full house sends its own watchdog away as well.
  if (status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED) return absl::OkStatus();
  return absl::DeadlineExceededError("connections are accepted, and nobody answers on them");
}

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;  // Start failed
  if (acceptor_ != nullptr) acceptor_->Stop();
  own_channel_ = nullptr;
  server_->Shutdown(DeadlineIn(grace));
  server_->Wait();
}

}  // namespace kedge
