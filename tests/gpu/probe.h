// What the programs of the probe share: results as lines of JSON, checked calls, memory of the device, and time.
//
// Each program is one part. It prints a line for each result as soon as it has it, and ends with the first call that
// fails: what was printed before counts, and the other parts run all the same.
#ifndef KEDGE_TESTS_GPU_PROBE_H_
#define KEDGE_TESTS_GPU_PROBE_H_

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace kedge::probe {

// `what` and `note` hold nothing that JSON would escape.
inline void Report(const char* part, const std::string& what, double value, const char* unit,
                   const std::string& note = "") {
  std::printf("{\"part\": \"%s\", \"what\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"note\": \"%s\"}\n", part,
              what.c_str(), value, unit, note.c_str());
  std::fflush(stdout);
}

inline std::string Percent(double share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %%", 100 * share);
  return text;
}

// For calls that return 0 when they succeed; ends the program otherwise.
inline void CheckCuda(cudaError_t error, const char* call, int line) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "line %d: %s: %s\n", line, call, cudaGetErrorString(error));
  std::exit(1);
}
#define PROBE_CUDA(call) ::kedge::probe::CheckCuda((call), #call, __LINE__)
// After the launch of a kernel.
#define PROBE_LAUNCHED() PROBE_CUDA(cudaGetLastError())

// Memory of the device, or pinned memory of the host. New memory holds 0xff bytes: floats of it are NaN, and a kernel
// that leaves something out is seen. Owned by one thread.
template <typename T>
class Buffer {
 public:
  enum class Where { kDevice, kPinned };

  explicit Buffer(size_t size, Where where = Where::kDevice) : size_(size), where_(where) {
    void* data = nullptr;
    if (where == Where::kDevice) {
      PROBE_CUDA(cudaMalloc(&data, bytes()));
    } else {
      PROBE_CUDA(cudaMallocHost(&data, bytes()));
    }
    data_ = static_cast<T*>(data);
    Poison();
  }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    PROBE_CUDA(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
    PROBE_CUDA(cudaDeviceSynchronize());  // the copy may still be under way, and streams do not wait for it
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (where_ == Where::kDevice) {
      cudaFree(data_);
    } else {
      cudaFreeHost(data_);
    }
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }

  void Poison() {
    if (where_ == Where::kDevice) {
      PROBE_CUDA(cudaMemset(data_, 0xff, bytes()));
      PROBE_CUDA(cudaDeviceSynchronize());
    } else {
      std::memset(static_cast<void*>(data_), 0xff, bytes());
    }
  }
  // Waits for all work of the device.
  std::vector<T> Download() const {
    std::vector<T> values(size_);
    PROBE_CUDA(cudaDeviceSynchronize());
    PROBE_CUDA(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  const size_t size_;
  const Where where_;
};

// Median seconds, by events, of work(stream), which queues something on the stream.
template <typename Work>
double MedianSeconds(int runs, Work work) {
  cudaStream_t stream;
  cudaEvent_t begin, end;
  PROBE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  PROBE_CUDA(cudaEventCreate(&begin));
  PROBE_CUDA(cudaEventCreate(&end));
  std::vector<double> seconds;
  for (int run = -2; run < runs; ++run) {  // two to warm up
    PROBE_CUDA(cudaEventRecord(begin, stream));
    work(stream);
    PROBE_CUDA(cudaEventRecord(end, stream));
    PROBE_CUDA(cudaEventSynchronize(end));
    PROBE_LAUNCHED();
    float milliseconds = 0;
    PROBE_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    if (run >= 0) seconds.push_back(milliseconds / 1e3);
  }
  PROBE_CUDA(cudaEventDestroy(begin));
  PROBE_CUDA(cudaEventDestroy(end));
  PROBE_CUDA(cudaStreamDestroy(stream));
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

// Median seconds of one of `nodes` calls node(stream, i), each of which launches one kernel, replayed as a graph: the
// time between kernels is that of a graph, not of launches.
template <typename Node>
double MedianSecondsInGraph(int nodes, Node node) {
  cudaStream_t capture;
  cudaGraph_t graph;
  cudaGraphExec_t replay;
  PROBE_CUDA(cudaStreamCreateWithFlags(&capture, cudaStreamNonBlocking));
  PROBE_CUDA(cudaStreamBeginCapture(capture, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < nodes; ++i) node(capture, i);
  PROBE_CUDA(cudaStreamEndCapture(capture, &graph));
  PROBE_CUDA(cudaGraphInstantiate(&replay, graph, 0));
  const double seconds =
      MedianSeconds(9, [&](cudaStream_t stream) { PROBE_CUDA(cudaGraphLaunch(replay, stream)); }) / nodes;
  PROBE_CUDA(cudaGraphExecDestroy(replay));
  PROBE_CUDA(cudaGraphDestroy(graph));
  PROBE_CUDA(cudaStreamDestroy(capture));
  return seconds;
}

// Bytes read and written per second by a large copy from device to device: the limit beside which shares are told.
inline double CopyRate() {
  const size_t bytes = size_t{4} << 30;
  Buffer<uint8_t> from(bytes), to(bytes);
  return 2 * bytes / MedianSeconds(7, [&](cudaStream_t stream) {
           PROBE_CUDA(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, stream));
         });
}

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_PROBE_H_
