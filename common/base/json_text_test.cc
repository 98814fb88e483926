#include "common/base/json_text.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

std::string Fault(absl::string_view text) { return std::string(ParseJson(text).status().message()); }

TEST(JsonTextTest, KeepsTheOrderOfMembers) {
  EXPECT_EQ(ParseJson(R"({"z": 1, "a": [true, null, "é"], "m": 2.5})")->dump(),
            R"({"z":1,"a":[true,null,"é"],"m":2.5})");
  EXPECT_EQ(ParseJson(R"({"z": 1, "a": 2, "z": 3})")->dump(), R"({"z":3,"a":2})");
  EXPECT_EQ(ParseJson(" 7 ")->dump(), "7");
}

TEST(JsonTextTest, SaysWhereItIsWrong) {
  EXPECT_EQ(Fault(""), "is empty; must be JSON");
  EXPECT_EQ(Fault(R"({"a": 1, b})"), "is not JSON at byte 9");
  EXPECT_EQ(Fault("{} {}"), "is not JSON at byte 3");
  EXPECT_EQ(Fault("[1, 2"), "is not JSON at byte 5");
  EXPECT_EQ(Fault("\"\xFF\""), "is not JSON at byte 1");
  EXPECT_EQ(Fault("x"), "is not JSON at byte 0");
}

TEST(JsonTextTest, DepthIsBounded) {
  const std::string most = std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']');
  EXPECT_TRUE(ParseJson(most).ok());
  EXPECT_EQ(Fault("[" + most + "]"), "is JSON of more than 64 levels");
  EXPECT_EQ(Fault(std::string(1 << 20, '[')), "is JSON of more than 64 levels");
}

TEST(JsonTextTest, ValuesAreTakenFromWhatThereMayBe) {
  size_t values = 6;
  EXPECT_TRUE(ParseJson(R"({"a": [1, "b"]})", &values).ok());
  EXPECT_EQ(values, 2u);
  EXPECT_EQ(ParseJson("[null, null]", &values).status().message(), "is JSON of too many values");
  EXPECT_EQ(values, 2u);
  EXPECT_TRUE(ParseJson("[null]", &values).ok());
  EXPECT_EQ(ParseJson("0", &values).status().message(), "is JSON of too many values");
}

TEST(JsonTextTest, ObjectsAreNoOtherValues) {
  EXPECT_EQ(ParseJsonObject(R"({"a": {}})")->dump(), R"({"a":{}})");
  EXPECT_EQ(ParseJsonObject("[1]").status().message(), "is a JSON array; must be an object");
  EXPECT_EQ(ParseJsonObject("{").status().message(), "is not JSON at byte 1");
}

}  // namespace
}  // namespace kedge
