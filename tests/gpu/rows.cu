// What a reduced prompt costs to move: 410 rows of 4,096 out of their pages, to other memory of the device and to the
// host, and back.
#include <random>

#include "tests/gpu/probe.h"
#include "tests/gpu/rows_layout.cuh"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "rows";
constexpr int kCount = 410;
constexpr uint32_t kPromptRows = 4096;

template <bool transposed_keys>
std::string Check(const uint16_t* frame, const std::vector<uint32_t>& rows) {
  size_t wrong = 0;
  for (int part = 0; part < kParts; ++part) {
    for (int row = 0; row < kCount; ++row) {
      for (int dim = 0; dim < kDim; ++dim) {
        const uint16_t want = HalfAt(HalfIndex<transposed_keys>(rows[row], part, dim));
        wrong += frame[(size_t(part) * kCount + row) * kDim + dim] != want;
      }
    }
  }
  return wrong == 0 ? "right" : std::to_string(wrong) + " WRONG";
}

}  // namespace
}  // namespace kedge::probe

int main() {
  using namespace kedge::probe;
  using Where = Buffer<uint16_t>::Where;
  const double copy_rate = CopyRate();
  std::vector<uint32_t> rows(kPromptRows);
  for (uint32_t i = 0; i < kPromptRows; ++i) rows[i] = i;
  std::mt19937 random(20260503);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(kCount);
  std::sort(rows.begin(), rows.end());

  Buffer<uint16_t> pages(kPromptRows / kRowsOfPage * kPageHalves);
  FillPages<<<2048, 256>>>(pages.data(), pages.size());
  PROBE_LAUNCHED();
  const Buffer<uint32_t> device_rows(rows);
  Buffer<uint16_t> frame(kCount * kRowHalves), pinned(kCount * kRowHalves, Where::kPinned);
  const dim3 grid((kCount + 15) / 16, kParts);
  const double bytes = static_cast<double>(kCount) * kRowBytes;
  const auto tell = [&](const char* what, double moved, double limit, const char* of, double seconds,
                        const std::string& check) {
    char note[160];
    std::snprintf(note, sizeof(note), "%.0f GB/s, %s of %s; %s", moved / seconds / 1e9,
                  Percent(moved / seconds / limit).c_str(), of, check.c_str());
    Report(kPart, what, seconds * 1e6, "us", note);
  };

  double seconds = MedianSeconds(9, [&](cudaStream_t stream) {
    GatherRows<false><<<grid, 256, 0, stream>>>(pages.data(), device_rows.data(), kCount, frame.data());
  });
  tell("gather 410 rows, device to device", 2 * bytes, copy_rate, "the copy rate", seconds,
       Check<false>(frame.Download().data(), rows));
  frame.Poison();
  seconds = MedianSeconds(9, [&](cudaStream_t stream) {
    GatherRows<true><<<grid, 256, 0, stream>>>(pages.data(), device_rows.data(), kCount, frame.data());
  });
  tell("the same, keys [dim][row] as on the CPU", 2 * bytes, copy_rate, "the copy rate", seconds,
       Check<true>(frame.Download().data(), rows));

  // To the host: by copies of the same size, which are the limit; gathered first; by a kernel that writes there.
  const double out_rate =
      bytes / MedianSeconds(9, [&](cudaStream_t stream) {
        PROBE_CUDA(cudaMemcpyAsync(pinned.data(), frame.data(), frame.bytes(), cudaMemcpyDeviceToHost, stream));
      });
  const double in_rate =
      bytes / MedianSeconds(9, [&](cudaStream_t stream) {
        PROBE_CUDA(cudaMemcpyAsync(frame.data(), pinned.data(), frame.bytes(), cudaMemcpyHostToDevice, stream));
      });
  pinned.Poison();
  seconds = MedianSeconds(9, [&](cudaStream_t stream) {
    GatherRows<false><<<grid, 256, 0, stream>>>(pages.data(), device_rows.data(), kCount, frame.data());
    PROBE_CUDA(cudaMemcpyAsync(pinned.data(), frame.data(), frame.bytes(), cudaMemcpyDeviceToHost, stream));
  });
  tell("gather and copy to pinned memory", bytes, out_rate, "a plain copy", seconds, Check<false>(pinned.data(), rows));
  pinned.Poison();
  seconds = MedianSeconds(9, [&](cudaStream_t stream) {
    GatherRows<false><<<grid, 256, 0, stream>>>(pages.data(), device_rows.data(), kCount, pinned.data());
  });
  tell("gather into pinned memory, one kernel", bytes, out_rate, "a plain copy", seconds,
       Check<false>(pinned.data(), rows));

  // Back into other pages; what they hold afterwards is read by the gather, which was seen right.
  pages.Poison();
  seconds = MedianSeconds(9, [&](cudaStream_t stream) {
    PROBE_CUDA(cudaMemcpyAsync(frame.data(), pinned.data(), frame.bytes(), cudaMemcpyHostToDevice, stream));
    ScatterRows<<<grid, 256, 0, stream>>>(frame.data(), device_rows.data(), kCount, pages.data());
  });
  frame.Poison();
  GatherRows<false><<<grid, 256>>>(pages.data(), device_rows.data(), kCount, frame.data());
  PROBE_LAUNCHED();
  tell("pinned memory to pages", bytes, in_rate, "a plain copy", seconds, Check<false>(frame.Download().data(), rows));
}
