#include "common/rpc/log.h"

#include <fcntl.h>
#include <grpc/support/log.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "kedge/node/v1/node.pb.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

std::string Logged(const std::function<void()>& log) {
  testing::internal::CaptureStderr();
  log();
  spdlog::default_logger()->flush();
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, WritesOneLinePerEventToStderrFromItsLevelOn) {
  ASSERT_TRUE(InitLog("router", "warn").ok());
  const std::string text = Logged([] {
    spdlog::info("not this");
    spdlog::warn("node {} is gone", "a:1");
  });
  EXPECT_EQ(text.find("not this"), std::string::npos);
  EXPECT_NE(text.find(" W router: node a:1 is gone\n"), std::string::npos) << text;
}

TEST(LogTest, WhatComesFromOutsideForgesNoLineAndReachesNoTerminal) {
  ASSERT_TRUE(InitLog("router", "warn").ok());
  const std::string text = Logged([] { spdlog::warn("node {}", "a\n2026-01-01 I router: \x1b]0;owned\x07\xff \u00e4"); });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("node a\\n2026-01-01 I router: \\x1b]0;owned\\x07\\xff \u00e4\n"), std::string::npos) << text;
}

TEST(LogTest, LinesAreBounded) {
  ASSERT_TRUE(InitLog("router", "warn").ok());
  const std::string text = Logged([] { spdlog::warn("{}", std::string(5 << 20, '\x1b')); });
  EXPECT_LE(text.size(), 4096u);
  EXPECT_NE(text.find("...\n"), std::string::npos);
}

TEST(LogTest, LibrariesWriteHereToo) {
  ASSERT_TRUE(InitLog("router", "debug").ok());
  const std::string text = Logged([] {
    gpr_log_verbosity_init();  // as grpc_init does
    gpr_log(GPR_ERROR, "of %s", "gRPC");
    node::v1::NodeInfo info;
    EXPECT_FALSE(info.ParseFromString("\x12\x01\xff"));
  });
  EXPECT_NE(text.find(" W router: gRPC: of gRPC\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" D router: protobuf: String field"), std::string::npos) << text;
}

TEST(LogTest, StderrThatNobodyReadsStopsNobody) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const int kept = dup(STDERR_FILENO);
  ASSERT_TRUE(InitLog("router", "warn").ok());
  dup2(ends[1], STDERR_FILENO);
  const absl::Time begin = absl::Now();
  for (int i = 0; i < 20000; ++i) spdlog::warn("{} {}", i, std::string(200, 'a'));
  const absl::Duration took = absl::Now() - begin;
  dup2(kept, STDERR_FILENO);
  close(ends[0]);
  close(ends[1]);
  close(kept);
  EXPECT_LT(took, absl::Seconds(10));
}

TEST(LogTest, RefusesAnUnknownLevel) {
  const absl::Status status = InitLog("router", "loud");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("debug"), absl::string_view::npos);
}

}  // namespace
}  // namespace kedge
