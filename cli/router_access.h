// How the tool reaches a router that runs: the flags, and the client that they make.
#ifndef KEDGE_CLI_ROUTER_ACCESS_H_
#define KEDGE_CLI_ROUTER_ACCESS_H_

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cli/client.h"

namespace kedge {

// As given on the command line.
struct RouterAccess {
  std::string address;
  std::string authority_file;  // of the listener for clients
  std::string key;
  std::string tls_directory;  // for the listener for nodes
};

// --tls-ca and --api-key, which go with the address of a router's listener for clients.
void AddClientOptions(CLI::App* command, RouterAccess* access);
// The same and --router, required.
void AddRouterOption(CLI::App* command, RouterAccess* access);
// --router, required, and --tls-dir, of a router's listener for nodes.
void AddClusterOption(CLI::App* command, RouterAccess* access);

// kInvalidArgument names the flag whose file cannot be used.
absl::StatusOr<std::unique_ptr<Client>> Connect(const RouterAccess& access);

}  // namespace kedge

#endif  // KEDGE_CLI_ROUTER_ACCESS_H_
