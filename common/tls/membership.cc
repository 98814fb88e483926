// gRPC's "experimental" TLS credentials: in 1.51 they alone take files that change. A handshake that falls between the
// writes of cert.pem and of key.pem fails, and the next one succeeds; `kedge certs` keeps the key, so there is no such
// moment.
//
// Who calls is decided for each call, by a processor of its metadata, in front of every service of a server: a service
// that is forgotten is closed.
//
// Tested by membership_test.cc and, on the programs, by tests/door_test.py.
#include "common/tls/membership.h"

#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/host_port.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/base/watched_file.h"
#include "common/tls/revocations.h"
#include "grpcpp/security/auth_metadata_processor.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

namespace tls = grpc::experimental;

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr unsigned int kIntervalSeconds = 1;

std::vector<std::string> Property(const grpc::AuthContext& context, const char* name) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : context.FindPropertyValues(name)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

std::string SerialOf(const grpc::AuthContext& context) {
  const std::vector<std::string> certificates = Property(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (certificates.empty()) return "";
  const absl::StatusOr<CertificateFacts> facts = ReadCertificate(certificates.front());
  return facts.ok() ? facts->serial : "";
}

std::shared_ptr<tls::CertificateProviderInterface> Files(const std::string& directory) {
  return std::make_shared<tls::FileWatcherCertificateProvider>(directory + "/key.pem", directory + "/cert.pem",
                                                               directory + "/ca.pem", kIntervalSeconds);
}

std::shared_ptr<grpc::ChannelCredentials> NewChannelCredentials(const std::string& directory) {
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Files(directory));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  return tls::TlsCredentials(options);
}

std::string NamesText(const Peer& peer) { return absl::StrCat("\"", absl::StrJoin(peer.names, ", "), "\""); }

}  // namespace

// The list as its file has it now. Thread-safe.
class Membership::Revoked {
 public:
  static absl::StatusOr<std::shared_ptr<Revoked>> Watch(const std::string& path) {
    absl::StatusOr<std::string> text = ReadSmallFile(path);
    if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
    return std::shared_ptr<Revoked>(new Revoked(path, std::move(text)));
  }

  absl::Status Check(const grpc::AuthContext& context) const {
    const std::shared_ptr<const Revocations> list = Get();
    if (list->empty()) return absl::OkStatus();
    const Peer peer = PeerOf(context);
    if (!list->Has(SerialOf(context), peer.names)) return absl::OkStatus();
    return absl::PermissionDeniedError(absl::StrCat("the certificate of ", NamesText(peer), " was revoked"));
  }

 private:
  Revoked(const std::string& path, absl::StatusOr<std::string> text)
      : list_(std::make_shared<const Revocations>(text.value_or(""))),
        file_(path, std::move(text), kInterval, [this](const absl::StatusOr<std::string>& now) { Set(now); }) {}

  void Set(const absl::StatusOr<std::string>& text) {
    if (!text.ok()) {  // a list that cannot be read lets nobody in again
      spdlog::warn("the list of revoked certificates stays as it was: {}", std::string(text.status().message()));
      return;
    }
    auto list = std::make_shared<const Revocations>(*text);
    spdlog::info("the list of revoked certificates has changed");
    absl::MutexLock lock(&mutex_);
    list_ = std::move(list);
  }

  std::shared_ptr<const Revocations> Get() const {
    absl::MutexLock lock(&mutex_);
    return list_;
  }

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Revocations> list_ ABSL_GUARDED_BY(mutex_);
  const WatchedFile file_;  // last: calls Set
};

Peer PeerOf(const grpc::AuthContext& context) {
  return {Property(context, GRPC_PEER_DNS_PROPERTY_NAME), Property(context, GRPC_PEER_URI_PROPERTY_NAME)};
}

Membership::Membership(std::string directory, CertificateFacts facts, std::shared_ptr<Revoked> revoked)
    : directory_(std::move(directory)),
      facts_(std::move(facts)),
      revoked_(std::move(revoked)),
      channel_credentials_(NewChannelCredentials(directory_)) {}

Membership::~Membership() = default;

