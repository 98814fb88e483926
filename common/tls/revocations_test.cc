#include "common/tls/revocations.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RevocationsTest, ReadsSerialsAndNames) {
  const Revocations list("# of yesterday\n 0AfF  # decode-1\n\ndecode-2\r\n");
  EXPECT_FALSE(list.empty());
  EXPECT_TRUE(list.Has("0AFF", {}));
  EXPECT_TRUE(list.Has("1", {"host-a", "Decode-2"}));
  EXPECT_FALSE(list.Has("1", {"decode-1"}));  // stands in a comment
  EXPECT_FALSE(list.Has("0", {"decode"}));
}

TEST(RevocationsTest, AnEmptyTextRevokesNothing) {
  for (const char* text : {"", "\n \n", "# decode-1\n"}) {
    EXPECT_TRUE(Revocations(text).empty());
    EXPECT_FALSE(Revocations(text).Has("", {""}));
  }
}

}  // namespace
}  // namespace kedge
