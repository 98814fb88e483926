// What the objects of a device's runtime share: calls of CUDA, the loss of the device, and its streams.
#ifndef KEDGE_COMMON_KERNELS_CUDA_CUDA_DEVICE_H_
#define KEDGE_COMMON_KERNELS_CUDA_CUDA_DEVICE_H_

#include <cuda_runtime_api.h>

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace kedge::cuda {

// Thread-safe.
class CudaDevice {
 public:
  explicit CudaDevice(int index) : index_(index) {}
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  // Makes a call, which returns CUDA's error, with this device as the thread's current one. `name` is what a status
  // says of it. Once the device is lost it fails at once.
  template <typename Call>
  absl::Status Do(absl::string_view name, Call call) {
    if (is_lost_.load(std::memory_order_acquire)) return Loss();
    cudaError_t error = MakeCurrent();
    if (error == cudaSuccess) error = call();
    return Answer(name, error);
  }
  // A call that gives something back: what comes of it no longer matters, but it is made even if the device is lost.
  template <typename Call>
  void Release(Call call) {
    if (MakeCurrent() == cudaSuccess) (void)call();
    cudaGetLastError();  // whoever asks next would take it for his
  }
  // What became of a call.
  absl::Status Answer(absl::string_view name, cudaError_t error);

  void AddStream(cudaStream_t stream);
  void RemoveStream(cudaStream_t stream);
  absl::Status BeginRecording(cudaStream_t stream);
  void EndRecording(cudaStream_t stream);
  // Returns when all that was queued on any stream is done. A stream that records has nothing queued.
  void WaitForStreams();

 private:
  // The current device is each thread's own, and nobody else makes another one current on a thread of ours.
  cudaError_t MakeCurrent() const {
    thread_local int current = -1;
    if (current == index_) return cudaSuccess;
    const cudaError_t error = cudaSetDevice(index_);
    if (error == cudaSuccess) current = index_;
    return error;
  }
  absl::Status Loss() const;

  const int index_;
  // Held while streams are waited for: none may go, and to wait for one that begins to record would break its graph.
  absl::Mutex streams_mutex_;
  absl::flat_hash_map<cudaStream_t, bool> records_ ABSL_GUARDED_BY(streams_mutex_);
  std::atomic<bool> is_lost_ = false;  // set behind loss_
  mutable absl::Mutex loss_mutex_;
  absl::Status loss_ ABSL_GUARDED_BY(loss_mutex_);
};

// While a stream records, CUDA refuses its thread what might wait in secret: memory, the loading of kernels. Graphs of
// ours wait for no other thread, so those calls are made under one of these.
class Unrestricted {
 public:
  Unrestricted() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~Unrestricted() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  Unrestricted(const Unrestricted&) = delete;
  Unrestricted& operator=(const Unrestricted&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_CUDA_DEVICE_H_