absl::StatusOr<std::shared_ptr<const Membership>> Membership::Load(const std::string& directory) {
  KEDGE_ASSIGN_OR_RETURN(const std::string authority, ReadSmallFile(directory + "/ca.pem"));
  KEDGE_ASSIGN_OR_RETURN(const std::string certificate, ReadSmallFile(directory + "/cert.pem"));
  KEDGE_ASSIGN_OR_RETURN(const std::string key, ReadSmallFile(directory + "/key.pem"));
  if (const absl::Status status = CheckCertificate(authority, certificate, key); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat(directory, "/", status.message()));
  }
  KEDGE_ASSIGN_OR_RETURN(CertificateFacts facts, ReadCertificate(certificate));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Revoked> revoked, Revoked::Watch(directory + "/revoked"));
  return std::shared_ptr<const Membership>(new Membership(directory, std::move(facts), std::move(revoked)));
}

namespace {

// In front of each call of a server. Gone with the server.
class Doorkeeper : public grpc::AuthMetadataProcessor {
 public:
  explicit Doorkeeper(std::function<absl::Status(const grpc::AuthContext&)> check) : check_(std::move(check)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto path = metadata.find(":path");
    if (path == metadata.end()) return Denied("the call names no method");
    const absl::string_view method(path->second.data(), path->second.size());
    const Peer peer = PeerOf(*context);
    if (const absl::Status status = check_(*context); !status.ok()) return Denied(std::string(status.message()));
    if (MayCall(peer, method)) return grpc::Status::OK;
    return Denied(absl::StrCat("the certificate of ", NamesText(peer), " has no role that may call ", method));
  }

 private:
  static grpc::Status Denied(const std::string& why) { return {grpc::StatusCode::PERMISSION_DENIED, why}; }

  const std::function<absl::Status(const grpc::AuthContext&)> check_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> Membership::ServerCredentials() const {
  const absl::Duration left = facts_.not_after - absl::Now();
  const std::string line =
      absl::StrCat("certificate for ", absl::StrJoin(facts_.names, ", "), " (", absl::StrJoin(facts_.uris, ", "),
                   "), valid for ", static_cast<int64_t>(left / absl::Hours(24)), " days");
  spdlog::log(left < absl::Hours(24 * 14) ? spdlog::level::warn : spdlog::level::info, line);
  tls::TlsServerCredentialsOptions options(Files(directory_));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  std::shared_ptr<grpc::ServerCredentials> credentials = tls::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<Doorkeeper>(
      [revoked = revoked_](const grpc::AuthContext& context) { return revoked->Check(context); }));
  return credentials;
}

absl::Status Membership::CheckNotRevoked(const grpc::AuthContext& context) const { return revoked_->Check(context); }

absl::Status CheckDoor(absl::string_view flag, absl::string_view listen, const Membership* member) {
  KEDGE_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(listen));
  if (member != nullptr || IsLoopback(address.host)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flag, ": ", listen, " can be reached from outside, where whoever joins reads every prompt: give --tls-dir DIR "
      "(`./kedge certs` makes certificates), or listen on 127.0.0.1"));
}

absl::Status CheckPeerAddress(absl::string_view field, absl::string_view address, const Membership* member) {
  const absl::StatusOr<HostPort> parsed = ParseReachable(address);
  if (!parsed.ok()) return OfField(field, parsed.status());
  if (member != nullptr || IsLoopback(parsed->host)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": \"", address, "\" is not loopback, and without --tls-dir only that is trusted"));
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ClientDoor(const std::string& certificate_file,
                                                                    const std::string& key_file) {
  const absl::StatusOr<std::string> certificate = ReadSmallFile(certificate_file);
  if (!certificate.ok()) return OfField("--tls-cert", certificate.status());
  const absl::StatusOr<std::string> key = ReadSmallFile(key_file);
  if (!key.ok()) return OfField("--tls-key", key.status());
  if (const absl::Status status = CheckKey(*certificate, *key); !status.ok()) {
    return OfField("--tls-cert, --tls-key", status);
  }
  tls::TlsServerCredentialsOptions options(
      std::make_shared<tls::FileWatcherCertificateProvider>(key_file, certificate_file, kIntervalSeconds));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> TrustingCredentials(const std::string& authorities) {
  return grpc::SslCredentials({.pem_root_certs = authorities});
}

}  // namespace kedge
