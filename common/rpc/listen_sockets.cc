// A name may stand for addresses that this machine does not have (::1 without IPv6): one that it has is enough. A port
// that is taken at one of them is taken.
//
// Tested by listen_sockets_test.cc.
#include "common/rpc/listen_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace kedge {
namespace {

// Bytes that are not acknowledged for so long end their connection: as long as the keepalive of RpcServer waits.
constexpr int kUserTimeoutMs = 20'000;
constexpr int kPortTries = 16;  // at a port that is free at one address and taken at another

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

void SetOption(int file, int level, int name, int value) { setsockopt(file, level, name, &value, sizeof(value)); }

// The error of errno.
absl::Status Failed(absl::string_view listen, int error) {
  if (error == EADDRINUSE) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", listen, ": the port is taken"));
  }
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot listen on ", listen, ": ", std::strerror(error)));
  }
  if (error == EACCES) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", listen, ": ", std::strerror(error)));
  }
  return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", listen, ": no such address here"));
}

absl::StatusOr<Addresses> Resolve(const std::string& host, absl::string_view listen) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &found); error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", listen, ": ", gai_strerror(error)));
  }
  return Addresses(found, &freeaddrinfo);
}

// Whether one before `info` is the same: a name may stand in a file of hosts twice.
bool IsRepeated(const addrinfo& first, const addrinfo& info) {
  for (const addrinfo* other = &first; other != &info; other = other->ai_next) {
    if (other->ai_addrlen == info.ai_addrlen && std::memcmp(other->ai_addr, info.ai_addr, info.ai_addrlen) == 0) {
      return true;
    }
  }
  return false;
}

// Returns a socket that listens, or -1 and errno. `both`: an IPv6 socket takes IPv4 as well.
int Listen(const addrinfo& info, int port, bool both) {
  const int file = socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) return -1;
  // Without it a port could not be had again for a minute after its connections have closed. It lets nobody in beside
  // a socket that listens, as SO_REUSEPORT would.
  SetOption(file, SOL_SOCKET, SO_REUSEADDR, 1);
  SetOption(file, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(file, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  sockaddr_storage address{};
  std::memcpy(&address, info.ai_addr, info.ai_addrlen);
  if (info.ai_family == AF_INET6) {
    SetOption(file, IPPROTO_IPV6, IPV6_V6ONLY, both ? 0 : 1);
    reinterpret_cast<sockaddr_in6*>(&address)->sin6_port = htons(static_cast<uint16_t>(port));
  } else {
    reinterpret_cast<sockaddr_in*>(&address)->sin_port = htons(static_cast<uint16_t>(port));
  }
  if (bind(file, reinterpret_cast<sockaddr*>(&address), info.ai_addrlen) == 0 && listen(file, SOMAXCONN) == 0) {
    return file;
  }
  const int error = errno;
  close(file);
  errno = error;
  return -1;
}

int PortOf(int file) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(file, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace

ListenSockets::ListenSockets(ListenSockets&& other) noexcept
    : files_(std::exchange(other.files_, {})), port_(other.port_) {}

ListenSockets& ListenSockets::operator=(ListenSockets&& other) noexcept {
  std::swap(files_, other.files_);
  std::swap(port_, other.port_);
  return *this;
}

void ListenSockets::Close() {
  for (const int file : files_) close(file);
  files_.clear();
}

absl::StatusOr<ListenSockets> ListenSockets::Open(const HostPort& address, absl::string_view listen) {
  // All addresses are those of IPv6 and IPv4 in one socket; without IPv6, what was written.
  const bool is_wildcard = IsWildcard(address.host);
  if (is_wildcard && address.host != "::") {
    absl::StatusOr<ListenSockets> both = Open({"::", address.port}, listen);
    if (both.ok() || absl::IsUnavailable(both.status())) return both;
  }
  KEDGE_ASSIGN_OR_RETURN(const Addresses found, Resolve(address.host, listen));
  absl::Status status;
  for (int tries = 0; tries < kPortTries; ++tries) {
    ListenSockets sockets;
    sockets.port_ = address.port;
    status = Failed(listen, EADDRNOTAVAIL);
    for (const addrinfo* info = found.get(); info != nullptr; info = info->ai_next) {
      if (IsRepeated(*found, *info)) continue;
      const int file = Listen(*info, sockets.port_, is_wildcard);
      if (file >= 0) {
        sockets.files_.push_back(file);
        sockets.port_ = PortOf(file);
        continue;
      }
      status = Failed(listen, errno);
      if (!absl::IsInvalidArgument(status)) break;
    }
    if (!sockets.files_.empty() && (status.ok() || absl::IsInvalidArgument(status))) return sockets;
    if (!absl::IsUnavailable(status) || address.port != 0) break;
  }
  return status;
}

}  // namespace kedge
