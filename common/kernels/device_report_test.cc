// What is said of devices, on a machine that files describe.
#include "common/kernels/device_report.h"

#include <filesystem>
#include <fstream>
#include <map>

#include "common/kernels/cpu/kernels.h"
#include "common/kernels/cuda/device_runtime.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::map<std::string, std::string> Report(const std::string& toolkit, const std::string& root) {
  std::map<std::string, std::string> texts;
  for (const ReportLine& line : ReportDevices(toolkit, root)) {
    EXPECT_FALSE(line.text.empty()) << line.what;
    EXPECT_TRUE(texts.emplace(line.what, line.text).second) << line.what;
  }
  return texts;
}

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(DeviceReport, WithoutADriver) {
  if (!cuda::DescribeCuda().devices.empty()) GTEST_SKIP() << "this machine has a GPU";
  std::map<std::string, std::string> report = Report("there is no CUDA toolkit (...)", "/nowhere");
  EXPECT_THAT(report["instructions"], AnyOf(std::string(InstructionSetName(BestInstructionSet())),
                                            "amx-int8; avx512-vnni multiplies faster here"));
  EXPECT_EQ(report["NVIDIA driver"], "none");
  EXPECT_THAT(report["GPU"], StartsWith("none"));
  EXPECT_EQ(report["CUDA toolkit"], "none: there is no CUDA toolkit (...)");
  EXPECT_THAT(report["backend"], StartsWith("cpu, because "));
}

TEST(DeviceReport, WithADriver) {
  if (cuda::DescribeCuda().is_built_in) GTEST_SKIP() << "CUDA is asked, and not the driver's files";
  const std::string root = testing::TempDir() + "/machine";
  Write(root + "/sys/module/nvidia/version", "580.159.04\n");
  Write(root + "/proc/driver/nvidia/gpus/0000:19:00.0/information", "Model: \t\t NVIDIA H200\nIRQ:   \t\t 153\n");
  Write(root + "/proc/driver/nvidia/gpus/0000:3b:00.0/information", "Model: \t\t NVIDIA H200\n");
  std::map<std::string, std::string> report = Report("/usr/local/cuda-13.0", root);
  EXPECT_EQ(report["NVIDIA driver"], "580.159.04");
  EXPECT_EQ(report["GPU 0"], "NVIDIA H200");
  EXPECT_EQ(report["GPU 1"], "NVIDIA H200");
  EXPECT_EQ(report["CUDA toolkit"], "/usr/local/cuda-13.0");
  EXPECT_THAT(report["CUDA"], HasSubstr("built without CUDA"));
  EXPECT_THAT(report["backend"], HasSubstr("built without CUDA: build it with --config=cuda"));
  EXPECT_EQ(Report("", root).count("CUDA toolkit"), 0u);
}

}  // namespace
}  // namespace kedge
