// The only place that knows of brackets. Whether a name exists shows when it is used; what can't be one is said here.
//
// Tested by host_port_test.cc.
#include "common/base/host_port.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"

namespace kedge {
namespace {

absl::Status Malformed(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not HOST:PORT, e.g. 127.0.0.1:50051 or [::1]:50051: ", why));
}

// "fe80::1%eth0" names the interface as well.
bool IsIpv6(absl::string_view host, in6_addr* address) {
  return inet_pton(AF_INET6, std::string(host.substr(0, host.find('%'))).c_str(), address) == 1;
}
bool IsIpv6(absl::string_view host) {
  in6_addr address;
  return IsIpv6(host, &address);
}

bool MayStandInName(char c) { return absl::ascii_isgraph(c) && !absl::StrContains("[]/,\"", c); }

// "127.1", "0", "0x7f000001", "010.0.0.1": servers can listen there, and gRPC's clients take them for names.
bool IsOldIpv4(absl::string_view host) {
  in_addr address;
  const std::string text(host);
  return inet_aton(text.c_str(), &address) != 0 && inet_pton(AF_INET, text.c_str(), &address) != 1;
}

// Of a name or an IPv4 address: why it is neither; "" if it may be one.
absl::string_view WhyNoHost(absl::string_view host) {
  if (host.empty() || !std::all_of(host.begin(), host.end(), MayStandInName)) return "that is no host";
  if (IsOldIpv4(host)) return "an IPv4 address has four decimal parts";
  return "";
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Malformed(text, "there is no port");
  absl::string_view host = text.substr(0, colon);
  const absl::string_view digits = text.substr(colon + 1);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]") || !IsIpv6(host)) return Malformed(text, "what is in brackets is not IPv6");
  } else if (const absl::string_view why = WhyNoHost(host); !why.empty()) {
    return Malformed(text, why);
  } else if (absl::StrContains(host, ':')) {
    return Malformed(text, "IPv6 needs brackets");
  }
  int port = 0;
  const bool is_number = std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit);
  if (!is_number || !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Malformed(text, "a port is a number from 0 to 65535");
  }
  return HostPort{std::string(host), port};
}

std::string JoinHostPort(absl::string_view host, int port) {
  const bool is_bare_ipv6 = absl::StrContains(host, ':') && !absl::StartsWith(host, "[");
  return is_bare_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<std::string> ParseHost(absl::string_view text) {
  absl::string_view host = text;
  if (absl::ConsumePrefix(&host, "[") ? absl::ConsumeSuffix(&host, "]") && IsIpv6(host) : IsIpv6(host)) {
    return std::string(host);
  }
  absl::string_view why = WhyNoHost(text);
  if (why.empty() && absl::StrContains(text, ':')) why = "that is no IPv6 address, and a port does not belong here";
  if (why.empty()) return std::string(text);
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not a host, e.g. 127.0.0.1, ::1 or localhost: ", why));
}

bool IsWildcard(absl::string_view host) {
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, std::string(host).c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  return IsIpv6(host, &v6) && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

bool IsLoopback(absl::string_view host) {
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, std::string(host).c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  return host == "localhost" || (IsIpv6(host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6));
}

absl::StatusOr<HostPort> ParseReachable(absl::string_view text) {
  absl::StatusOr<HostPort> address = ParseHostPort(text);
  if (address.ok() && address->port == 0) return Malformed(text, "nobody listens on port 0");
  return address;
}

absl::StatusOr<std::vector<std::string>> ParseReachables(absl::string_view text) {
  std::vector<std::string> addresses;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    KEDGE_ASSIGN_OR_RETURN(const HostPort address, ParseReachable(absl::StripAsciiWhitespace(part)));
    addresses.push_back(JoinHostPort(address.host, address.port));
  }
  return addresses;
}

}  // namespace kedge
