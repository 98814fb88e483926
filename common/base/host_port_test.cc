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
                                  {"a:http", "0 to 65535"}}) {
    const absl::Status status = ParseHostPort(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("\"") + text + "\"")) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << text;
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
