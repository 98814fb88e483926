// Two processes on one device: one gives a handle of its memory, the other writes rows into it, by copies and by the
// gather itself.
#include <random>

#include "tests/gpu/probe.h"
#include "tests/gpu/rows_layout.cuh"
#include "tests/gpu/two_processes.h"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "ipc";
constexpr int kCount = 410;
constexpr uint32_t kPromptRows = 4096;
constexpr uint32_t kStride = 9;  // row i of the frame is row 9 i of the prompt

void Receive(OtherProcess& sender) {
  Buffer<uint16_t> frame(kCount * kRowHalves);
  cudaIpcMemHandle_t handle;
  PROBE_CUDA(cudaIpcGetMemHandle(&handle, frame.data()));
  sender.Say(handle);
  for (int round = 0; round < 2; ++round) {
    sender.Hear<char>();  // written
    const std::vector<uint16_t> got = frame.Download();
    uint64_t wrong = 0;
    for (int part = 0; part < kParts; ++part) {
      for (uint32_t row = 0; row < kCount; ++row) {
        for (int dim = 0; dim < kDim; ++dim) {
          wrong +=
              got[(size_t(part) * kCount + row) * kDim + dim] != HalfAt(HalfIndex<false>(row * kStride, part, dim));
        }
      }
    }
    frame.Poison();
    sender.Say(wrong);
  }
  sender.Hear<char>();  // closed there
}

}  // namespace
}  // namespace kedge::probe

int main() {
  using namespace kedge::probe;
  OtherProcess receiver = OtherProcess::Start(Receive);
  Buffer<uint16_t> pages(kPromptRows / kRowsOfPage * kPageHalves), frame(kCount * kRowHalves);
  FillPages<<<2048, 256>>>(pages.data(), pages.size());
  PROBE_LAUNCHED();
  std::vector<uint32_t> chosen(kCount);
  for (uint32_t i = 0; i < kCount; ++i) chosen[i] = i * kStride;
  const Buffer<uint32_t> rows(chosen);
  const cudaIpcMemHandle_t handle = receiver.Hear<cudaIpcMemHandle_t>();
  void* theirs = nullptr;
  PROBE_CUDA(cudaIpcOpenMemHandle(&theirs, handle, cudaIpcMemLazyEnablePeerAccess));
  const dim3 grid((kCount + 15) / 16, kParts);
  const auto tell = [&](const char* what, double seconds) {
    receiver.Say('w');
    const uint64_t wrong = receiver.Hear<uint64_t>();
    Report(kPart, what, frame.bytes() / seconds / 1e9, "GB/s",
           std::to_string(static_cast<int>(seconds * 1e6)) + " us for 54 MB; " +
               (wrong == 0 ? "right" : std::to_string(wrong) + " WRONG"));
  };
  GatherRows<false><<<grid, 256>>>(pages.data(), rows.data(), kCount, frame.data());
  PROBE_LAUNCHED();
  PROBE_CUDA(cudaDeviceSynchronize());
  tell("copy into the other process", MedianSeconds(9, [&](cudaStream_t stream) {
         PROBE_CUDA(cudaMemcpyAsync(theirs, frame.data(), frame.bytes(), cudaMemcpyDeviceToDevice, stream));
       }));
  tell("gather into the other process", MedianSeconds(9, [&](cudaStream_t stream) {
         GatherRows<false><<<grid, 256, 0, stream>>>(pages.data(), rows.data(), kCount, static_cast<uint16_t*>(theirs));
       }));
  PROBE_CUDA(cudaIpcCloseMemHandle(theirs));
  receiver.Say('c');
  return receiver.Ended() ? 0 : 1;
}
