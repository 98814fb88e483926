// Client channels between the processes of a cluster.
#ifndef KEDGE_COMMON_RPC_CHANNEL_H_
#define KEDGE_COMMON_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "grpcpp/channel.h"

namespace kedge {

struct ChannelOptions {
  // A TCP connection of its own. Otherwise channels to one address share one, and its reconnect backoff.
  bool own_connection = false;
  int max_receive_bytes = 64 << 20;
};

// A channel to `address` (HOST:PORT): keepalive, quick reconnects, no HTTP proxy. It connects with its first call.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& address, const ChannelOptions& options = {});

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_CHANNEL_H_
