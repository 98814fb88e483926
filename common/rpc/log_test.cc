#include "common/rpc/log.h"

#include <string>

#include "gtest/gtest.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

TEST(LogTest, WritesOneLinePerEventToStderrFromItsLevelOn) {
  ASSERT_TRUE(InitLog("router", "warn").ok());
  testing::internal::CaptureStderr();
  spdlog::info("not this");
  spdlog::warn("node {} is gone", "a:1");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("not this"), std::string::npos);
  EXPECT_NE(text.find(" W router: node a:1 is gone\n"), std::string::npos) << text;
}

TEST(LogTest, RefusesAnUnknownLevel) {
  const absl::Status status = InitLog("router", "loud");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("debug"), absl::string_view::npos);
}

}  // namespace
}  // namespace kedge
