// libcrypto's objects live in Owned pointers; its errors are queues of the thread, of which the oldest one says what
// happened. Keys are P-256: small, quick, and known to every TLS library.
//
// Tested by certificate_test.cc.
#include "common/tls/certificate.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/host_port.h"
#include "common/base/status.h"

namespace kedge {
namespace {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
template <typename T, auto kFree>
using Owned = std::unique_ptr<T, Free<kFree>>;
using OwnedBio = Owned<BIO, BIO_free_all>;
using OwnedCertificate = Owned<X509, X509_free>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedStore = Owned<X509_STORE, X509_STORE_free>;

constexpr char kRolePrefix[] = "kedge:role:";

std::string CryptoError() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return reason == nullptr ? "no reason given" : reason;
}

OwnedBio Reading(absl::string_view pem) { return OwnedBio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

OwnedCertificate NextCertificate(BIO* pem) {
  OwnedCertificate certificate(PEM_read_bio_X509(pem, nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

// No key of ours is encrypted: without this libcrypto would ask the terminal for a password.
int NoPassword(char*, int, int, void*) { return 0; }

OwnedKey ParseKey(absl::string_view pem) {
  OwnedKey key(PEM_read_bio_PrivateKey(Reading(pem).get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

std::string Contents(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return std::string(bytes, size);
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? absl::FromTimeT(timegm(&parts)) : absl::InfinitePast();
}

std::string SerialOf(const X509* certificate) {
  const Owned<BIGNUM, BN_free> number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* hex = number == nullptr ? nullptr : BN_bn2hex(number.get());
  std::string serial = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  return serial;
}

// The alternative names of one kind.
std::vector<std::string> NamesOf(const X509* certificate, int kind) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type != kind) continue;
    const ASN1_STRING* text = name->d.ia5;  // of DNS names and URIs alike
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), ASN1_STRING_length(text));
  }
  GENERAL_NAMES_free(all);
  return names;
}

OwnedKey NewKey() { return OwnedKey(EVP_EC_gen("P-256")); }

// A certificate of `key` for `subject`, without extensions and signature.
OwnedCertificate Draft(EVP_PKEY* key, absl::string_view subject, absl::Duration valid) {
  OwnedCertificate certificate(X509_new());
  const Owned<BIGNUM, BN_free> serial(BN_new());
  constexpr int kSerialBits = 127;  // nobody can guess one, and none is ever negative
  BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY);
  X509_set_version(certificate.get(), X509_VERSION_3);
  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get()));
  constexpr long kClockSkew = 3600;  // other machines' clocks may be late
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSkew);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), absl::ToInt64Seconds(valid));
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(subject.data()), static_cast<int>(subject.size()),
                             -1, 0);
  return certificate;
}

absl::Status Extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("certificate: extension ", value, ": ", CryptoError()));
}

absl::StatusOr<CertifiedKey> Signed(OwnedCertificate certificate, EVP_PKEY* key, EVP_PKEY* issuer_key) {
  if (X509_sign(certificate.get(), issuer_key, EVP_sha256()) == 0) {
    return absl::InternalError(absl::StrCat("certificate: cannot sign: ", CryptoError()));
  }
  const OwnedBio certificate_pem(BIO_new(BIO_s_mem()));
  const OwnedBio key_pem(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_pem.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_pem.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return absl::InternalError(absl::StrCat("certificate: cannot write: ", CryptoError()));
  }
  return CertifiedKey{Contents(certificate_pem.get()), Contents(key_pem.get())};
}

// "DNS:host-a" or "IP:10.0.0.1".
absl::StatusOr<std::string> AlternativeName(absl::string_view name) {
  KEDGE_ASSIGN_OR_RETURN(const std::string host, ParseHost(name));
  if (absl::StrContains(host, ':') || absl::ascii_isdigit(host.back())) {
    const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> address(a2i_IPADDRESS(host.c_str()));
    if (address != nullptr) return absl::StrCat("IP:", host);
  }
  const bool is_name = std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  constexpr size_t kLongest = 64;  // that a subject takes
  if (is_name && host.size() <= kLongest) return absl::StrCat("DNS:", host);
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is no name for a certificate: 1 to 64 letters, digits, '-', '_', '.'"));
}

}  // namespace

absl::string_view MemberRoleName(MemberRole role) {
  switch (role) {
    case MemberRole::kRouter:
      return "router";
    case MemberRole::kPrefill:
      return "prefill";
    case MemberRole::kDecode:
      return "decode";
    case MemberRole::kAdmin:
      return "admin";
  }
  return "";
}

