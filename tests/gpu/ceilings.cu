// What the device can do at best, by loops that do nothing else, and what it costs to ask for anything.
#include <chrono>

#include "tests/gpu/mma_rate.cuh"
#include "tests/gpu/probe.h"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "ceilings";
constexpr int kThreads = 256;
constexpr int kLoops = 4096;

__global__ void Nothing() {}

// Each thread keeps eight sums, so that none waits for the one before. The sums are written: nothing can be left out.
__global__ void FloatProducts(float x, float* out) {
  float sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = static_cast<float>(threadIdx.x + i);
  for (int loop = 0; loop < kLoops; ++loop) {
#pragma unroll
    for (float& sum : sums) sum = __fmaf_rn(sum, x, 0.5f);
  }
  float all = 0;
  for (const float sum : sums) all += sum;
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}

__global__ void Dp4aProducts(int x, int* out) {
  int sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = static_cast<int>(threadIdx.x) + i;
  for (int loop = 0; loop < kLoops; ++loop) {
#pragma unroll
    for (int& sum : sums) sum = __dp4a(sum, x, sum);
  }
  int all = 0;
  for (const int sum : sums) all += sum;
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void Memory() {
  Report(kPart, "device copy, read and written", CopyRate() / 1e9, "GB/s", "4 GiB");

  const size_t bytes = size_t{1} << 30;
  Buffer<uint8_t> device(bytes), pinned(bytes, Buffer<uint8_t>::Where::kPinned);
  std::vector<uint8_t> pageable(bytes, 1);
  const auto copy = [&](const char* what, void* to, const void* from, cudaMemcpyKind kind, int runs) {
    const double seconds =
        MedianSeconds(runs, [&](cudaStream_t stream) { PROBE_CUDA(cudaMemcpyAsync(to, from, bytes, kind, stream)); });
    Report(kPart, what, bytes / seconds / 1e9, "GB/s", "1 GiB");
  };
  copy("pinned to device", device.data(), pinned.data(), cudaMemcpyHostToDevice, 5);
  copy("device to pinned", pinned.data(), device.data(), cudaMemcpyDeviceToHost, 5);
  copy("pageable to device", device.data(), pageable.data(), cudaMemcpyHostToDevice, 2);
  copy("device to pageable", pageable.data(), device.data(), cudaMemcpyDeviceToHost, 2);

  // Pinned memory: how much at once, and what it costs.
  for (size_t gib = 1; gib <= 8; gib *= 2) {
    void* data = nullptr;
    const double begin = Now();
    const cudaError_t error = cudaMallocHost(&data, gib << 30);
    const std::string what = "pinning " + std::to_string(gib) + " GiB";
    if (error != cudaSuccess) {
      Report(kPart, what, -1, "s", cudaGetErrorString(error));
      cudaGetLastError();
      break;
    }
    Report(kPart, what, Now() - begin, "s");
    PROBE_CUDA(cudaFreeHost(data));
  }
}

void Overheads() {
  constexpr int kCalls = 2000;
  cudaStream_t stream;
  PROBE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const double on_device = MedianSeconds(5, [](cudaStream_t stream) {
    for (int i = 0; i < kCalls; ++i) Nothing<<<1, 32, 0, stream>>>();
  });
  Report(kPart, "launch, one after another", on_device / kCalls * 1e6, "us");
  PROBE_CUDA(cudaStreamSynchronize(stream));
  double begin = Now();
  for (int i = 0; i < 500; ++i) Nothing<<<1, 32, 0, stream>>>();
  Report(kPart, "launch, host time", (Now() - begin) / 500 * 1e6, "us");
  PROBE_CUDA(cudaStreamSynchronize(stream));
  Report(kPart, "node of a graph",
         MedianSecondsInGraph(kCalls, [](cudaStream_t capture, int) { Nothing<<<1, 32, 0, capture>>>(); }) * 1e6, "us");
  begin = Now();
  for (int i = 0; i < 500; ++i) {
    Nothing<<<1, 32, 0, stream>>>();
    PROBE_CUDA(cudaStreamSynchronize(stream));
  }
  Report(kPart, "launch and wait", (Now() - begin) / 500 * 1e6, "us");
  begin = Now();
  for (int i = 0; i < 500; ++i) PROBE_CUDA(cudaStreamSynchronize(stream));
  Report(kPart, "wait for nothing", (Now() - begin) / 500 * 1e6, "us");
  PROBE_CUDA(cudaStreamDestroy(stream));
}

void Products() {
  const int grid = Multiprocessors() * 8;
  Buffer<float> out(size_t(grid) * kThreads);
  Buffer<int> ints(out.size());
  const double threads = static_cast<double>(out.size());
  const auto tell = [&](const char* what, double rate) {
    Report(kPart, what, rate / 1e12, "T/s", "a multiply-add is two");
  };
  tell("fp32 fma", threads * kLoops * 8 * 2 / MedianSeconds(5, [&](cudaStream_t stream) {
                     FloatProducts<<<grid, kThreads, 0, stream>>>(0.75f, out.data());
                   }));
  tell("int8 dp4a", threads * kLoops * 8 * 8 / MedianSeconds(5, [&](cudaStream_t stream) {
                      Dp4aProducts<<<grid, kThreads, 0, stream>>>(0x01020304, ints.data());
                    }));
  tell("int8 mma.sync", MmaRate<false>());
  tell("int8 mma.sync and a scaled float sum a block", MmaRate<true>());
}

}  // namespace
}  // namespace kedge::probe

int main() {
  kedge::probe::Memory();
  kedge::probe::Overheads();
  kedge::probe::Products();
}
