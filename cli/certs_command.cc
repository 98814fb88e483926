// `kedge certs`: a certificate authority and certificates for a cluster over several machines, for who has none.
// `kedge key`: a key for a tenant.
//
// Tested by certificate_store_test.cc and tests/door_test.py.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/certificate_store.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "common/base/status.h"
#include "common/rpc/flags.h"
#include "common/tls/tenant_keys.h"

namespace kedge {
namespace {

struct CertsOptions {
  std::string directory;
  std::vector<std::string> members;  // ROLE:NAME[,NAME...]
  std::vector<std::string> revoked;  // names
  int days = 365;
};

absl::Status Issue(const CertificateStore& store, const std::string& text, int days) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  const absl::StatusOr<MemberRole> role = ParseMemberRole(parts.first);
  if (!role.ok() || parts.second.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, ": is not ROLE:NAME[,NAME...], e.g. decode:host-c, with router, prefill, decode or admin"));
  }
  const std::vector<std::string> names = absl::StrSplit(parts.second, ',');
  absl::StatusOr<std::string> folder = store.Issue(*role, names, absl::Hours(24) * days);
  KEDGE_RETURN_IF_ERROR(folder.status());
  WriteOut(absl::StrCat(MemberRoleName(*role), " ", parts.second, ": --tls-dir ", *folder, "\n"));
  return absl::OkStatus();
}

absl::Status MakeCertificates(const CertsOptions& options) {
  KEDGE_ASSIGN_OR_RETURN(const CertificateStore store, CertificateStore::Open(options.directory));
  for (const std::string& name : options.revoked) {
    KEDGE_RETURN_IF_ERROR(store.Revoke(name));
    Say(absl::StrCat("revoked the certificate of ", name, " in all folders of ", options.directory,
                     "; processes of other machines need the file `revoked` as well"));
  }
  for (const std::string& member : options.members) KEDGE_RETURN_IF_ERROR(Issue(store, member, options.days));
  return absl::OkStatus();
}

int Certs(const CertsOptions& options) {
  const absl::Status status = MakeCertificates(options);
  if (status.ok()) return kExitOk;
  SayError(status);
  return kExitFailed;
}

int Key(const std::string& tenant) {
  const absl::StatusOr<NewKey> key = MakeTenantKey(tenant);
  if (!key.ok()) {
    SayError(key.status());
    return kExitFailed;
  }
  WriteOut(key->line);
  Say(absl::StrCat("the key of ", tenant, ", which is stored nowhere: ", key->key));
  return kExitOk;
}

}  // namespace

void AddCertsCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<CertsOptions>();
  CLI::App* command = app->add_subcommand(
      "certs", "Make, renew and revoke the certificates of a cluster over several machines");
  command->add_option("DIR", options->directory, "Where they are kept; the authority is made if there is none")
      ->required()
      ->type_name(kFileType);
  command->add_option("MEMBER", options->members,
                      "ROLE:NAME[,NAME...], whom to make one for: router, prefill, decode or admin, and the names and "
                      "IP addresses of its host or node; the first one is the node's id");
  command->add_option("--revoke", options->revoked, "Name whose certificate counts no more")
      ->allow_extra_args(false)
      ->type_name("NAME");
  command->add_option("--days", options->days, "How long they are valid")
      ->check(WholeNumber(1, 3650))
      ->type_name("N")
      ->capture_default_str();
  command->callback([options, action] { *action = [options] { return Certs(*options); }; });
}

void AddKeyCommand(CLI::App* app, Action* action) {
  auto tenant = std::make_shared<std::string>();
  CLI::App* command = app->add_subcommand(
      "key", "Make a key for a tenant: stdout gets its line for the router's --keys, stderr the key itself");
  command->add_option("TENANT", *tenant, "Who will use it")->required();
  command->callback([tenant, action] { *action = [tenant] { return Key(*tenant); }; });
}

}  // namespace kedge
