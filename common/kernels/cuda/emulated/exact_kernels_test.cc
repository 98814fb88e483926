// Kernels on the emulated device give the bits of the CPU's scalar kernels, in every order of blocks and threads.
#include "common/kernels/cuda/emulated/exact_kernels.h"

#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "common/kernels/cpu/panels.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/number_format.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

// A stream, and memory that it fills and reads.
class Device {
 public:
  explicit Device(std::optional<uint64_t> seed)
      : runtime_(CreateEmulatedRuntime({.seed = seed})), stream_(*runtime_->NewStream()) {}

  template <typename T>
  T* Upload(const std::vector<T>& values) {
    const size_t bytes = values.size() * sizeof(T);
    std::unique_ptr<Memory>& pinned = memories_.emplace_back(*runtime_->NewPinnedMemory(bytes));
    std::memcpy(pinned->data(), values.data(), bytes);
    const uint8_t* from = pinned->data();
    T* to = New<T>(values.size());
    EXPECT_TRUE(stream_->Copy(to, from, bytes).ok());
    return to;
  }
  template <typename T>
  T* New(size_t size) {
    return reinterpret_cast<T*>(memories_.emplace_back(*runtime_->NewMemory(size * sizeof(T)))->data());
  }
  std::vector<float> Download(const float* from, size_t size) {
    std::unique_ptr<Memory>& pinned = memories_.emplace_back(*runtime_->NewPinnedMemory(size * sizeof(float)));
    EXPECT_TRUE(stream_->Copy(pinned->data(), from, pinned->bytes()).ok());
    EXPECT_TRUE(stream_->Wait().ok());
    const float* floats = reinterpret_cast<const float*>(pinned->data());
    return {floats, floats + size};
  }
  Stream& stream() { return *stream_; }

 private:
  std::unique_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<Memory>> memories_;
  std::unique_ptr<Stream> stream_;
};

const std::vector<std::optional<uint64_t>> kSeeds = {std::nullopt, 1, 2};

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> RandomFloats(std::mt19937& random, size_t size) {
  std::normal_distribution<float> normal(0, 1.5f);
  std::vector<float> out(size);
  for (float& x : out) x = normal(random);
  return out;
}

// Weights in blocks as Q8_0 has them, quantised rows, and what the CPU makes of both.
struct Products {
  Products(int rows, int outputs, int inputs)
      : rows(rows),
        outputs(outputs),
        inputs(inputs),
        blocks(inputs / 32),
        quants(size_t(outputs) * inputs),
        scales(size_t(outputs) * blocks),
        x(size_t(rows) * blocks) {
    std::mt19937 random(7);
    for (int8_t& quant : quants) quant = static_cast<int8_t>(random());
    for (uint16_t& scale : scales) scale = ToHalf(static_cast<float>(random() % 1000 + 1) * 1e-4f);
    scalar::QuantizeRow(RandomFloats(random, size_t(rows) * inputs).data(), rows * inputs, x.data());
  }

  std::vector<float> OnCpu() const {
    const size_t offset = (blocks * PanelScalesBytes(PanelForm::kBytes) + 63) / 64 * 64;
    const size_t panel_bytes = offset + blocks * PanelQuantsBytes(PanelForm::kBytes);
    std::vector<uint8_t> panels(outputs / 16 * panel_bytes);
    for (int output = 0; output < outputs; ++output) {
      uint8_t* panel = &panels[output / 16 * panel_bytes];
      for (int b = 0; b < blocks; ++b) {
        std::memcpy(panel + (b * 16 + output % 16) * 2, &scales[output * blocks + b], 2);
        for (int g = 0; g < 8; ++g) {
          std::memcpy(panel + offset + ((b * 8 + g) * 16 + output % 16) * 4, &quants[output * inputs + b * 32 + g * 4],
                      4);
        }
      }
    }
    std::vector<float> out(size_t(rows) * outputs);
    scalar::MultiplyQuantized({PanelForm::kBytes, inputs, panel_bytes, offset, panels.data()}, 0, outputs / 16,
                              x.data(), rows, out.data(), outputs, {});
    return out;
  }

  const int rows, outputs, inputs, blocks;
  std::vector<int8_t> quants;    // [outputs][inputs]
  std::vector<uint16_t> scales;  // [outputs][blocks], halves
  std::vector<QuantizedBlock> x;
};

