#include "tests/gpu/host_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "common/kernels/cpu/scalar.h"
#include "common/kernels/elementary.h"
#include "common/kernels/number_format.h"

namespace kedge::probe {
namespace {

// Positive and negative, and now and then a subnormal half or zero.
float RandomScale(Random& random) {
  const float magnitude = std::uniform_real_distribution<float>(0.0005f, 0.02f)(random);
  switch (random() % 32) {
    case 0:
      return 0;
    case 1:
      return magnitude * 0x1p-12f;
    default:
      return random() % 4 == 0 ? -magnitude : magnitude;
  }
}

uint8_t LargestQuant(PanelForm form) {
  switch (form) {
    case PanelForm::kBytesFloat:
      return 31;
    case PanelForm::kBytesTwoScales:
      return 63;
    default:
      return 255;
  }
}

}  // namespace

std::vector<float> RandomFloats(Random& random, size_t size, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(size);
  for (float& value : values) value = normal(random);
  return values;
}

void InParallel(size_t count, const std::function<void(size_t, size_t)>& body) {
  const size_t parts = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < parts; ++i) threads.emplace_back(body, count * i / parts, count * (i + 1) / parts);
  for (std::thread& thread : threads) thread.join();
}

RandomPanels::RandomPanels(Random& random, PanelForm form, int panels, int inputs)
    : form(form), panels(panels), inputs(inputs) {
  const size_t blocks = inputs / 32;
  quants = (blocks * PanelScalesBytes(form) + 63) / 64 * 64;
  panel_bytes = quants + blocks * PanelQuantsBytes(form);
  data.resize(panels * panel_bytes);
  for (int p = 0; p < panels; ++p) {
    uint8_t* panel = &data[p * panel_bytes];
    const bool is_float = PanelScalesBytes(form) == 8 * kPanelOutputs;
    const size_t scales = blocks * PanelScalesBytes(form) / (is_float ? sizeof(float) : sizeof(uint16_t));
    for (size_t i = 0; i < scales; ++i) {
      const float scale = RandomScale(random);
      const uint16_t half = ToHalf(scale);
      if (is_float) {
        std::memcpy(panel + i * sizeof(scale), &scale, sizeof(scale));
      } else {
        std::memcpy(panel + i * sizeof(half), &half, sizeof(half));
      }
    }
    for (size_t i = quants; i < panel_bytes; ++i) panel[i] = random() & LargestQuant(form);
  }
}

PanelView RandomPanels::view() const { return {form, inputs, panel_bytes, quants, data.data()}; }

Q8Matrix::Q8Matrix(Random& random, int outputs, int inputs)
    : outputs(outputs), inputs(inputs), quants(size_t(outputs) * inputs), scales(size_t(outputs) * inputs / 32) {
  for (int8_t& quant : quants) quant = static_cast<int8_t>(random());
  for (uint16_t& scale : scales) scale = ToHalf(RandomScale(random));
}

std::vector<int8_t> Q8Matrix::QuantsForRow() const {
  std::vector<int8_t> out(quants.size());
  InParallel(outputs, [&](size_t begin, size_t end) {
    for (size_t output = begin; output < end; ++output) {
      for (int piece = 0; piece < inputs / 16; ++piece) {  // halves of blocks
        const size_t to = ((output / 16 * (inputs / 16) + piece) * 16 + output % 16) * 16;
        std::memcpy(&out[to], &quants[output * inputs + piece * 16], 16);
      }
    }
  });
  return out;
}

std::vector<uint16_t> Q8Matrix::ScalesForRow() const {
  std::vector<uint16_t> out(scales.size());
  for (size_t output = 0; output < size_t(outputs); ++output) {
    for (size_t b = 0; b < size_t(blocks()); ++b) {
      out[(output / 16 * blocks() + b) * 16 + output % 16] = scales[output * blocks() + b];
    }
  }
  return out;
}

std::vector<float> Q8Matrix::ScalesForRows() const {
  std::vector<float> out(scales.size());
  for (size_t output = 0; output < size_t(outputs); ++output) {
    for (size_t b = 0; b < size_t(blocks()); ++b) out[b * outputs + output] = FromHalf(scales[output * blocks() + b]);
  }
  return out;
}

Q8Rows::Q8Rows(const std::vector<float>& x, int inputs)
    : rows(static_cast<int>(x.size()) / inputs), inputs(inputs), blocks(x.size() / 32) {
  scalar::QuantizeRow(x.data(), static_cast<int>(x.size()), blocks.data());
}

std::vector<int8_t> Q8Rows::Values() const {
  std::vector<int8_t> out(blocks.size() * 32);
  for (size_t i = 0; i < blocks.size(); ++i) std::memcpy(&out[i * 32], blocks[i].values, 32);
  return out;
}

