// Does the device give the bits of the CPU's scalar kernels? Functions of one number: for every float there is. The
// others: for random inputs with edges. `bits PART` reports as PART; `bits PART small` takes inputs of the size that
// compute-sanitizer can go through.
#include <cmath>
#include <functional>

#include "common/kernels/cpu/scalar.h"
#include "common/kernels/number_format.h"
#include "tests/gpu/exact_attention.cuh"
#include "tests/gpu/exact_products.cuh"
#include "tests/gpu/exact_rows.cuh"
#include "tests/gpu/host_reference.h"
#include "tests/gpu/probe.h"

namespace kedge::probe {
namespace {

const char* part = "kernel-bits";
bool small = false;

struct Count {
  uint64_t compared = 0, differing = 0, nans = 0;  // nans: both are NaN, of different bits; not in `differing`
  void Add(const Count& other) {
    compared += other.compared;
    differing += other.differing;
    nans += other.nans;
  }
};

bool IsNan(float value) { return std::isnan(value); }

template <typename T, typename Nan>
Count Compare(const T* want, const T* got, size_t size, Nan is_nan) {
  Count count{size, 0, 0};
  for (size_t i = 0; i < size; ++i) {
    if (std::memcmp(&want[i], &got[i], sizeof(T)) == 0) continue;
    ++(is_nan(want[i]) && is_nan(got[i]) ? count.nans : count.differing);
  }
  return count;
}

void Tell(const char* what, const Count& count) {
  std::string note = "of " + std::to_string(count.compared);
  if (count.nans > 0) note += "; and " + std::to_string(count.nans) + " NaNs with another payload";
  Report(part, what, static_cast<double>(count.differing), "differ", note);
}

void Tell(const char* what, const std::vector<float>& want, const std::vector<float>& got) {
  Tell(what, want.size() == got.size() ? Compare(want.data(), got.data(), want.size(), IsNan)
                                       : Count{want.size(), want.size(), 0});
}

// launch(first, grid, threads, out) computes a function of the floats whose bits are first, first + 1, ...; reference
// does so on the host.
template <typename T, typename Launch, typename Reference, typename Nan>
void EveryFloat(const char* what, Launch launch, Reference reference, Nan is_nan) {
  const uint64_t chunk = small ? 1 << 10 : 1 << 24, step = small ? uint64_t{1} << 29 : chunk;
  Buffer<T> out(chunk), host(chunk, Buffer<T>::Where::kPinned);
  Count all;
  for (uint64_t first = 0; first < uint64_t{1} << 32; first += step) {
    out.Poison();
    launch(static_cast<uint32_t>(first), static_cast<unsigned>(chunk / 256), 256, out.data());
    PROBE_LAUNCHED();
    PROBE_CUDA(cudaMemcpy(host.data(), out.data(), out.bytes(), cudaMemcpyDeviceToHost));
    std::vector<Count> counts(256);
    InParallel(counts.size(), [&](size_t begin, size_t end) {
      const size_t size = chunk / counts.size();
      std::vector<float> x(size);
      std::vector<T> want(size);
      for (size_t i = begin; i < end; ++i) {
        for (size_t j = 0; j < size; ++j) x[j] = std::bit_cast<float>(static_cast<uint32_t>(first + i * size + j));
        reference(x.data(), static_cast<int>(size), want.data());
        counts[i] = Compare(want.data(), host.data() + i * size, size, is_nan);
      }
    });
    for (const Count& count : counts) all.Add(count);
  }
  Tell(what, all);
}

void FunctionsOfOneNumber() {
  EveryFloat<float>(
      "exp, every float",
      [](uint32_t first, int grid, int threads, float* out) { ExpOfBits<<<grid, threads>>>(first, out); },
      [](const float* x, int size, float* out) {
        for (int i = 0; i < size; ++i) out[i] = ExpFloat(x[i]);
      },
      IsNan);
  EveryFloat<float>(
      "SiLU gate, every float, times 1.7",
      [](uint32_t first, int grid, int threads, float* out) { SwiGluOfBits<<<grid, threads>>>(first, 1.7f, out); },
      [](const float* x, int size, float* out) {
        const std::vector<float> up(size, 1.7f);
        std::copy(x, x + size, out);
        scalar::SwiGlu(up.data(), size, out);
      },
      IsNan);
  EveryFloat<uint16_t>(
      "f16 of every float",
      [](uint32_t first, int grid, int threads, uint16_t* out) { HalfOfBits<<<grid, threads>>>(first, out); },
      [](const float* x, int size, uint16_t* out) { scalar::ToKv(KvType::kF16, x, size, out); },
      [](uint16_t half) { return (half & 0x7fffu) > 0x7c00u; });
  EveryFloat<uint16_t>(
      "bf16 of every float",
      [](uint32_t first, int grid, int threads, uint16_t* out) { BFloat16OfBits<<<grid, threads>>>(first, out); },
      [](const float* x, int size, uint16_t* out) { scalar::ToKv(KvType::kBF16, x, size, out); },
      [](uint16_t value) { return (value & 0x7fffu) > 0x7f80u; });

  Buffer<float> floats(1 << 16);
  FloatOfHalves<<<256, 256>>>(floats.data());
  PROBE_LAUNCHED();
  std::vector<uint16_t> halves(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> want(halves.size());
  scalar::FromKv(KvType::kF16, halves.data(), static_cast<int>(halves.size()), want.data());
  Tell("float of every f16", want, floats.Download());
}

void Rows(Random& random) {
  const int rows = small ? 3 : 2000, size = small ? 576 : 4096;
  std::vector<float> want;

  // --- RMS norm: large, small and subnormal rows among them ---
  const std::vector<float> weight = RandomFloats(random, size, 1);
  std::vector<float> x = RandomFloats(random, size_t(rows) * size, 1);
  for (int r = 0; r < rows; ++r) {
    const float scale = std::exp2(static_cast<float>(static_cast<int>(random() % 160) - 100));
    for (int i = 0; i < size; ++i) x[size_t(r) * size + i] *= r % 4 == 0 ? scale : 1;
  }
  want.resize(x.size());
  for (int r = 0; r < rows; ++r) {
    scalar::RmsNorm(&x[size_t(r) * size], weight.data(), 1e-5f, size, &want[size_t(r) * size]);
  }
  const Buffer<float> device_x(x), device_weight(weight);
  Buffer<float> out(x.size());
  RmsNorm<<<rows, 256, size * sizeof(float)>>>(device_x.data(), device_weight.data(), 1e-5f, size, out.data());
  PROBE_LAUNCHED();
  Tell("RMS norm", want, out.Download());

  // --- Quantisation of the same rows, with halfway cases, zeros and blocks too small to quantise ---
  for (size_t i = 0; i < x.size(); i += 7 * 32) {
    const float step = i % 3 == 0 ? 1.0f : i % 3 == 1 ? 0x1p-110f : 0.0f;
    for (size_t j = 0; j < 32; ++j) x[i + j] = step * (j == 0 ? 127 : static_cast<int>(random() % 253) * 0.5f - 63);
  }
  const size_t blocks = x.size() / 32;
  std::vector<QuantizedBlock> quantized(blocks);
  scalar::QuantizeRow(x.data(), static_cast<int>(x.size()), quantized.data());
  const Buffer<float> rounded(x);
  Buffer<QuantizedBlock> device_quantized(blocks);
  QuantizeBlocks<<<(blocks + 7) / 8, 256>>>(rounded.data(), static_cast<int>(blocks), device_quantized.data());
  PROBE_LAUNCHED();
  const std::vector<QuantizedBlock> got = device_quantized.Download();
  Tell("activations to 8 bits, blocks",
       Compare(quantized.data(), got.data(), blocks, [](const auto&) { return false; }));

  // --- Rotation ---
  const int pairs = 64;
  std::vector<uint32_t> positions(rows);
  for (uint32_t& position : positions) position = random() % 131072;
  const RopeTables tables(positions, pairs, 500000);
  std::vector<float> queries = RandomFloats(random, size_t(rows) * 2 * pairs, 3);
  const Buffer<float> cos(tables.cos), sin(tables.sin);
  Buffer<float> turned(queries);
  Rotate(tables, queries);
  Rope<<<(rows * pairs + 255) / 256, 256>>>(cos.data(), sin.data(), rows * pairs, turned.data());
  PROBE_LAUNCHED();
  Tell("rotation, tables of the host", queries, turned.Download());
}

template <PanelForm form>
void Panels(const char* what, Random& random) {
  const int panels = small ? 2 : 64, rows = small ? 2 : 24, inputs = small ? 256 : 4096;
  const RandomPanels weights(random, form, panels, inputs);
  const Q8Rows x(random, rows, inputs);
  const std::vector<float> want = Multiply(weights.view(), panels, x.blocks.data(), rows);
  const Buffer<uint8_t> data(weights.data);
  const Buffer<QuantizedBlock> blocks(x.blocks);
  Buffer<float> out(want.size());
  MultiplyPanels<form><<<dim3(panels, rows), 32>>>(data.data(), weights.panel_bytes, weights.quants, inputs / 32,
                                                   blocks.data(), out.data());
  PROBE_LAUNCHED();
  Tell(what, want, out.Download());
}

void Products(Random& random) {
  Panels<PanelForm::kBytes>("products, Q8_0", random);
  Panels<PanelForm::kNibbles>("products, Q4_0", random);
  Panels<PanelForm::kNibblesMinimum>("products, Q4_1", random);
  Panels<PanelForm::kNibblesFloat>("products, Q4_K", random);
  Panels<PanelForm::kBytesFloat>("products, Q5_0 Q5_1 Q5_K", random);
  Panels<PanelForm::kBytesTwoScales>("products, Q6_K", random);
  {
    const int panels = small ? 1 : 8, rows = small ? 1 : 4, inputs = small ? 64 : 4096;
    const std::vector<float> x = RandomFloats(random, size_t(rows) * inputs, 1);
    std::vector<uint16_t> weights(size_t(panels) * inputs * kPanelOutputs);
    for (uint16_t& weight : weights) weight = ToBFloat16(RandomFloats(random, 1, 0.05f)[0]);
    const PanelView view{PanelForm::kBF16, inputs, size_t(inputs) * kPanelOutputs * 2, 0,
                         reinterpret_cast<const uint8_t*>(weights.data())};
    std::vector<float> want(size_t(rows) * panels * kPanelOutputs);
    scalar::MultiplyFloat(view, 0, panels, x.data(), inputs, rows, want.data(), size_t(panels) * kPanelOutputs);
    const Buffer<uint16_t> device_weights(weights);
    const Buffer<float> device_x(x);
    Buffer<float> out(want.size());
    MultiplyBFloat16<<<dim3(panels, rows), kPanelOutputs>>>(device_weights.data(), inputs, device_x.data(), out.data());
    PROBE_LAUNCHED();
    Tell("products, BF16", want, out.Download());
  }
  {
    const Q8Matrix weights(random, small ? 32 : 4096, small ? 1024 : 14336);
    const Q8Rows x(random, 1, weights.inputs);
    const Buffer<int8_t> quants(weights.QuantsForRow()), values(x.Values());
    const Buffer<uint16_t> scales(weights.ScalesForRow());
    const Buffer<float> x_scales(x.Scales());
    Buffer<float> out(weights.outputs);
    const int terms = weights.blocks() * kVectorTermBytes;
    PROBE_CUDA(cudaFuncSetAttribute(MultiplyRow, cudaFuncAttributeMaxDynamicSharedMemorySize, terms));
    MultiplyRow<<<weights.outputs / 16, 32 * kVectorWarps, terms>>>(
        reinterpret_cast<const int4*>(quants.data()), reinterpret_cast<const __half*>(scales.data()), weights.blocks(),
        values.data(), x_scales.data(), out.data());
    PROBE_LAUNCHED();
    Tell("one row by dp4a, Q8_0", Multiply(weights, x, 0, 1), out.Download());
  }
  {
    const Q8Matrix weights(random, small ? 128 : 1024, small ? 256 : 4096);
    const Q8Rows x(random, small ? 128 : 256, weights.inputs);
    const Buffer<int8_t> quants(weights.quants), values(x.Values());
    const Buffer<float> scales(weights.ScalesForRows()), x_scales(x.Scales());
    Buffer<float> out(size_t(x.rows) * weights.outputs);
    PROBE_CUDA(cudaFuncSetAttribute(MultiplyRows, cudaFuncAttributeMaxDynamicSharedMemorySize, kTileBytes));
    MultiplyRows<<<dim3(weights.outputs / kTile, x.rows / kTile), 256, kTileBytes>>>(
        values.data(), x_scales.data(), quants.data(), scales.data(), x.rows, weights.outputs, weights.inputs,
        out.data());
    PROBE_LAUNCHED();
    Tell("many rows by int8 mma, Q8_0", Multiply(weights, x, 0, x.rows), out.Download());
  }
}

void Attention(Random& random) {
  const int streams = small ? 1 : 24, pages = small ? 3 : 17, page_count = streams * pages;
  // Memory of rows that nobody sees is NaN here: it must not reach a sum.
  std::vector<uint16_t> halves(page_count * kLayerPageHalves, 0xffff);
  std::vector<SeenPage> seen(page_count);
  for (int i = 0; i < page_count; ++i) {
    const int begin = static_cast<int>(random() % 32), end = begin + 1 + static_cast<int>(random() % (32 - begin));
    seen[i] = {static_cast<uint32_t>(page_count - 1 - i), begin, end};
    if (i % pages == 1) seen[i].end = begin;  // nothing
    if (i % 3 == 0) seen[i].begin = 0, seen[i].end = 32;
    for (size_t part = 0; part < 2 * kKvHeads; ++part) {
      for (size_t j = seen[i].begin * kHeadDim; j < size_t(seen[i].end) * kHeadDim; ++j) {
        halves[seen[i].page * kLayerPageHalves + part * kPageRows * kHeadDim + j] =
            ToHalf(RandomFloats(random, 1, 1)[0]);
      }
    }
  }
  const std::vector<float> queries = RandomFloats(random, size_t(streams) * kHeads * kHeadDim, 2);
  std::vector<float> want;
  for (int head = 0; head < streams * kHeads; ++head) {
    std::vector<ReferencePage> shown;
    for (int i = head / kHeads * pages; i < (head / kHeads + 1) * pages; ++i) {
      const uint16_t* keys = &halves[seen[i].page * kLayerPageHalves + head % kHeads / kSharedHeads * kHeadHalves];
      shown.push_back({keys, keys + kPageRows * kHeadDim, seen[i].begin, seen[i].end});
    }
    const std::vector<float> out = Attend(&queries[size_t(head) * kHeadDim], kHeadDim, shown);
    want.insert(want.end(), out.begin(), out.end());
  }
  const Buffer<uint16_t> device_pages(halves);
  const Buffer<SeenPage> device_seen(seen);
  const Buffer<float> device_queries(queries);
  Buffer<float> out(want.size());
  Attend<<<dim3(kKvHeads, streams), 32 * kSharedHeads>>>(device_queries.data(),
                                                         reinterpret_cast<const __half*>(device_pages.data()),
                                                         device_seen.data(), pages, out.data());
  PROBE_LAUNCHED();
  Tell("attention over pages, f16", want, out.Download());
}

}  // namespace
}  // namespace kedge::probe

int main(int argc, char** argv) {
  using namespace kedge::probe;
  if (argc > 1) part = argv[1];
  small = argc > 2 && std::string(argv[2]) == "small";
  Random random(20260501);
  FunctionsOfOneNumber();
  Rows(random);
  Products(random);
  Attention(random);
}
