#include "common/node/stats_board.h"

#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StatsBoardTest, WhoLeavesIsFullUntilThen) {
  StatsBoard board;
  board.Set({.steps = 3, .full_for = absl::Seconds(1)});
  EXPECT_EQ(board.Get().full_for, absl::Seconds(1));
  board.SetFullUntil(absl::Now() + absl::Seconds(60));
  board.Set({.steps = 4});
  EXPECT_EQ(board.Get().steps, 4u);
  EXPECT_GT(board.Get().full_for, absl::Seconds(50));
  EXPECT_LE(board.Get().full_for, absl::Seconds(60));
}

TEST(StatsBoardTest, WhatHasGoneForAMomentIsWaitedFor) {
  StatsBoard board;
  board.Set({.running = 1});
  absl::Time end = absl::InfinitePast();
  std::thread engine([&] {
    absl::SleepFor(absl::Milliseconds(10));
    board.Set({});  // it moves
    absl::SleepFor(absl::Milliseconds(10));
    board.Set({.waiting = 1});  // and is back
    absl::SleepFor(2 * StatsBoard::kComesBack);
    end = absl::Now();
    board.Set({});
  });
  board.AwaitIdle(absl::InfiniteFuture());
  const absl::Time idle = absl::Now();
  engine.join();
  EXPECT_GE(idle, end + StatsBoard::kComesBack);
}

TEST(StatsBoardTest, NobodyIsWaitedForBeyondTheEnd) {
  StatsBoard board;
  board.Set({.running = 1});
  board.AwaitIdle(absl::Now() + absl::Milliseconds(20));
  board.Set({});
  board.AwaitIdle(absl::Now());
}

}  // namespace
}  // namespace kedge