std::vector<float> Q8Rows::Scales() const {
  std::vector<float> out(blocks.size());
  const size_t in_row = inputs / 32;
  for (size_t i = 0; i < blocks.size(); ++i) out[i % in_row * rows + i / in_row] = blocks[i].scale;
  return out;
}

std::vector<float> Multiply(const PanelView& weights, int panels, const QuantizedBlock* x, int rows) {
  std::vector<float> out(size_t(rows) * panels * kPanelOutputs);
  InParallel(panels, [&](size_t begin, size_t end) {
    if (begin == end) return;
    scalar::MultiplyQuantized(weights, static_cast<int>(begin), static_cast<int>(end), x, rows, out.data(),
                              size_t(panels) * kPanelOutputs, {});
  });
  return out;
}

std::vector<float> Multiply(const Q8Matrix& weights, const Q8Rows& x, int first, int rows) {
  const size_t blocks = weights.blocks();
  const size_t quants = (blocks * PanelScalesBytes(PanelForm::kBytes) + 63) / 64 * 64;
  const size_t panel_bytes = quants + blocks * PanelQuantsBytes(PanelForm::kBytes);
  std::vector<uint8_t> panels(weights.outputs / kPanelOutputs * panel_bytes);
  for (size_t output = 0; output < size_t(weights.outputs); ++output) {
    uint8_t* panel = &panels[output / kPanelOutputs * panel_bytes];
    const size_t lane = output % kPanelOutputs;
    for (size_t b = 0; b < blocks; ++b) {
      std::memcpy(panel + (b * kPanelOutputs + lane) * 2, &weights.scales[output * blocks + b], 2);
      for (size_t g = 0; g < 8; ++g) {
        std::memcpy(panel + quants + ((b * 8 + g) * kPanelOutputs + lane) * 4,
                    &weights.quants[output * weights.inputs + b * 32 + g * 4], 4);
      }
    }
  }
  return Multiply({PanelForm::kBytes, weights.inputs, panel_bytes, quants, panels.data()},
                  weights.outputs / kPanelOutputs, &x.blocks[first * blocks], rows);
}

std::vector<float> Attend(const float* query, int head_dim, const std::vector<ReferencePage>& pages) {
  constexpr int kRows = kPageRows;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  std::vector<float> scaled(head_dim), values(head_dim, 0.0f);
  for (int i = 0; i < head_dim; ++i) scaled[i] = query[i] * scale;
  SoftmaxState state{-std::numeric_limits<float>::infinity(), 0};
  std::vector<uint16_t> keys(head_dim * kRows);  // [dim][rows], as CpuPages has them
  for (const ReferencePage& page : pages) {
    if (page.begin >= page.end) continue;
    for (int row = 0; row < kRows; ++row) {
      for (int i = 0; i < head_dim; ++i) keys[i * kRows + row] = page.keys[row * head_dim + i];
    }
    float scores[kRows] = {}, weights[kRows];
    scalar::Accumulate(KvType::kF16, 1, scaled.data(), head_dim, keys.data(), kRows, 0, head_dim, 0, kRows / 8, nullptr,
                       scores, kRows);
    scalar::SoftmaxPage(scores, page.begin, page.end, &state, weights, values.data(), head_dim);
    scalar::Accumulate(KvType::kF16, 1, weights, kRows, page.values, head_dim, page.begin, page.end, 0, head_dim / 8,
                       nullptr, values.data(), head_dim);
  }
  const float inverse = 1.0f / state.sum;
  for (float& value : values) value *= inverse;
  return values;
}

RopeTables::RopeTables(const std::vector<uint32_t>& positions, int pairs, double base) {
  for (int i = 0; i < pairs; ++i) {
    frequencies.push_back(static_cast<float>(ExpDouble(-LogDouble(base) * i / pairs)));
  }
  for (const uint32_t position : positions) {
    for (const float frequency : frequencies) {
      const SinCos turn = SinCosDouble(static_cast<double>(position) * frequency);
      cos.insert(cos.end(), 2, static_cast<float>(turn.cos));
      sin.push_back(-static_cast<float>(turn.sin));
      sin.push_back(static_cast<float>(turn.sin));
    }
  }
}

void Rotate(const RopeTables& tables, std::vector<float>& x) {
  const size_t columns = 2 * tables.frequencies.size();
  for (size_t i = 0; i < x.size(); i += columns) {
    scalar::Rope(&tables.cos[i], &tables.sin[i], static_cast<int>(columns), &x[i]);
  }
}

}  // namespace kedge::probe
