// Checksums that the device makes are those of libxxhash.
#include <xxhash.h>

#include <algorithm>
#include <random>
#include <vector>

#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/test_device.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr uint64_t kUntouched = ~uint64_t{0};

// Of frames with so many bytes, in one launch.
void ExpectSums(std::optional<uint64_t> seed, const std::vector<size_t>& sizes) {
  std::mt19937 random(1);
  TestDevice device(seed);
  std::vector<SummedFrame> frames;
  std::vector<uint64_t> expected;
  for (const size_t size : sizes) {
    std::vector<uint8_t> text(kFramePrefixBytes + size);
    for (uint8_t& byte : text) byte = static_cast<uint8_t>(random());
    if (random() % 4 == 0) std::fill(text.begin(), text.end(), 0xff);  // what carries
    SummedFrame& frame = frames.emplace_back();
    std::copy_n(text.begin(), kFramePrefixBytes, frame.prefix);
    frame.data = device.Upload(std::vector<uint8_t>(text.begin() + kFramePrefixBytes, text.end()));
    frame.bytes = size;
    expected.push_back(size < kLeastSummedBytes ? kUntouched : XXH3_64bits(text.data(), text.size()));
  }
  uint64_t* sums = device.New<uint64_t>(frames.size());
  ASSERT_TRUE(Checksum(device.stream(), device.Upload(frames), static_cast<int>(frames.size()), sums).ok());
  const std::vector<uint64_t> got = device.Download(sums, frames.size());
  for (size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(got[i], expected[i]) << sizes[i] << " bytes";
}

TEST(Checksum, OfFramesOfAllLengths) {
  if (emulated::HasThreadSanitizer()) GTEST_SKIP() << "more threads than TSan makes in a minute";
  // Ends of stripes, blocks, tiles of blocks, and all that lies between the first of them.
  std::vector<size_t> sizes = {0, 1, 191, 192};
  for (size_t size = 193; size < 1400; ++size) sizes.push_back(size);
  for (const size_t blocks : {2, 8, 33, 63, 64, 65, 127, 128, 129, 200}) {
    for (const int more : {-65, -64, -63, -1, 0, 1, 63, 64, 65, 500}) {
      sizes.push_back(1024 * blocks - kFramePrefixBytes + more);
    }
  }
  ExpectSums(std::nullopt, sizes);
}

TEST(Checksum, InEveryOrderOfThreads) {
  for (const uint64_t seed : {1, 2}) ExpectSums(seed, {5, 193, 240, 976, 977, 1000, 70000, 140000});
}

TEST(Checksum, NoFramesAreNoLaunch) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(Checksum(device.stream(), nullptr, 0, nullptr).ok());
}

}  // namespace
}  // namespace kedge::cuda