TEST(ExactKernels, MultiplyRow) {
  const Products p(1, 48, 32 * 21);
  std::vector<int8_t> quants(p.quants.size()), x(p.inputs);
  std::vector<__half> scales(p.scales.size());
  std::vector<float> x_scales(p.blocks);
  for (int output = 0; output < p.outputs; ++output) {
    for (int b = 0; b < p.blocks; ++b) {
      for (int half = 0; half < 2; ++half) {
        std::memcpy(&quants[(((output / 16 * p.blocks + b) * 2 + half) * 16 + output % 16) * 16],
                    &p.quants[output * p.inputs + b * 32 + half * 16], 16);
      }
      scales[(output / 16 * p.blocks + b) * 16 + output % 16] = __ushort_as_half(p.scales[output * p.blocks + b]);
    }
  }
  for (int b = 0; b < p.blocks; ++b) {
    std::memcpy(&x[b * 32], p.x[b].values, 32);
    x_scales[b] = p.x[b].scale;
  }
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device(seed);
    float* out = device.New<float>(p.outputs);
    const LaunchShape shape = {.grid = {3}, .block = {32 * kRowWarps}, .shared_bytes = RowSharedBytes(p.blocks)};
    ASSERT_TRUE(Launch(device.stream(), shape, MultiplyRow<Defect::kNone>,
                       reinterpret_cast<const int4*>(device.Upload(quants)), device.Upload(scales), p.blocks,
                       device.Upload(x), device.Upload(x_scales), out)
                    .ok());
    EXPECT_TRUE(SameBits(device.Download(out, p.outputs), p.OnCpu()));
  }
}

TEST(ExactKernels, MultiplyRows) {
  const Products p(32, 64, 64 * 5);
  std::vector<int8_t> x(size_t(p.rows) * p.inputs);
  std::vector<float> x_scales(p.x.size()), w_scales(p.scales.size());
  for (int b = 0; b < p.blocks; ++b) {
    for (int row = 0; row < p.rows; ++row) {
      const QuantizedBlock& block = p.x[row * p.blocks + b];
      std::memcpy(&x[row * p.inputs + b * 32], block.values, 32);
      x_scales[b * p.rows + row] = block.scale;
    }
    for (int output = 0; output < p.outputs; ++output) {
      w_scales[b * p.outputs + output] = FromHalf(p.scales[output * p.blocks + b]);
    }
  }
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device(seed);
    float* out = device.New<float>(p.rows * p.outputs);
    const LaunchShape shape = {.grid = {2, 2}, .block = {64}, .shared_bytes = 2 * sizeof(TileStage)};
    ASSERT_TRUE(Launch(device.stream(), shape, MultiplyRows<Defect::kNone>, device.Upload(x), device.Upload(x_scales),
                       device.Upload(p.quants), device.Upload(w_scales), p.rows, p.outputs, p.inputs, out)
                    .ok());
    EXPECT_TRUE(SameBits(device.Download(out, p.rows * p.outputs), p.OnCpu()));
  }
}

// One head over pages, as the scalar kernels have it.
std::vector<float> AttendOnCpu(const float* query, const std::vector<__half>& pages, const std::vector<int>& ends) {
  constexpr int kRows = kPageRows;
  const float scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));
  std::vector<float> scaled(kHeadDim), values(kHeadDim, 0.0f);
  for (int i = 0; i < kHeadDim; ++i) scaled[i] = query[i] * scale;
  SoftmaxState state{-std::numeric_limits<float>::infinity(), 0};
  for (size_t page = 0; page < ends.size(); ++page) {
    const __half* rows = &pages[page * 2 * kRows * kHeadDim];
    uint16_t keys[kHeadDim * kRows];  // [dim][row], as CpuPages has them
    for (int i = 0; i < kRows * kHeadDim; ++i) keys[i % kHeadDim * kRows + i / kHeadDim] = rows[i].bits;
    float scores[kRows] = {}, weights[kRows];
    scalar::Accumulate(KvType::kF16, 1, scaled.data(), kHeadDim, keys, kRows, 0, kHeadDim, 0, kRows / 8, nullptr,
                       scores, kRows);
    scalar::SoftmaxPage(scores, 0, ends[page], &state, weights, values.data(), kHeadDim);
    scalar::Accumulate(KvType::kF16, 1, weights, kRows, rows + kRows * kHeadDim, kHeadDim, 0, ends[page], 0,
                       kHeadDim / 8, nullptr, values.data(), kHeadDim);
  }
  for (float& value : values) value *= 1.0f / state.sum;
  return values;
}

TEST(ExactKernels, AttentionOverPages) {
  std::mt19937 random(3);
  constexpr int kHeads = 3;
  const std::vector<int> ends = {32, 7, 32, 1};
  const std::vector<float> queries = RandomFloats(random, kHeads * kHeadDim);
  std::vector<__half> pages;
  for (const float x : RandomFloats(random, ends.size() * 2 * kPageRows * kHeadDim)) {
    pages.push_back(__float2half_rn(x));
  }
  std::vector<float> expected;
  for (int head = 0; head < kHeads; ++head) {
    const std::vector<float> values = AttendOnCpu(&queries[head * kHeadDim], pages, ends);
    expected.insert(expected.end(), values.begin(), values.end());
  }
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device(seed);
    float* out = device.New<float>(kHeads * kHeadDim);
    const LaunchShape shape = {.grid = {kHeads}, .block = {32}, .shared_bytes = sizeof(HeadMemory)};
    ASSERT_TRUE(Launch(device.stream(), shape, Attend<Defect::kNone>, device.Upload(queries), device.Upload(pages),
                       device.Upload(ends), static_cast<int>(ends.size()), out)
                    .ok());
    EXPECT_TRUE(SameBits(device.Download(out, kHeads * kHeadDim), expected));
  }
}

}  // namespace
}  // namespace kedge::cuda
