#include "common/rpc/listen_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

absl::StatusOr<ListenSockets> Open(const std::string& host, int port = 0) {
  return ListenSockets::Open({host, port}, JoinHostPort(host, port));
}

bool HasIpv6() { return Open("::1").ok(); }

// Whether somebody listens there.
bool Connects(int family, int port) {
  const uint16_t number = htons(static_cast<uint16_t>(port));
  sockaddr_in6 v6{.sin6_family = AF_INET6, .sin6_port = number, .sin6_addr = in6addr_loopback};
  sockaddr_in v4{.sin_family = AF_INET, .sin_port = number, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const int file = socket(family, SOCK_STREAM, 0);
  const int result = family == AF_INET ? connect(file, reinterpret_cast<sockaddr*>(&v4), sizeof(v4))
                                       : connect(file, reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
  close(file);
  return result == 0;
}

TEST(ListenSocketsTest, ANameListensAtAllItsAddressesOnOnePort) {
  auto sockets = Open("localhost");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_GT(sockets->port(), 0);
  EXPECT_TRUE(Connects(AF_INET, sockets->port()));
  EXPECT_EQ(Connects(AF_INET6, sockets->port()), sockets->files().size() > 1);
}

TEST(ListenSocketsTest, AllAddressesAreThoseOfBothVersions) {
  for (const char* host : {"0.0.0.0", "::", "0:0::0"}) {
    if (!HasIpv6() && host[0] != '0') continue;
    auto sockets = Open(host);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    EXPECT_TRUE(Connects(AF_INET, sockets->port())) << host;
    EXPECT_EQ(Connects(AF_INET6, sockets->port()), HasIpv6()) << host;
  }
}

TEST(ListenSocketsTest, OneAddressIsOneAlone) {
  auto sockets = Open("127.0.0.1");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_FALSE(Connects(AF_INET6, sockets->port()));
  if (!HasIpv6()) GTEST_SKIP() << "no IPv6 here";
  auto v6 = Open("::1");
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_FALSE(Connects(AF_INET, v6->port()));
}

TEST(ListenSocketsTest, APortThatIsTakenAtOneAddressIsTaken) {
  auto first = Open("127.0.0.1");
  ASSERT_TRUE(first.ok()) << first.status();
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0"}) {
    const absl::Status status = Open(host, first->port()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << host << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat(host, ":", first->port(), ": the port is taken")));
  }
  const int port = first->port();
  first->Close();
  EXPECT_FALSE(Connects(AF_INET, port));
  EXPECT_TRUE(Open("127.0.0.1", port).ok());
}

TEST(ListenSocketsTest, SaysWhatIsNoAddressOfThisMachine) {
  EXPECT_EQ(Open("192.0.2.1").status().message(), "cannot listen on 192.0.2.1:0: no such address here");
  EXPECT_EQ(Open("no-such-host.invalid").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kedge
