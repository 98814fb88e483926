// Client channels between the processes of a cluster.
#ifndef KEDGE_COMMON_RPC_CHANNEL_H_
#define KEDGE_COMMON_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "common/tls/membership.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace kedge {

struct ChannelOptions {
  // Null: plain.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  // What the server's certificate must name; empty: the host of the address.
  std::string server_name;
  // A TCP connection of its own. Otherwise channels to one address share one, and its reconnect backoff.
  bool own_connection = false;
  int max_receive_bytes = 64 << 20;
};

// A connection of its own to the member of this name; plain if `member`, this process's own membership, is null.
ChannelOptions ToMember(const Membership* member, const std::string& name);

// A channel to `address`: HOST:PORT and nothing else, whatever gRPC takes for a target ("unix:7" is a host here).
// Keepalive, quick reconnects, no HTTP proxy. It connects with its first call.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& address, const ChannelOptions& options = {});

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_CHANNEL_H_
