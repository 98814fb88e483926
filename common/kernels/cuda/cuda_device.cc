// Tested by cuda_device_test.cc.
#include "common/kernels/cuda/cuda_device.h"

#include "absl/strings/str_cat.h"
#include "common/kernels/cuda/cuda_status.h"

namespace kedge::cuda {

absl::Status CudaDevice::Answer(absl::string_view name, cudaError_t error) {
  if (error == cudaSuccess) return absl::OkStatus();
  cudaGetLastError();  // whoever asks next would take it for his
  const absl::Status status = CudaStatus(name, error);
  if (!absl::IsInternal(status)) return status;
  absl::MutexLock lock(&loss_mutex_);
  if (loss_.ok()) loss_ = absl::InternalError(absl::StrCat("the device is lost: ", status.message()));
  is_lost_.store(true, std::memory_order_release);
  return loss_;
}

absl::Status CudaDevice::Loss() const {
  absl::MutexLock lock(&loss_mutex_);
  return loss_;
}

void CudaDevice::AddStream(cudaStream_t stream) {
  absl::MutexLock lock(&streams_mutex_);
  records_[stream] = false;
}

void CudaDevice::RemoveStream(cudaStream_t stream) {
  absl::MutexLock lock(&streams_mutex_);
  records_.erase(stream);
}

absl::Status CudaDevice::BeginRecording(cudaStream_t stream) {
  absl::MutexLock lock(&streams_mutex_);
  const absl::Status status =
      Do("BeginGraph", [stream] { return cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal); });
  records_[stream] = status.ok();
  return status;
}

void CudaDevice::EndRecording(cudaStream_t stream) {
  absl::MutexLock lock(&streams_mutex_);
  records_[stream] = false;
}

void CudaDevice::WaitForStreams() {
  const Unrestricted unrestricted;
  absl::MutexLock lock(&streams_mutex_);
  for (const auto& [stream, records] : records_) {
    if (!records) (void)Do("Wait", [stream = stream] { return cudaStreamSynchronize(stream); });
  }
}

}  // namespace kedge::cuda
