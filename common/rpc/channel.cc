// Channel arguments where gRPC's defaults suit the internet and not a cluster: reconnects after at most 1 s (120 s),
// no HTTP proxy from the environment, and pings that find a dead peer during a silent prefill.
//
// Tested by registrar_test.cc and router/router_test.cc, which stand on these channels.
#include "common/rpc/channel.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace kedge {
namespace {

// As a URI, so that no host is a scheme.
std::string Target(const std::string& address) {
  return absl::StrCat("dns:///", absl::StrReplaceAll(address, {{"%", "%25"}, {"[", "%5B"}, {"]", "%5D"}}));
}

}  // namespace

ChannelOptions ToMember(const Membership* member, const std::string& name) {
  ChannelOptions options{.own_connection = true};
  if (member == nullptr) return options;
  options.credentials = member->channel_credentials();
  options.server_name = name;
  return options;
}

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address, const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_receive_bytes);
  // Of what is compressed nobody knows how large it is (server.cc).
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, 32 << 10);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // in truth the time that connecting may take
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (options.own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  return grpc::CreateCustomChannel(
      Target(address), options.credentials == nullptr ? grpc::InsecureChannelCredentials() : options.credentials,
      arguments);
}

}  // namespace kedge
