// What the device must give, by the project's own scalar kernels, and random inputs for both. No CUDA here.
#ifndef KEDGE_TESTS_GPU_HOST_REFERENCE_H_
#define KEDGE_TESTS_GPU_HOST_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "common/kernels/cpu/panels.h"

namespace kedge::probe {

using Random = std::mt19937;

// Standard normal numbers times `scale`.
std::vector<float> RandomFloats(Random& random, size_t size, float scale);

// body(begin, end) for parts of [0, count), on all threads of the machine.
void InParallel(size_t count, const std::function<void(size_t, size_t)>& body);

// Panels with random quants, all that the form can hold, and random scales and minima.
struct RandomPanels {
  RandomPanels(Random& random, PanelForm form, int panels, int inputs);
  PanelView view() const;

  PanelForm form;
  int panels, inputs;
  size_t quants, panel_bytes;
  std::vector<uint8_t> data;
};

// Weights in blocks of 32 as Q8_0 has them, and the orders in which kernels take them.
struct Q8Matrix {
  Q8Matrix(Random& random, int outputs, int inputs);
  int blocks() const { return inputs / 32; }
  // For MultiplyRow: [outputs / 16][blocks][half of the block][16 outputs][16 bytes], and [outputs / 16][blocks][16].
  std::vector<int8_t> QuantsForRow() const;
  std::vector<uint16_t> ScalesForRow() const;
  // For MultiplyRows: [blocks][outputs], as floats.
  std::vector<float> ScalesForRows() const;

  int outputs, inputs;
  std::vector<int8_t> quants;    // [outputs][inputs]
  std::vector<uint16_t> scales;  // [outputs][blocks], halves
};

// Rows of quantised activations.
struct Q8Rows {
  Q8Rows(const std::vector<float>& x, int inputs);
  Q8Rows(Random& random, int rows, int inputs) : Q8Rows(RandomFloats(random, size_t(rows) * inputs, 1.5f), inputs) {}
  std::vector<int8_t> Values() const;  // [rows][inputs]
  std::vector<float> Scales() const;   // [inputs / 32][rows]

  int rows, inputs;
  std::vector<QuantizedBlock> blocks;  // [rows][inputs / 32]
};

// [rows][16 * panels]: scalar::MultiplyQuantized.
std::vector<float> Multiply(const PanelView& weights, int panels, const QuantizedBlock* x, int rows);
// [rows][outputs], of rows [first, first + rows).
std::vector<float> Multiply(const Q8Matrix& weights, const Q8Rows& x, int first, int rows);

// One head of one stream over the pages that it sees, as AttentionWorker computes it. keys and values: [32][dim]
// halves.
struct ReferencePage {
  const uint16_t* keys;
  const uint16_t* values;
  int begin, end;
};
std::vector<float> Attend(const float* query, int head_dim, const std::vector<ReferencePage>& pages);

// The tables of CpuOps: cos and sin [positions][2 * pairs] for frequencies of base^(-i / pairs).
struct RopeTables {
  RopeTables(const std::vector<uint32_t>& positions, int pairs, double base);
  std::vector<float> frequencies;  // [pairs]
  std::vector<float> cos, sin;
};
// x: [positions][2 * pairs].
void Rotate(const RopeTables& tables, std::vector<float>& x);

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_HOST_REFERENCE_H_
