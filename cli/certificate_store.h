// A cluster's certificates in one directory of whoever looks after it:
//
//   ca.pem, ca-key.pem       the authority and its key, which no process of the cluster needs
//   NAME/                    for the process of this name: ca.pem, cert.pem, key.pem, revoked (--tls-dir)
//   revoked                  the list that all of them have (common/tls/revocations.h)
#ifndef KEDGE_CLI_CERTIFICATE_STORE_H_
#define KEDGE_CLI_CERTIFICATE_STORE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tls/certificate.h"

namespace kedge {

class CertificateStore {
 public:
  // Makes the directory (0700) and the authority, valid for ten years, unless they are there. kInvalidArgument and
  // kUnavailable name the file that cannot be used.
  static absl::StatusOr<CertificateStore> Open(const std::string& directory);

  // Makes a certificate, or renews the one in the folder of the first name; returns the folder. A key stays, so that
  // certificate and key fit at every moment, unless the old certificate was revoked.
  absl::StatusOr<std::string> Issue(MemberRole role, const std::vector<std::string>& names, absl::Duration valid) const;

  // Puts the certificate in the folder of this name on the list, in all folders.
  absl::Status Revoke(const std::string& name) const;

 private:
  CertificateStore(std::string directory, CertifiedKey authority)
      : directory_(std::move(directory)), authority_(std::move(authority)) {}

  std::string Path(const std::string& name, const std::string& file) const;
  absl::StatusOr<std::string> RevokedText() const;

  std::string directory_;
  CertifiedKey authority_;
};

}  // namespace kedge

#endif  // KEDGE_CLI_CERTIFICATE_STORE_H_
