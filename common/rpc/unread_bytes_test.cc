#include "common/rpc/unread_bytes.h"

#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(UnreadBytesTest, WhoHasItsPartOfTooMuchIsFound) {
  UnreadBytes all(1000);
  UnreadBytes::Share small(&all), large(&all), other(&all);
  large.Set(1000);
  EXPECT_FALSE(large.IsTooMuch());
  small.Set(1);
  EXPECT_TRUE(large.IsTooMuch());
  EXPECT_FALSE(small.IsTooMuch());
  EXPECT_FALSE(other.IsTooMuch());  // has nothing
  large.Set(999);
  EXPECT_FALSE(large.IsTooMuch());
  other.Set(332);  // less than a third of the limit
  EXPECT_TRUE(large.IsTooMuch());
  EXPECT_FALSE(other.IsTooMuch());
  other.Set(333);
  EXPECT_TRUE(other.IsTooMuch());
  EXPECT_FALSE(small.IsTooMuch());
  large.Set(0);
  EXPECT_FALSE(other.IsTooMuch());
}

TEST(UnreadBytesTest, WhoFillsOneConnectionAfterTheOtherGetsLittleMore) {
  UnreadBytes all(1 << 20);
  std::deque<UnreadBytes::Share> shares;
  for (int i = 0; i < 100; ++i) {
    UnreadBytes::Share& share = shares.emplace_back(&all);
    uint64_t bytes = 0;
    do {
      share.Set(bytes += 16);
    } while (!share.IsTooMuch());
    share.Set(bytes - 16);  // it stops in time
  }
  EXPECT_LT(all.total(), 5.3 * (1 << 20));  // the hundredth harmonic number is 5.19
}

TEST(UnreadBytesTest, OneAloneIsJudgedByTheLimit) {
  UnreadBytes all(1000);
  UnreadBytes::Share only(&all);
  only.Set(1000);
  EXPECT_FALSE(only.IsTooMuch());
  only.Set(1001);
  EXPECT_TRUE(only.IsTooMuch());
}

TEST(UnreadBytesTest, AShareThatDiesGivesBackWhatItHad) {
  UnreadBytes all(1000);
  {
    UnreadBytes::Share share(&all);
    share.Set(5000);
    EXPECT_EQ(all.total(), 5000u);
  }
  EXPECT_EQ(all.total(), 0u);
}

TEST(UnreadBytesTest, SumsAreRightWhoeverSetsThem) {
  UnreadBytes all(1000);
  std::deque<UnreadBytes::Share> shares;
  for (int i = 0; i < 4; ++i) shares.emplace_back(&all);
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&shares, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 20000; ++i) shares[random() % 4].Set(random() % 3 == 0 ? 0 : random() % 10000);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (UnreadBytes::Share& share : shares) share.Set(0);
  EXPECT_EQ(all.total(), 0u);
  shares[0].Set(1001);
  EXPECT_TRUE(shares[0].IsTooMuch());  // alone again
}

}  // namespace
}  // namespace kedge
