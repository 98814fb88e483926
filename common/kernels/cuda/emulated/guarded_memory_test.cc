#include "common/kernels/cuda/emulated/guarded_memory.h"

#include <cmath>

#include "common/kernels/cuda/emulated/sanitizers.h"
#include "gtest/gtest.h"

namespace kedge::cuda::emulated {
namespace {

TEST(GuardedMemory, IsNaNAndAlignedToNoMoreThanItSays) {
  for (int i = 0; i < 20; ++i) {
    const GuardedMemory memory(4000);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 2048, 1024);
    for (int j = 0; j < 1000; ++j) EXPECT_TRUE(std::isnan(reinterpret_cast<float*>(memory.data())[j]));
    EXPECT_TRUE(memory.IsIntact());
  }
}

TEST(GuardedMemory, HoldsWhatLiesWithin) {
  const GuardedMemory memory(100);
  EXPECT_TRUE(memory.Holds(memory.data(), 100));
  EXPECT_TRUE(memory.Holds(memory.data() + 100, 0));
  EXPECT_FALSE(memory.Holds(memory.data() + 1, 100));
  EXPECT_FALSE(memory.Holds(memory.data() - 1, 1));
  EXPECT_FALSE(memory.Holds(memory.data() + 1, ~size_t{0}));
}

// Out of line: the compiler knows nothing of the address.
[[gnu::noinline]] void Write(uint8_t* at) { *at = 0; }

TEST(GuardedMemory, SeesAByteBeforeAndAByteBehind) {
  for (const size_t bytes : {1, 100, 1024, 5000}) {
    for (const bool is_before : {true, false}) {
      GuardedMemory memory(bytes);
      uint8_t* at = is_before ? memory.data() - 1 : memory.data() + bytes;
      if (HasAddressSanitizer()) {
        EXPECT_DEATH(Write(at), "use-after-poison");
        continue;
      }
      Write(at);
      EXPECT_FALSE(memory.IsIntact()) << bytes << " " << is_before;
    }
  }
}

}  // namespace
}  // namespace kedge::cuda::emulated
