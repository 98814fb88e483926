#include "common/base/host_port.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HostPortTest, WhatIsJoinedIsParsed) {
  for (const auto& [host, text] : {std::pair{"127.0.0.1", "127.0.0.1:50051"},
                                   {"localhost", "localhost:50051"},
                                   {"node-3.example.org", "node-3.example.org:50051"},
                                   {"::1", "[::1]:50051"},
                                   {"fe80::1%eth0", "[fe80::1%eth0]:50051"}}) {
    EXPECT_EQ(JoinHostPort(host, 50051), text);
    const absl::StatusOr<HostPort> parsed = ParseHostPort(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->host, host);
    EXPECT_EQ(parsed->port, 50051);
  }
  EXPECT_EQ(JoinHostPort("[::1]", 5), "[::1]:5");
  EXPECT_EQ(ParseHostPort("[::]:0")->port, 0);
}

TEST(HostPortTest, SaysWhatIsWrong) {
  for (const auto& [text, why] : {std::pair{"", "no port"},
                                  {"localhost", "no port"},
                                  {"x", "no port"},
                                  {":1", "no host"},
                                  {"a b:1", "no host"},
                                  {"http://a:1", "no host"},
                                  {"::1", "brackets"},
                                  {"::1:50051", "brackets"},
                                  {"[::1", "in brackets"},
                                  {"[localhost]:1", "in brackets"},
                                  {"[::1]", "in brackets"},
                                  {"a:", "0 to 65535"},
                                  {"a:-1", "0 to 65535"},
                                  {"a:+1", "0 to 65535"},
                                  {"a: 1", "0 to 65535"},
                                  {"a:65536", "0 to 65535"},
                                  {"a:99999999999", "0 to 65535"},
                                  {"a:http", "0 to 65535"},
                                  {"127.1:1", "four decimal parts"},
                                  {"0:1", "four decimal parts"},
                                  {"2130706433:1", "four decimal parts"},
                                  {"0x7f.0.0.1:1", "four decimal parts"},
                                  {"010.0.0.1:1", "four decimal parts"}}) {
    const absl::Status status = ParseHostPort(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("\"") + text + "\"")) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << text;
  }
}

TEST(HostPortTest, AHostAlone) {
  for (const auto& [text, host] : {std::pair{"127.0.0.1", "127.0.0.1"},
                                   {"0.0.0.0", "0.0.0.0"},
                                   {"localhost", "localhost"},
                                   {"123456789012", "123456789012"},  // a container may be called so
                                   {"::1", "::1"},
                                   {"[::1]", "::1"},
                                   {"fe80::1%eth0", "fe80::1%eth0"}}) {
    EXPECT_EQ(ParseHost(text).value_or("none"), host) << text;
  }
  for (const auto& [text, why] : {std::pair{"", "no host"},
                                  {"127.1", "four decimal parts"},
                                  {"0", "four decimal parts"},
                                  {"127.0.0.1:50051", "port does not belong here"},
                                  {"[::1", "no host"},
                                  {"[localhost]", "no host"}}) {
    const absl::Status status = ParseHost(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("\"") + text + "\" is not a host")) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << text;
  }
}

TEST(HostPortTest, KnowsTheWildcardsInAnySpelling) {
  for (const char* host : {"0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0"}) EXPECT_TRUE(IsWildcard(host)) << host;
  for (const char* host : {"127.0.0.1", "::1", "localhost", ""}) EXPECT_FALSE(IsWildcard(host)) << host;
}

TEST(HostPortTest, KnowsWhatOnlyThisMachineReaches) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "0:0::1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "example.org", "127.0.0.1.example.org", ""}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(HostPortTest, NobodyReachesPortZero) {
  EXPECT_TRUE(ParseReachable("a:1").ok());
  EXPECT_THAT(std::string(ParseReachable("a:0").status().message()), HasSubstr("port 0"));
}

TEST(HostPortTest, ReadsLists) {
  EXPECT_THAT(*ParseReachables("a:1, [::1]:2"), ElementsAre("a:1", "[::1]:2"));
  EXPECT_THAT(std::string(ParseReachables("a:1,b").status().message()), HasSubstr("\"b\""));
  EXPECT_FALSE(ParseReachables("a:1,").ok());
  EXPECT_FALSE(ParseReachables("").ok());
}

}  // namespace
}  // namespace kedge
