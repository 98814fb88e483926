#include "router/strand.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(StrandTest, RunsClosuresOfManyThreadsOneAtATimeAndAll) {
  Strand strand;
  int count = 0;  // not atomic: the strand is what protects it
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) strand.Post([&] { ++count; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 20000);
}

TEST(StrandTest, RunsWhatAClosurePostsAfterIt) {
  Strand strand;
  std::vector<int> order;
  strand.Post([&] {
    strand.Post([&] { order.push_back(2); });
    order.push_back(1);
  });
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace kedge