absl::StatusOr<MemberRole> ParseMemberRole(absl::string_view name) {
  for (const MemberRole role : kMemberRoles) {
    if (MemberRoleName(role) == name) return role;
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is no role: router, prefill, decode or admin"));
}

std::string MemberRoleUri(MemberRole role) { return absl::StrCat(kRolePrefix, MemberRoleName(role)); }

absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem) {
  const OwnedCertificate certificate = NextCertificate(Reading(pem).get());
  if (certificate == nullptr) return absl::InvalidArgumentError("holds no certificate in PEM");
  return CertificateFacts{.names = NamesOf(certificate.get(), GEN_DNS),
                          .uris = NamesOf(certificate.get(), GEN_URI),
                          .serial = SerialOf(certificate.get()),
                          .not_after = TimeOf(X509_get0_notAfter(certificate.get()))};
}

absl::Status CheckKey(absl::string_view certificate, absl::string_view key) {
  const OwnedCertificate own = NextCertificate(Reading(certificate).get());
  if (own == nullptr) return absl::InvalidArgumentError("cert.pem: holds no certificate in PEM");
  const OwnedKey own_key = ParseKey(key);
  if (own_key == nullptr) return absl::InvalidArgumentError("key.pem: holds no private key in PEM without a password");
  const bool belongs = X509_check_private_key(own.get(), own_key.get()) == 1;
  ERR_clear_error();
  return belongs ? absl::OkStatus() : absl::InvalidArgumentError("key.pem: is not the key of cert.pem");
}

absl::Status CheckCertificate(absl::string_view authorities, absl::string_view certificate, absl::string_view key) {
  KEDGE_RETURN_IF_ERROR(CheckKey(certificate, key));
  const OwnedCertificate own = NextCertificate(Reading(certificate).get());
  const OwnedStore store(X509_STORE_new());
  const OwnedBio reading = Reading(authorities);
  int found = 0;
  while (const OwnedCertificate authority = NextCertificate(reading.get())) {
    X509_STORE_add_cert(store.get(), authority.get());
    ++found;
  }
  if (found == 0) return absl::InvalidArgumentError("ca.pem: holds no certificate in PEM");
  const Owned<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), own.get(), nullptr);
  const bool valid = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "cert.pem: by ca.pem: ", X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
}

absl::StatusOr<CertifiedKey> MakeAuthority(absl::Duration valid) {
  const OwnedKey key = NewKey();
  if (key == nullptr) return absl::InternalError(absl::StrCat("certificate: no key: ", CryptoError()));
  OwnedCertificate certificate = Draft(key.get(), "Kedge cluster", valid);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  X509* const it = certificate.get();
  KEDGE_RETURN_IF_ERROR(Extend(it, it, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  KEDGE_RETURN_IF_ERROR(Extend(it, it, NID_key_usage, "critical,keyCertSign"));
  KEDGE_RETURN_IF_ERROR(Extend(it, it, NID_subject_key_identifier, "hash"));
  return Signed(std::move(certificate), key.get(), key.get());
}

absl::StatusOr<CertifiedKey> MakeCertificate(const CertifiedKey& authority, const CertificateOrder& order) {
  const OwnedCertificate issuer = NextCertificate(Reading(authority.certificate).get());
  const OwnedKey issuer_key = ParseKey(authority.key);
  if (issuer == nullptr || issuer_key == nullptr) {
    return absl::InvalidArgumentError("the authority: no certificate, or no key without a password, in PEM");
  }
  const OwnedKey key = order.key.empty() ? NewKey() : ParseKey(order.key);
  if (key == nullptr) return absl::InvalidArgumentError("key.pem: holds no private key in PEM without a password");
  std::vector<std::string> names;
  for (const std::string& name : order.names) {
    KEDGE_ASSIGN_OR_RETURN(names.emplace_back(), AlternativeName(name));
  }
  if (names.empty()) return absl::InvalidArgumentError("a certificate needs a name");
  names.push_back(absl::StrCat("URI:", MemberRoleUri(order.role)));
  OwnedCertificate certificate = Draft(key.get(), order.names.front(), order.valid);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  X509* const it = certificate.get();
  KEDGE_RETURN_IF_ERROR(Extend(it, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  KEDGE_RETURN_IF_ERROR(Extend(it, issuer.get(), NID_key_usage, "critical,digitalSignature"));
  KEDGE_RETURN_IF_ERROR(Extend(it, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth"));
  KEDGE_RETURN_IF_ERROR(Extend(it, issuer.get(), NID_authority_key_identifier, "keyid"));
  KEDGE_RETURN_IF_ERROR(Extend(it, issuer.get(), NID_subject_alt_name, absl::StrJoin(names, ",")));
  return Signed(std::move(certificate), key.get(), issuer_key.get());
}

}  // namespace kedge
