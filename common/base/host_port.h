// Addresses as people write them: HOST:PORT, and [IPV6]:PORT.
#ifndef KEDGE_COMMON_BASE_HOST_PORT_H_
#define KEDGE_COMMON_BASE_HOST_PORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

struct HostPort {
  std::string host;  // a name or an address, IPv6 without brackets
  int port = 0;
};

// kInvalidArgument quotes the text and says what is wrong with it.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// The other way round: brackets around IPv6, whether `host` has them or not.
std::string JoinHostPort(absl::string_view host, int port);

// A host alone, IPv6 with brackets or without; returned without. Errors as of ParseHostPort.
absl::StatusOr<std::string> ParseHost(absl::string_view text);

// Whether a listener at this host, as ParseHostPort gives it, listens at all addresses: 0.0.0.0, and :: in any
// spelling.
bool IsWildcard(absl::string_view host);

// Whether only this machine reaches a listener at this host, as ParseHostPort gives it: 127.0.0.0/8, ::1, localhost.
bool IsLoopback(absl::string_view host);

// Where others reach a server: like ParseHostPort, but port 0, which a listener replaces, is none.
absl::StatusOr<HostPort> ParseReachable(absl::string_view text);
// Several of these with commas between them, as JoinHostPort spells them.
absl::StatusOr<std::vector<std::string>> ParseReachables(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_HOST_PORT_H_
