// A program with CUDA on a machine that may have no driver: it starts, and says what there is.
#include "common/kernels/cuda/device_runtime.h"

#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

TEST(DeviceRuntime, TellsWhatTheProgramHolds) {
  const CudaDescription cuda = DescribeCuda();
  EXPECT_TRUE(cuda.is_built_in);
  EXPECT_GE(cuda.version.size(), 4u) << cuda.version;
  EXPECT_EQ(cuda.toolkit[0], '/');
  EXPECT_EQ(cuda.code, "sm_80,sm_89,sm_90a,compute_90");
}

TEST(DeviceRuntime, TellsWhyThereIsNoDevice) {
  const CudaDescription cuda = DescribeCuda();
  if (!cuda.devices.empty()) GTEST_SKIP() << "there is a GPU: " << cuda.devices[0].name;
  EXPECT_NE(cuda.why_none.find("NVIDIA driver"), std::string::npos) << cuda.why_none;
  EXPECT_EQ(CreateDeviceRuntime(0).status(), absl::FailedPreconditionError(cuda.why_none));
}

TEST(DeviceRuntime, KnowsItsDevices) {
  const CudaDescription cuda = DescribeCuda();
  if (cuda.devices.empty()) GTEST_SKIP() << cuda.why_none;
  EXPECT_FALSE(cuda.most_version.empty());
  EXPECT_GT(cuda.devices[0].memory_bytes, size_t{1} << 30);
  EXPECT_EQ(CreateDeviceRuntime(-1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CreateDeviceRuntime(static_cast<int>(cuda.devices.size())).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace kedge::cuda
