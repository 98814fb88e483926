#include "common/node/load_model.h"

#include <filesystem>
#include <fstream>

#include "common/base/machine_limits.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kMib = 1 << 20;

TEST(DefaultKvBytesTest, IsAQuarterOfWhatMayBeUsed) {
  EXPECT_EQ(DefaultKvBytes(900 * kMib), 225 * kMib);
  EXPECT_EQ(DefaultKvBytes(64000 * kMib), 4096 * kMib);
  EXPECT_EQ(DefaultKvBytes(), DefaultKvBytes(UsableMachine().memory_bytes));
}

TEST(MemoryWarningTest, SaysWhatMayNotFit) {
  EXPECT_EQ(MemoryWarning(100 * kMib, 225 * kMib, 900 * kMib), "");
  const std::string warning = MemoryWarning(800 * kMib, 225 * kMib, 900 * kMib);
  for (const char* part : {"800 MiB", "225 MiB", "900 MiB", "--kv-memory"}) EXPECT_THAT(warning, HasSubstr(part));
}

TEST(CheckGpuFlagTest, OnlyGpusHaveNumbers) {
  EXPECT_TRUE(CheckGpuFlag("--device", "cuda").ok());
  EXPECT_EQ(CheckGpuFlag("--device", "deferred").message(),
            "--device: names a GPU, and the backend \"deferred\" computes on none");
}

TEST(MakeDeviceTest, TellsWhatMayNotFit) {
  const std::string path = testing::TempDir() + "/tiny.gguf";
  std::ofstream(path, std::ios::binary) << MakeTinyModel({});
  const ModelFiles files = ModelFiles::Open(path, "").value();
  std::vector<std::string> lines;
  DeviceOptions options{
      .threads = 1, .kv_bytes = kMib, .notice = [&](const std::string& line) { lines.push_back(line); }};
  ASSERT_TRUE(MakeDevice(files, options).ok());
  EXPECT_TRUE(lines.empty());
  options.kv_bytes = UsableMachine().memory_bytes + kMib;  // address space, as long as nobody writes rows
  ASSERT_TRUE(MakeDevice(files, options).ok());
  EXPECT_THAT(lines, ElementsAre(HasSubstr("--kv-memory")));
}

}  // namespace
}  // namespace kedge
