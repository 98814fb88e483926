// A process's place behind the door of its cluster.
#ifndef KEDGE_COMMON_TLS_MEMBERSHIP_H_
#define KEDGE_COMMON_TLS_MEMBERSHIP_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/tls/admission.h"
#include "common/tls/certificate.h"
#include "grpcpp/security/auth_context.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace kedge {

// What the other end of a connection has shown; nothing without TLS.
Peer PeerOf(const grpc::AuthContext& context);

// The process's certificate, the authority that it trusts and the list of those that are revoked, out of one directory.
// The files are read again every second: new connections use the new ones, and none ends. Where there is a pointer to
// one, null stands for a cluster on the loopback of one machine, whose legs are plain. Thread-safe.
class Membership {
 public:
  // Reads ca.pem, cert.pem, key.pem and, if there is one, `revoked` (Revocations). kInvalidArgument names the file and
  // what is wrong with it.
  static absl::StatusOr<std::shared_ptr<const Membership>> Load(const std::string& directory);
  ~Membership();

  // Of cert.pem as it was at first.
  const CertificateFacts& facts() const { return facts_; }
  Peer self() const { return {facts_.names, facts_.uris}; }

  // For a server, whose log says how long the certificate is valid: a caller must have a certificate of the authority
  // that is not revoked, and with a role that may call the method (MayCall); otherwise it gets PERMISSION_DENIED, or no
  // connection.
  std::shared_ptr<grpc::ServerCredentials> ServerCredentials() const;
  // For channels: the server must have a certificate of the authority for the name that is connected to.
  const std::shared_ptr<grpc::ChannelCredentials>& channel_credentials() const { return channel_credentials_; }

  // kPermissionDenied: the certificate of the other end was revoked.
  absl::Status CheckNotRevoked(const grpc::AuthContext& context) const;

 private:
  class Revoked;

  Membership(std::string directory, CertificateFacts facts, std::shared_ptr<Revoked> revoked);

  const std::string directory_;
  const CertificateFacts facts_;
  const std::shared_ptr<Revoked> revoked_;
  const std::shared_ptr<grpc::ChannelCredentials> channel_credentials_;
};

// The rule of every listener that is not for clients: loopback, or a member's. kInvalidArgument: `listen` (HOST:PORT of
// the flag) is neither, and what to do.
absl::Status CheckDoor(absl::string_view flag, absl::string_view listen, const Membership* member);

// The same rule for an address that a peer has told, and that is about to be connected to: HOST:PORT; without TLS, on
// this machine. kInvalidArgument begins with `field`.
absl::Status CheckPeerAddress(absl::string_view field, absl::string_view address, const Membership* member);

// Server credentials of a listener for clients: a certificate that they check, nothing asked of them. Read again every
// second. kInvalidArgument names the flag.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ClientDoor(const std::string& certificate_file,
                                                                    const std::string& key_file);
// The other side: the certificates in `authorities` (PEM) are trusted.
std::shared_ptr<grpc::ChannelCredentials> TrustingCredentials(const std::string& authorities);

}  // namespace kedge

#endif  // KEDGE_COMMON_TLS_MEMBERSHIP_H_
