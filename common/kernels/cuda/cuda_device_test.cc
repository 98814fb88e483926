// What becomes of CUDA's errors, on any machine: a device that is lost stays lost.
#include "common/kernels/cuda/cuda_device.h"

#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

using absl::StatusCode;

TEST(CudaDevice, ErrorsThatPassLeaveItUsable) {
  CudaDevice device(0);
  EXPECT_TRUE(device.Answer("Wait", cudaSuccess).ok());
  EXPECT_EQ(device.Answer("NewMemory", cudaErrorMemoryAllocation).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(device.Answer("Launch", cudaErrorInvalidConfiguration).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(device.Answer("Since", cudaErrorNotReady).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(device.Answer("Wait", cudaErrorStreamCaptureUnsupported),
            absl::FailedPreconditionError("Wait: operation not permitted when stream is capturing "
                                          "(cudaErrorStreamCaptureUnsupported)"));
}

TEST(CudaDevice, ALostDeviceFailsWithTheFirstError) {
  CudaDevice device(0);
  const absl::Status lost = device.Answer("Launch", cudaErrorIllegalAddress);
  EXPECT_EQ(lost, absl::InternalError("the device is lost: Launch: an illegal memory access was encountered "
                                      "(cudaErrorIllegalAddress)"));
  EXPECT_EQ(device.Answer("Wait", cudaErrorLaunchFailure), lost);
  bool called = false;
  const auto call = [&called] {
    called = true;
    return cudaSuccess;
  };
  EXPECT_EQ(device.Do("Copy", call), lost);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace kedge::cuda
