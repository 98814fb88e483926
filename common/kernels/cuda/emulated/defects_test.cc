// Defects that a kernel can have, planted in real ones: each is found, by the sanitizer that finds its kind or by NaN.
// A sanitizer speaks in a child process; a build without it says so and skips.
#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/kernels/cuda/emulated/exact_kernels.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launch.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

using emulated::HasAddressSanitizer;
using emulated::HasThreadSanitizer;

constexpr int kBlocks = 6;  // of 32 inputs

// A device with zeros in its memory, which is all that these kernels need.
struct Device {
  Device() { EXPECT_TRUE(stream->Fill(zeros->data(), 0, zeros->bytes()).ok()); }
  template <typename T>
  const T* Zeros() {
    return reinterpret_cast<const T*>(zeros->data());
  }
  float* Out() { return reinterpret_cast<float*>(out->data()); }

  std::unique_ptr<Runtime> runtime = CreateEmulatedRuntime({});
  std::unique_ptr<Memory> zeros = *runtime->NewMemory(1 << 16), out = *runtime->NewMemory(1 << 16);
  std::unique_ptr<Stream> stream = *runtime->NewStream();
};

template <Defect defect>
void MultiplyOneRow(Device& device, size_t shared_bytes = RowSharedBytes(kBlocks)) {
  const LaunchShape shape = {.grid = {2}, .block = {32 * kRowWarps}, .shared_bytes = shared_bytes};
  EXPECT_TRUE(Launch(*device.stream, shape, MultiplyRow<defect>, device.Zeros<int4>(), device.Zeros<__half>(), kBlocks,
                     device.Zeros<int8_t>(), device.Zeros<float>(), device.Out())
                  .ok());
}

template <Defect defect>
void MultiplyTile(Device& device) {
  const LaunchShape shape = {.block = {64}, .shared_bytes = 2 * sizeof(TileStage)};
  EXPECT_TRUE(Launch(*device.stream, shape, MultiplyRows<defect>, device.Zeros<int8_t>(), device.Zeros<float>(),
                     device.Zeros<int8_t>(), device.Zeros<float>(), 16, 32, 5 * kTileInputs, device.Out())
                  .ok());
}

template <Defect defect>
void AttendOnce(Device& device) {
  EXPECT_TRUE(Launch(*device.stream, {.block = {32}, .shared_bytes = sizeof(HeadMemory)}, Attend<defect>,
                     device.Zeros<float>(), device.Zeros<__half>(), device.Zeros<int>(), 2, device.Out())
                  .ok());
}

// The last line of a report says where; a process with one ends with 66.
#define EXPECT_RACE(statement, where)                               \
  if (!HasThreadSanitizer()) GTEST_SKIP() << "needs --config=tsan"; \
  EXPECT_EXIT(                                                      \
      {                                                             \
        statement;                                                  \
        std::exit(0);                                               \
      },                                                            \
      testing::ExitedWithCode(66), "SUMMARY: ThreadSanitizer: data race [^\n]*" where)

TEST(Defects, NothingIsFoundWithoutOne) {
  Device device;
  MultiplyOneRow<Defect::kNone>(device);
  MultiplyTile<Defect::kNone>(device);
  AttendOnce<Defect::kNone>(device);
  EXPECT_TRUE(device.stream->Wait().ok());
  EXPECT_EQ(device.Out()[100], 0.0f);
}

TEST(DefectsDeathTest, BarrierLeftOut) {
  EXPECT_RACE(
      {
        Device device;
        MultiplyOneRow<Defect::kNoBarrier>(device);
      },
      "exact_kernels.h:[0-9]+ in .*MultiplyRow");
}

TEST(DefectsDeathTest, StageFilledWhileItIsRead) {
  EXPECT_RACE(
      {
        Device device;
        MultiplyTile<Defect::kNoBarrier>(device);
      },
      "(memset|SeenFill)");  // by CopyAsync
}

TEST(DefectsDeathTest, WarpBarrierLeftOut) {
  EXPECT_RACE(
      {
        Device device;
        AttendOnce<Defect::kNoWarpBarrier>(device);
      },
      "exact_kernels.h:[0-9]+ in .*Attend");
}

TEST(DefectsDeathTest, StoreByTwoBlocks) {
  EXPECT_RACE(
      {
        Device device;
        MultiplyOneRow<Defect::kTwoBlocksStore>(device);
      },
      "exact_kernels.h:[0-9]+ in .*MultiplyRow");
}

__global__ void Set(float* at, float value) { *at = value; }

TEST(DefectsDeathTest, StreamsWithoutAnEvent) {
  EXPECT_RACE(
      {
        Device device;
        std::unique_ptr<Stream> other = *device.runtime->NewStream();
        EXPECT_TRUE(Launch(*device.stream, {}, Set, device.Out(), 1.0f).ok());
        EXPECT_TRUE(Launch(*other, {}, Set, device.Out(), 2.0f).ok());
      },
      "defects_test.cc:[0-9]+ in .*Set");
}

// Here that the kernel was launched with too little of it.
TEST(DefectsDeathTest, StoreBehindSharedMemory) {
  if (HasThreadSanitizer()) GTEST_SKIP() << "needs a build without --config=tsan";
  Device device;
  EXPECT_DEATH(MultiplyOneRow<Defect::kNone>(device, RowSharedBytes(kBlocks) - 8),
               HasAddressSanitizer() ? "AddressSanitizer: use-after-poison.*exact_kernels.h"
                                     : "the block wrote before or behind its shared memory");
}

TEST(DefectsDeathTest, StoreBehindMemory) {
  if (HasThreadSanitizer()) GTEST_SKIP() << "needs a build without --config=tsan";
  Device device;
  const std::unique_ptr<Memory> memory = *device.runtime->NewMemory(12);
  float* behind = reinterpret_cast<float*>(memory->data()) + 3;
  EXPECT_DEATH((void)Launch(*device.stream, {}, Set, behind, 1.0f),
               HasAddressSanitizer() ? "AddressSanitizer: use-after-poison.*defects_test.cc"
                                     : "the kernel wrote before or behind a memory of 12 bytes");
}

TEST(Defects, ForgottenWaitIsNaN) {
  Device device;
  MultiplyTile<Defect::kNoWait>(device);
  EXPECT_TRUE(device.stream->Wait().ok());
  for (int i = 0; i < 16 * 32; ++i) ASSERT_TRUE(std::isnan(device.Out()[i])) << i;
}

}  // namespace
}  // namespace kedge::cuda
