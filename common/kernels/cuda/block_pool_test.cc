#include "common/kernels/cuda/block_pool.h"

#include <thread>
#include <vector>

#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

class BlockPoolTest : public testing::Test {
 protected:
  // With a seed, work is done late.
  const std::shared_ptr<Runtime> runtime_ = CreateEmulatedRuntime({.seed = 1, .memory_bytes = 1 << 20});
  BlockPool pool_{[runtime = runtime_](size_t bytes) { return runtime->NewMemory(bytes); }};
};

TEST_F(BlockPoolTest, BlocksAreGivenOutAgain) {
  std::shared_ptr<Block> block = *pool_.Take(5000);
  const uint8_t* const data = block->data();
  EXPECT_GE(block->bytes(), 5000u);
  const std::shared_ptr<Block> other = *pool_.Take(5000);
  EXPECT_NE(other->data(), data);
  block = nullptr;
  EXPECT_EQ((*pool_.Take(6000))->data(), data) << "the next one of its size";
}

TEST_F(BlockPoolTest, NotBeforeTheWorkThatUsesItIsDone) {
  const std::unique_ptr<Stream> stream = *runtime_->NewStream();
  const std::shared_ptr<Event> event = *runtime_->NewEvent();
  std::shared_ptr<Block> block = *pool_.Take(1);
  const uint8_t* const data = block->data();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(stream->Fill(block->data(), 1, 1).ok());  // more than drifts by
  ASSERT_TRUE(stream->Record(*event).ok());
  block->UsedUntil(event);
  block = nullptr;
  EXPECT_NE((*pool_.Take(1))->data(), data);
  ASSERT_TRUE(event->Wait().ok());
  bool found = false;
  std::vector<std::shared_ptr<Block>> taken;
  for (int i = 0; i < 2; ++i) found |= taken.emplace_back(*pool_.Take(1))->data() == data;
  EXPECT_TRUE(found);
}

TEST_F(BlockPoolTest, KnowsWhatIsItsOwn) {
  const std::shared_ptr<Block> block = *pool_.Take(4096);
  EXPECT_TRUE(pool_.Holds(block->data() + 96, 4000));
  EXPECT_FALSE(pool_.Holds(block->data() + 97, 4000));
  const std::vector<uint8_t> other(16);
  EXPECT_FALSE(pool_.Holds(other.data(), other.size()));
}

TEST_F(BlockPoolTest, RunningOutIsAnAnswer) {
  EXPECT_EQ(pool_.Take(2 << 20).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(pool_.Take(1000).ok());
}

TEST_F(BlockPoolTest, WhatNobodyHoldsIsGivenBackWhereNoMoreCanBeHad) {
  const std::unique_ptr<Stream> stream = *runtime_->NewStream();
  const std::shared_ptr<Event> event = *runtime_->NewEvent();
  for (int i = 0; i < 10; ++i) {  // 640 KiB of 1 MiB, of which work still uses the last
    const std::shared_ptr<Block> block = *pool_.Take(64 << 10);
    ASSERT_TRUE(stream->Fill(block->data(), 1, 1).ok());
    ASSERT_TRUE(stream->Record(*event).ok());
    block->UsedUntil(event);
  }
  const std::shared_ptr<Block> large = *pool_.Take(1 << 19);
  EXPECT_GE(large->bytes(), size_t{1} << 19);
  const std::shared_ptr<Block> small = *pool_.Take(64 << 10);
  EXPECT_EQ(pool_.Take(1 << 19).status().code(), absl::StatusCode::kResourceExhausted) << "both are held";
}

TEST_F(BlockPoolTest, BlocksOutliveThePoolAndGoBackFromAnyThread) {
  std::shared_ptr<Block> last;
  {
    BlockPool pool([runtime = runtime_](size_t bytes) { return runtime->NewMemory(bytes); });
    last = *pool.Take(1);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&pool] {
        for (int i = 0; i < 200; ++i) EXPECT_TRUE(pool.Take(1 + i).ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  last->data()[0] = 1;
}

}  // namespace
}  // namespace kedge::cuda
