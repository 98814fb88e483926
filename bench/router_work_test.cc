#include "bench/router_work.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(RouterWorkTest, NamesAreReadAndWritten) {
  const auto works = ParseRouterWorks("1x20, 256x200");
  ASSERT_TRUE(works.ok()) << works.status();
  EXPECT_THAT(*works, ElementsAre(RouterWork{1, 20}, RouterWork{256, 200}));
  EXPECT_EQ(RouterWorkName((*works)[1]), "256x200");
}

TEST(RouterWorkTest, OtherNamesAreRefusedByName) {
  for (const char* name : {"", "x", "1x", "x20", "0x20", "1x0", "1025x20", "1x10001", "1x2x3", "-1x20", "1x2.5"}) {
    EXPECT_THAT(ParseRouterWorks(name).status().message(), HasSubstr(name)) << name;
  }
  EXPECT_THAT(ParseRouterWorks("1x20,walk").status().message(), HasSubstr("\"walk\""));
}

}  // namespace
}  // namespace kedge
