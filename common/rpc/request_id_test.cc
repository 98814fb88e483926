#include "common/rpc/request_id.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RequestIdTest, PrefersTheFieldThenTheMetadata) {
  EXPECT_EQ(*ChooseRequestId("mine", "theirs"), "mine");
  EXPECT_EQ(*ChooseRequestId("", "theirs"), "theirs");
}

TEST(RequestIdTest, MakesUuidsOfVersion4) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string id = *ChooseRequestId("", "");
    ASSERT_EQ(id.size(), 36u) << id;
    for (const int at : {8, 13, 18, 23}) EXPECT_EQ(id[at], '-') << id;
    EXPECT_EQ(id[14], '4') << id;
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(RequestIdTest, RefusesLongAndUnprintableIdsAndNamesTheirPlace) {
  EXPECT_TRUE(CheckRequestId(std::string(128, 'a'), "request_id").ok());
  for (const std::string& bad : {std::string(129, 'a'), std::string("a\nb"), std::string("caf\xC3\xA9")}) {
    const absl::Status status = ChooseRequestId(bad, "").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message().substr(0, 11), "request_id:");
    EXPECT_EQ(ChooseRequestId("", bad).status().message().substr(0, 13), "x-request-id:");
  }
}

}  // namespace
}  // namespace kedge
