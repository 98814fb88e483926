#include "common/node/stats_board.h"

#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StatsBoardTest, WhatHasGoneForAMomentIsWaitedFor) {
  constexpr absl::Duration kMoment = absl::Seconds(1);  // a thread does not stand still for so long
  StatsBoard board(kMoment);
  board.Set({.running = 1});
  absl::Time end = absl::InfinitePast();
  std::thread engine([&] {
    absl::SleepFor(absl::Milliseconds(10));
    board.Set({});  // it moves
    absl::SleepFor(absl::Milliseconds(10));
    board.Set({.waiting = 1});  // and is back
    absl::SleepFor(absl::Milliseconds(10));
    end = absl::Now();
    board.Set({.steps = 4});
  });
  board.AwaitIdle(absl::InfiniteDuration());
  const absl::Time idle = absl::Now();
  engine.join();
  EXPECT_GE(idle, end + kMoment);
  EXPECT_EQ(board.Get().steps, 4u);
}

TEST(StatsBoardTest, NobodyIsWaitedForBeyondTheEnd) {
  StatsBoard board;
  board.Set({.running = 1});
  board.AwaitIdle(absl::Milliseconds(20));
  board.Set({});
  board.AwaitIdle(absl::ZeroDuration());
}

}  // namespace
}  // namespace kedge
