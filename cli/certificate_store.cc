// Tested by certificate_store_test.cc.
#include "cli/certificate_store.h"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/base/watched_file.h"
#include "common/base/write_file.h"
#include "common/tls/revocations.h"

namespace kedge {
namespace {

constexpr absl::Duration kAuthorityValid = absl::Hours(24 * 3650);

// Names of folders are hosts, and no way out of the directory.
absl::Status CheckFolder(const std::string& name) {
  if (!name.empty() && name[0] != '.' && !absl::StrContains(name, '/') && name != "revoked") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is no name for a folder"));
}

// While it lives, files and directories that are made are for this user alone.
class PrivateFiles {
 public:
  PrivateFiles() : before_(umask(0077)) {}
  ~PrivateFiles() { umask(before_); }

 private:
  const mode_t before_;
};

}  // namespace

absl::StatusOr<CertificateStore> CertificateStore::Open(const std::string& directory) {
  const PrivateFiles guard;
  CertificateStore store(directory, {});
  const absl::StatusOr<std::string> certificate = ReadSmallFile(directory + "/ca.pem");
  const absl::StatusOr<std::string> key = ReadSmallFile(directory + "/ca-key.pem");
  if (certificate.ok() && key.ok()) {
    if (const absl::Status status = CheckCertificate(*certificate, *certificate, *key); !status.ok()) {
      return OfField(absl::StrCat(directory, "/ca.pem, ca-key.pem"), status);
    }
    store.authority_ = {*certificate, *key};
    return store;
  }
  // Half an authority is none to be replaced without a word.
  if (!absl::IsNotFound(certificate.status())) return certificate.ok() ? key.status() : certificate.status();
  if (!absl::IsNotFound(key.status())) return key.ok() ? certificate.status() : key.status();
  KEDGE_ASSIGN_OR_RETURN(store.authority_, MakeAuthority(kAuthorityValid));
  KEDGE_RETURN_IF_ERROR(WriteFile(directory + "/ca-key.pem", store.authority_.key));
  KEDGE_RETURN_IF_ERROR(WriteFile(directory + "/ca.pem", store.authority_.certificate));
  return store;
}

std::string CertificateStore::Path(const std::string& name, const std::string& file) const {
  return absl::StrCat(directory_, "/", name, "/", file);
}

absl::StatusOr<std::string> CertificateStore::RevokedText() const {
  absl::StatusOr<std::string> text = ReadSmallFile(directory_ + "/revoked");
  return absl::IsNotFound(text.status()) ? "" : text;
}

absl::StatusOr<std::string> CertificateStore::Issue(MemberRole role, const std::vector<std::string>& names,
                                                    absl::Duration valid) const {
  const PrivateFiles guard;
  KEDGE_ASSIGN_OR_RETURN(const std::string revoked, RevokedText());
  const std::string name = names.empty() ? "" : names.front();
  KEDGE_RETURN_IF_ERROR(CheckFolder(name));
  CertificateOrder order{.role = role, .names = names, .valid = valid};
  if (const absl::StatusOr<std::string> old = ReadSmallFile(Path(name, "cert.pem")); old.ok()) {
    const absl::StatusOr<CertificateFacts> facts = ReadCertificate(*old);
    const bool is_revoked = !facts.ok() || Revocations(revoked).Has(facts->serial, facts->names);
    if (!is_revoked) order.key = ReadSmallFile(Path(name, "key.pem")).value_or("");
  }
  KEDGE_ASSIGN_OR_RETURN(const CertifiedKey made, MakeCertificate(authority_, order));
  KEDGE_RETURN_IF_ERROR(WriteFile(Path(name, "ca.pem"), authority_.certificate));
  KEDGE_RETURN_IF_ERROR(WriteFile(Path(name, "revoked"), revoked));
  if (made.key != order.key) KEDGE_RETURN_IF_ERROR(WriteFile(Path(name, "key.pem"), made.key));
  KEDGE_RETURN_IF_ERROR(WriteFile(Path(name, "cert.pem"), made.certificate));
  return absl::StrCat(directory_, "/", name);
}

absl::Status CertificateStore::Revoke(const std::string& name) const {
  const PrivateFiles guard;
  KEDGE_RETURN_IF_ERROR(CheckFolder(name));
  KEDGE_ASSIGN_OR_RETURN(const std::string certificate, ReadSmallFile(Path(name, "cert.pem")));
  const absl::StatusOr<CertificateFacts> facts = ReadCertificate(certificate);
  if (!facts.ok()) return OfField(Path(name, "cert.pem"), facts.status());
  KEDGE_ASSIGN_OR_RETURN(std::string revoked, RevokedText());
  if (!Revocations(revoked).Has(facts->serial, {})) absl::StrAppend(&revoked, facts->serial, "  # ", name, "\n");
  KEDGE_RETURN_IF_ERROR(WriteFile(directory_ + "/revoked", revoked));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (!entry.is_directory(error) || !std::filesystem::exists(entry.path() / "cert.pem", error)) continue;
    KEDGE_RETURN_IF_ERROR(WriteFile((entry.path() / "revoked").string(), revoked));
  }
  if (error) return absl::UnavailableError(absl::StrCat(directory_, ": ", error.message()));
  return absl::OkStatus();
}

}  // namespace kedge
