// Tested, with the real processes, by tests/door_test.py.
#include "cli/router_access.h"

#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/base/watched_file.h"
#include "common/rpc/flags.h"
#include "common/tls/membership.h"

namespace kedge {

void AddClientOptions(CLI::App* command, RouterAccess* access) {
  command
      ->add_option("--tls-ca", access->authority_file,
                   "Speak TLS to the router, whose certificate must be by an authority in this file (default: plain)")
      ->type_name(kFileType);
  command
      ->add_option("--api-key", access->key,
                   "Key of a tenant, where the router wants one. Other users see command lines: better in the "
                   "environment")
      ->envname("KEDGE_API_KEY")
      ->type_name("KEY");
}

void AddRouterOption(CLI::App* command, RouterAccess* access) {
  command->add_option("--router", access->address, "HOST:PORT of the router: its --listen")
      ->required()
      ->check(ReachableAddress());
  AddClientOptions(command, access);
}

void AddClusterOption(CLI::App* command, RouterAccess* access) {
  command->add_option("--router", access->address, "HOST:PORT where the router listens for nodes: its --cluster-listen")
      ->required()
      ->check(ReachableAddress());
  command->add_option("--tls-dir", access->tls_directory, kTlsDirectoryHelp)->type_name(kFileType);
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const RouterAccess& access) {
  ClientOptions options{.address = access.address, .key = access.key};
  if (!access.authority_file.empty()) {
    absl::StatusOr<std::string> authorities = ReadSmallFile(access.authority_file);
    if (!authorities.ok()) return OfField("--tls-ca", authorities.status());
    options.authorities = *std::move(authorities);
  }
  if (!access.tls_directory.empty()) {
    absl::StatusOr<std::shared_ptr<const Membership>> member = Membership::Load(access.tls_directory);
    if (!member.ok()) return OfField("--tls-dir", member.status());
    options.member = *std::move(member);
  }
  return std::make_unique<Client>(options);
}

}  // namespace kedge
