#include "common/kernels/lazy_memory.h"

#include <utility>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(LazyMemoryTest, IsZeroedAndWritable) {
  absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(size_t{1} << 38);  // more than any test machine has
  ASSERT_TRUE(memory.ok()) << memory.status();
  const size_t last = memory->size() - 1;
  EXPECT_EQ(memory->data()[last], 0);
  memory->data()[last] = 7;
  LazyMemory moved = std::move(*memory);
  EXPECT_EQ(moved.data()[last], 7);
}

TEST(LazyMemoryTest, TooMuchIsAnAnswer) {
  EXPECT_EQ(LazyMemory::Allocate(~size_t{0} / 2).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(LazyMemoryTest, NothingIsNothing) { EXPECT_EQ(LazyMemory::Allocate(0)->size(), 0u); }

}  // namespace
}  // namespace kedge
