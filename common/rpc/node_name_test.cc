#include "common/rpc/node_name.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(NodeNameTest, NamesArePrintableAndShort) {
  EXPECT_TRUE(CheckNodeName("decode-host:50053", "node_id").ok());
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a,b"), std::string("a\x1b[2J"),
                                  std::string("a\nb"), std::string("\xC3\xA4"), std::string(129, 'a')}) {
    const absl::Status status = CheckNodeName(name, "node_id");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(status.message().find("node_id: "), 0u);
  }
}

TEST(NodeNameTest, AddressesAreHostAndPortAndNoOtherTargetOfGrpc) {
  EXPECT_TRUE(CheckNodeAddress("host-b:50052", "address").ok());
  EXPECT_TRUE(CheckNodeAddress("[::1]:50052", "address").ok());
  for (const std::string& address :
       {std::string(), std::string("unix:/tmp/socket"), std::string("dns:///host:1"), std::string("host"),
        std::string("host:0"), std::string("h\nst:1"), std::string(260, 'a') + ":1"}) {
    const absl::Status status = CheckNodeAddress(address, "address");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_EQ(status.message().find("address: "), 0u);
  }
}

}  // namespace
}  // namespace kedge
