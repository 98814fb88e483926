#include "bench/work.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

TEST(WorkTest, NamesAreReadAndWritten) {
  const auto works = ParseWorks("decode_1_ctx0, decode_32_ctx512,prompt_8064");
  ASSERT_TRUE(works.ok()) << works.status();
  ASSERT_EQ(works->size(), 3u);
  EXPECT_EQ((*works)[0], (Work{.kind = Work::Kind::kDecode, .streams = 1, .context = 0}));
  EXPECT_EQ((*works)[1], (Work{.kind = Work::Kind::kDecode, .streams = 32, .context = 512}));
  EXPECT_EQ((*works)[2], (Work{.kind = Work::Kind::kPrompt, .streams = 1, .context = 8064}));
  EXPECT_EQ(WorkName((*works)[1]), "decode_32_ctx512");
  EXPECT_EQ(WorkName((*works)[2]), "prompt_8064");
}

TEST(WorkTest, OtherNamesAreRefusedByName) {
  for (const char* name : {"", "prompt_", "prompt_0", "prompt_-5", "prompt_5x", "decode_1", "decode_0_ctx5",
                           "decode_1_ctx", "decode_1_ctx5_ctx6", "decode_+1_ctx5", "ttft_1", "prompt_99999999999"}) {
    const auto works = ParseWorks(name);
    EXPECT_FALSE(works.ok()) << name;
    EXPECT_THAT(works.status().message(), HasSubstr(name));
  }
  EXPECT_THAT(ParseWorks("prompt_5,walk").status().message(), HasSubstr("\"walk\""));
}

}  // namespace
}  // namespace kedge
