// The certificates of a cluster: what they say, and making them.
#ifndef KEDGE_COMMON_TLS_CERTIFICATE_H_
#define KEDGE_COMMON_TLS_CERTIFICATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace kedge {

// What its holder may do in the cluster (common/tls/admission.h); in the certificate as the URI "kedge:role:decode".
// kAdmin is for people and their tools.
enum class MemberRole { kRouter, kPrefill, kDecode, kAdmin };
inline constexpr MemberRole kMemberRoles[] = {MemberRole::kRouter, MemberRole::kPrefill, MemberRole::kDecode,
                                              MemberRole::kAdmin};

absl::string_view MemberRoleName(MemberRole role);  // "decode"
// kInvalidArgument lists the names.
absl::StatusOr<MemberRole> ParseMemberRole(absl::string_view name);
// How a certificate spells it.
std::string MemberRoleUri(MemberRole role);

struct CertificateFacts {
  std::vector<std::string> names;  // DNS names, in order
  std::vector<std::string> uris;
  std::string serial;  // hex, upper case, as `openssl x509 -serial` prints it
  absl::Time not_after;
};

// Of the first certificate of a PEM text. kInvalidArgument: there is none.
absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem);

// Whether the key is the certificate's; both in PEM. kInvalidArgument begins with cert.pem or key.pem.
absl::Status CheckKey(absl::string_view certificate, absl::string_view key);
// Whether the key is the certificate's, and the certificate valid now and signed by one of `authorities`; all in PEM.
// kInvalidArgument begins with the name of the text that is to blame: ca.pem, cert.pem, key.pem.
absl::Status CheckCertificate(absl::string_view authorities, absl::string_view certificate, absl::string_view key);

struct CertifiedKey {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

// An authority that signs itself.
absl::StatusOr<CertifiedKey> MakeAuthority(absl::Duration valid);

struct CertificateOrder {
  MemberRole role = MemberRole::kAdmin;
  std::vector<std::string> names;  // DNS names and IP addresses; at least one
  absl::Duration valid;
  std::string key;  // PEM, of the certificate that this one replaces; empty: a new one is made
};
// kInvalidArgument quotes the name that is none.
absl::StatusOr<CertifiedKey> MakeCertificate(const CertifiedKey& authority, const CertificateOrder& order);

}  // namespace kedge

#endif  // KEDGE_COMMON_TLS_CERTIFICATE_H_
