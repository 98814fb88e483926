// A first look at how fast the exact class can be: kernels of bits.cu in the shapes of Llama 3.1 8B, as shares of what
// the device was seen to do in the same run. Inputs are larger than the caches: calls go through several copies.
#include "tests/gpu/exact_attention.cuh"
#include "tests/gpu/exact_products.cuh"
#include "tests/gpu/exact_rows.cuh"
#include "tests/gpu/host_reference.h"
#include "tests/gpu/mma_rate.cuh"
#include "tests/gpu/probe.h"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "kernel-speed";
constexpr size_t kBeyondCaches = size_t{1} << 30;

std::string ShareOf(double rate, double limit) {
  return Percent(rate / limit) + " of the copy rate, " + std::to_string(static_cast<int>(rate / 1e9)) + " GB/s";
}

void OneRow(Random& random, int outputs, int inputs, double copy_rate) {
  const Q8Matrix weights(random, outputs, inputs);
  const Q8Rows x(random, 1, inputs);
  const std::vector<int8_t> quants = weights.QuantsForRow();
  const std::vector<uint16_t> scales = weights.ScalesForRow();
  const int copies = static_cast<int>(kBeyondCaches / quants.size());
  Buffer<int8_t> all_quants(copies * quants.size());
  Buffer<uint16_t> all_scales(copies * scales.size());
  for (int i = 0; i < copies; ++i) {
    PROBE_CUDA(cudaMemcpy(all_quants.data() + i * quants.size(), quants.data(), quants.size(), cudaMemcpyHostToDevice));
    PROBE_CUDA(cudaMemcpy(all_scales.data() + i * scales.size(), scales.data(), scales.size() * sizeof(uint16_t),
                          cudaMemcpyHostToDevice));
  }
  const Buffer<int8_t> values(x.Values());
  const Buffer<float> x_scales(x.Scales());
  Buffer<float> out(outputs);
  const int terms = weights.blocks() * kVectorTermBytes;
  PROBE_CUDA(cudaFuncSetAttribute(MultiplyRow, cudaFuncAttributeMaxDynamicSharedMemorySize, terms));
  const double seconds = MedianSecondsInGraph(2 * copies, [&](cudaStream_t stream, int i) {
    MultiplyRow<<<outputs / 16, 32 * kVectorWarps, terms, stream>>>(
        reinterpret_cast<const int4*>(all_quants.data() + i % copies * quants.size()),
        reinterpret_cast<const __half*>(all_scales.data() + i % copies * scales.size()), weights.blocks(),
        values.data(), x_scales.data(), out.data());
  });
  const double bytes = static_cast<double>(quants.size()) + scales.size() * sizeof(uint16_t);
  Report(kPart, "one row, Q8_0 " + std::to_string(inputs) + " to " + std::to_string(outputs), seconds * 1e6, "us",
         ShareOf(bytes / seconds, copy_rate));
}

void ManyRows(Random& random, int rows, double mma_rate) {
  const Q8Matrix weights(random, 4096, 4096);
  const Q8Rows x(random, rows, weights.inputs);
  const Buffer<int8_t> quants(weights.quants), values(x.Values());
  const Buffer<float> scales(weights.ScalesForRows()), x_scales(x.Scales());
  Buffer<float> out(size_t(rows) * weights.outputs);
  PROBE_CUDA(cudaFuncSetAttribute(MultiplyRows, cudaFuncAttributeMaxDynamicSharedMemorySize, kTileBytes));
  const double seconds = MedianSeconds(9, [&](cudaStream_t stream) {
    MultiplyRows<<<dim3(weights.outputs / kTile, rows / kTile), 256, kTileBytes, stream>>>(
        values.data(), x_scales.data(), quants.data(), scales.data(), rows, weights.outputs, weights.inputs,
        out.data());
  });
  const double rate = 2.0 * rows * weights.outputs * weights.inputs / seconds;
  const int checked = 8;  // rows in the middle: blocks of every kind, and not the CPU's whole day
  const std::vector<float> want = Multiply(weights, x, rows / 2, checked), got = out.Download();
  const bool same =
      std::memcmp(want.data(), &got[size_t(rows) / 2 * weights.outputs], want.size() * sizeof(float)) == 0;
  Report(kPart, std::to_string(rows) + " rows, Q8_0 4096 to 4096", rate / 1e12, "T/s",
         Percent(rate / mma_rate) + " of int8 mma.sync, " + std::to_string(static_cast<int>(seconds * 1e6)) + " us; " +
             std::to_string(checked) + " rows checked: " + (same ? "same bits" : "OTHER BITS"));
}

