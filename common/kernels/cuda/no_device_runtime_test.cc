// A build without CUDA says so.
#include "common/kernels/cuda/device_runtime.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

TEST(NoDeviceRuntime, SaysHowToGetOne) {
  const absl::Status status = CreateDeviceRuntime(0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("built without CUDA: build it with --config=cuda"), std::string::npos) << status;
  const CudaDescription cuda = DescribeCuda();
  EXPECT_FALSE(cuda.is_built_in);
  EXPECT_TRUE(cuda.devices.empty());
  EXPECT_EQ(cuda.why_none, status.message());
}

}  // namespace
}  // namespace kedge::cuda