void AttentionOf(Random& random, double copy_rate) {
  constexpr int kPages = 512 / kPageRows, kStreams = 256;
  const size_t page_count = size_t{kPages} * kStreams;
  // The same random page everywhere would do for time; it would not for caches, so the memory is really there.
  Buffer<uint16_t> pages(page_count * kLayerPageHalves);
  const std::vector<float> values = RandomFloats(random, kLayerPageHalves, 1);
  std::vector<uint16_t> page(kLayerPageHalves);
  for (size_t i = 0; i < page.size(); ++i) page[i] = __half_as_ushort(__float2half(values[i]));
  for (size_t i = 0; i < page_count; ++i) {
    PROBE_CUDA(cudaMemcpy(pages.data() + i * page.size(), page.data(), page.size() * 2, cudaMemcpyHostToDevice));
  }
  std::vector<SeenPage> seen(page_count);
  for (size_t i = 0; i < page_count; ++i) seen[i] = {static_cast<uint32_t>(i), 0, static_cast<int>(kPageRows)};
  std::shuffle(seen.begin(), seen.end(), random);
  const Buffer<SeenPage> device_seen(seen);
  const Buffer<float> queries(RandomFloats(random, size_t{kStreams} * kHeads * kHeadDim, 1));
  Buffer<float> out(queries.size());
  for (const int streams : {1, 32, kStreams}) {
    const double seconds = MedianSecondsInGraph(2 * kStreams / streams, [&](cudaStream_t stream, int i) {
      Attend<<<dim3(kKvHeads, streams), 32 * kSharedHeads, 0, stream>>>(
          queries.data(), reinterpret_cast<const __half*>(pages.data()),
          device_seen.data() + i * streams % kStreams * kPages, kPages, out.data());
    });
    const double bytes = static_cast<double>(streams) * kPages * kLayerPageHalves * 2;
    Report(kPart, "attention of one layer, 512 rows, batch " + std::to_string(streams), seconds * 1e6, "us",
           ShareOf(bytes / seconds, copy_rate));
  }
}

void Norm(Random& random) {
  constexpr int kSize = 4096;
  for (const int rows : {1, 256}) {
    const Buffer<float> x(RandomFloats(random, size_t(rows) * kSize, 1)), weight(RandomFloats(random, kSize, 1));
    Buffer<float> out(x.size());
    const double seconds = MedianSecondsInGraph(500, [&](cudaStream_t stream, int) {
      RmsNorm<<<rows, 256, kSize * sizeof(float), stream>>>(x.data(), weight.data(), 1e-5f, kSize, out.data());
    });
    Report(kPart, "RMS norm of 4096, rows " + std::to_string(rows), seconds * 1e6, "us",
           "eight chains of 512 sums a row");
  }
}

}  // namespace
}  // namespace kedge::probe

int main() {
  using namespace kedge::probe;
  Random random(20260502);
  const double copy_rate = CopyRate(), mma_rate = MmaRate<false>();
  OneRow(random, 4096, 4096, copy_rate);
  OneRow(random, 14336, 4096, copy_rate);
  OneRow(random, 4096, 14336, copy_rate);
  ManyRows(random, 256, mma_rate);
  ManyRows(random, 4096, mma_rate);
  AttentionOf(random, copy_rate);
  Norm(random);
}
