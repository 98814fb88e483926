// Each operation is its formula in ops.h, written down. Tested by reference_ops_test.cc, and against `cpu` by
// common/kernels/cpu/cpu_ops_test.cc.
#include "common/kernels/reference/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/kernels/choose_token.h"
#include "common/kernels/dequantize.h"
#include "common/kernels/host_ops.h"
#include "common/kernels/reference/reference_attention.h"

namespace kedge {
namespace {

class ReferenceActivations final : public Activations {
 public:
  ReferenceActivations(int rows, int columns) : columns(columns), values(size_t(rows) * columns) {}
  float* row(size_t r) { return values.data() + r * columns; }
  const float* row(size_t r) const { return values.data() + r * columns; }

  const int columns;
  std::vector<float> values;
};

class ReferenceMatrix final : public WeightMatrix {
 public:
  int outputs = 0;
  int inputs = 0;
  std::vector<float> values;  // [outputs, inputs]
};

class ReferenceVector final : public WeightVector {
 public:
  std::vector<float> values;
};

ReferenceActivations& Cast(Activations& x) { return static_cast<ReferenceActivations&>(x); }
const ReferenceActivations& Cast(const Activations& x) { return static_cast<const ReferenceActivations&>(x); }
const ReferenceMatrix& Cast(const WeightMatrix& x) { return static_cast<const ReferenceMatrix&>(x); }
const ReferenceVector& Cast(const WeightVector& x) { return static_cast<const ReferenceVector&>(x); }
ReferencePages& Cast(PageMemory& x) { return static_cast<ReferencePages&>(x); }
const ReferencePages& Cast(const PageMemory& x) { return static_cast<const ReferencePages&>(x); }
const HostStep& Cast(const StepView& x) { return static_cast<const HostStep&>(x); }

class ReferenceOps final : public HostOps {
 public:
  const std::string& numerics_class() const override { return numerics_class_; }
  const OpsTraits& traits() const override { return traits_; }

  std::unique_ptr<Activations> NewActivations(int max_rows, int columns) override {
    return std::make_unique<ReferenceActivations>(max_rows, columns);
  }

  absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadMatrix(TensorType type, int outputs, int inputs,
                                                           absl::Span<const uint8_t> data) override {
    auto matrix = std::make_unique<ReferenceMatrix>();
    matrix->outputs = outputs;
    matrix->inputs = inputs;
    matrix->values.resize(size_t(outputs) * inputs);
    DequantizeWeights(type, data, absl::MakeSpan(matrix->values));
    return matrix;
  }

  absl::StatusOr<std::unique_ptr<WeightVector>> LoadVector(absl::Span<const float> values) override {
    auto vector = std::make_unique<ReferenceVector>();
    vector->values.assign(values.begin(), values.end());
    return vector;
  }

  absl::StatusOr<std::unique_ptr<PageMemory>> NewPages(const RowShape& shape, uint32_t num_pages) override {
    return ReferencePages::Create(shape, num_pages);
  }

  int ColumnsOf(const Activations& x) const override { return Cast(x).columns; }

  void Embed(const WeightMatrix& table, const StepView& step, Activations& out) override {
    const ReferenceMatrix& matrix = Cast(table);
    for (int r = 0; r < Cast(step).rows(); ++r) {
      const size_t token = Cast(step).tokens[r];
      std::memcpy(Cast(out).row(r), &matrix.values[token * matrix.inputs], sizeof(float) * matrix.inputs);
    }
  }

  void RmsNorm(int rows, const Activations& x, const WeightVector& weight, float epsilon, Activations& out) override {
    for (int r = 0; r < rows; ++r) NormRow(Cast(x).row(r), Cast(weight).values, epsilon, Cast(out).row(r));
  }

  void RmsNormHeads(int rows, int heads, const WeightVector& weight, float epsilon, Activations& x) override {
    for (int r = 0; r < rows; ++r) {
      for (int h = 0; h < heads; ++h) {
        float* const head = Cast(x).row(r) + h * Cast(weight).values.size();
        NormRow(head, Cast(weight).values, epsilon, head);
      }
    }
  }

  void Multiply(int rows, const Activations& x, absl::Span<const Product> products) override {
    for (const Product& product : products) {
      const ReferenceMatrix& w = Cast(*product.weights);
      for (int r = 0; r < rows; ++r) {
        const float* in = Cast(x).row(r);
        for (int o = 0; o < w.outputs; ++o) {
          const float* row = &w.values[size_t(o) * w.inputs];
          double sum = 0;
          for (int i = 0; i < w.inputs; ++i) sum += double{row[i]} * in[i];
          Cast(*product.out).row(r)[o] = static_cast<float>(sum);
        }
      }
    }
  }

  void Rope(const StepView& step, int heads, const Rotation& rotation, Activations& x) override {
    const std::vector<float>& frequencies = Cast(*rotation.inverse_frequencies).values;
    for (int r = 0; r < Cast(step).rows(); ++r) {
      for (int head = 0; head < heads; ++head) {
        float* values = Cast(x).row(r) + head * rotation.head_dim;
        for (size_t i = 0; i < frequencies.size(); ++i) {
          const double angle = double(Cast(step).positions[r]) * frequencies[i];
          const double a = values[2 * i];
          const double b = values[2 * i + 1];
          values[2 * i] = static_cast<float>(rotation.magnitude * (a * std::cos(angle) - b * std::sin(angle)));
          values[2 * i + 1] = static_cast<float>(rotation.magnitude * (a * std::sin(angle) + b * std::cos(angle)));
        }
      }
    }
  }

  void WriteKv(const StepView& step, int layer, const Activations& keys, const Activations& values,
               PageMemory& pages) override {
    const StepPlan& plan = Cast(step).plan;
    for (size_t r = 0; r < plan.rows.size(); ++r) {
      const PlanRow& row = plan.rows[r];
      const PageTables& tables = plan.tables[row.tables];
      const RowRef recent{tables.recent[row.position / kPageRows - tables.first_recent_page], row.position % kPageRows};
      StoreRow(recent, layer, Cast(keys).row(r), Cast(values).row(r), Cast(pages));
      NoteFault(Cast(step), static_cast<uint32_t>(r), recent, layer, Cast(keys).row(r), Cast(values).row(r), Cast(pages));
      if (row.kept_index < 0) continue;
      const RowRef kept{tables.kept[row.kept_index / kPageRows], row.kept_index % kPageRows};
      StoreRow(kept, layer, Cast(keys).row(r), Cast(values).row(r), Cast(pages));
    }
  }

  void Attention(const StepView& step, int layer, int heads, const Activations& queries, const PageMemory& pages,
                 Activations& out) override {
    ReferenceAttention(Cast(step).plan, layer, heads, Cast(queries).row(0), Cast(pages), Cast(out).row(0));
  }

  void GiveMass(const StepView& step, int layer, int heads, absl::Span<const MassQuery> wanted,
                const Activations& queries, const PageMemory& pages) override {
    ReferenceMass(Cast(step).plan, layer, heads, wanted, Cast(queries).row(0), Cast(pages));
  }

  void Add(int rows, const Activations& y, Activations& x) override {
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < Cast(x).columns; ++i) Cast(x).row(r)[i] += Cast(y).row(r)[i];
    }
  }

  void AddVector(int rows, const WeightVector& bias, Activations& x) override {
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < Cast(x).columns; ++i) Cast(x).row(r)[i] += Cast(bias).values[i];
    }
  }

  void SwiGlu(int rows, const Activations& up, Activations& gate) override {
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < Cast(gate).columns; ++i) {
        const double g = Cast(gate).row(r)[i];
        Cast(gate).row(r)[i] = static_cast<float>(g / (1 + std::exp(-g)) * Cast(up).row(r)[i]);
      }
    }
  }

  void Gather(const StepView& step, size_t first, int rows, const Activations& x, Activations& out) override {
    for (int i = 0; i < rows; ++i) {
      std::memcpy(Cast(out).row(i), Cast(x).row(Cast(step).wanting[first + i]), sizeof(float) * Cast(x).columns);
    }
  }

  void ChooseTokens(const Activations& logits, absl::Span<TokenQuery> queries) override {
    for (TokenQuery& query : queries) {
      const absl::Span<const float> row(Cast(logits).row(query.row), Cast(logits).columns);
      query.is_finite = std::all_of(row.begin(), row.end(), [](float logit) { return std::isfinite(logit); });
      query.token = ChooseToken(row, query.choice);
    }
  }

  void CopyToHost(int first, int rows, const Activations& x, absl::Span<float> out) override {
    KEDGE_CHECK(out.size() == size_t(rows) * Cast(x).columns);
    std::memcpy(out.data(), Cast(x).row(first), sizeof(float) * out.size());
  }

  void LoadRows(const PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<uint8_t> out) override {
    ForEachPart(Cast(pages).shape(), rows, [&](size_t row, size_t in_row, size_t in_frame, size_t bytes) {
      std::memcpy(out.data() + in_frame, Cast(pages).Row(rows[row]) + in_row, bytes);
    });
  }

  void StoreRows(PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<const uint8_t> in) override {
    ForEachPart(Cast(pages).shape(), rows, [&](size_t row, size_t in_row, size_t in_frame, size_t bytes) {
      if (rows[row].page == kNoPage) return;
      std::memcpy(Cast(pages).Row(rows[row]) + in_row, in.data() + in_frame, bytes);
    });
  }

  void CopyRows(PageMemory& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to) override {
    std::vector<uint8_t> rows(from.size() * Cast(pages).shape().row_bytes());
    LoadRows(pages, from, absl::MakeSpan(rows));
    StoreRows(pages, to, rows);
  }

 private:
  static void NormRow(const float* x, const std::vector<float>& weight, float epsilon, float* out) {
    double squares = 0;
    for (size_t i = 0; i < weight.size(); ++i) squares += double{x[i]} * x[i];
    const double scale = 1 / std::sqrt(squares / weight.size() + epsilon);
    for (size_t i = 0; i < weight.size(); ++i) out[i] = static_cast<float>(x[i] * scale * weight[i]);
  }

  // Calls copy(row, offset in the row, offset in the frame, bytes) for each key and value vector. A frame is
  // [layer][kv head][key, value][row], a row the same without [row].
  template <typename Copy>
  static void ForEachPart(const RowShape& shape, absl::Span<const RowRef> rows, Copy copy) {
    for (size_t head = 0; head < size_t{shape.layers} * shape.kv_heads; ++head) {
      for (const KvPart part : kKvParts) {
        for (size_t row = 0; row < rows.size(); ++row) {
          copy(row, shape.FrameOffset(1, head, part, 0), shape.FrameOffset(rows.size(), head, part, row),
               shape.part_bytes(part));
        }
      }
    }
  }

  static void StoreRow(RowRef row, int layer, const float* keys, const float* values, ReferencePages& pages) {
    const uint32_t head_dim = pages.shape().head_dim;
    for (uint32_t head = 0; head < pages.shape().kv_heads; ++head) {
      pages.StorePart(row, layer, static_cast<int>(head), KvPart::kKey, keys + head * head_dim);
      pages.StorePart(row, layer, static_cast<int>(head), KvPart::kValue, values + head * head_dim);
    }
  }

  // Looks at what was stored.
  void NoteFault(const HostStep& step, uint32_t row, RowRef stored, int layer, const float* keys, const float* values,
                 const ReferencePages& pages) {
    const RowShape& shape = pages.shape();
    bool is_finite = true, was_finite = true;
    for (uint32_t head = 0; head < shape.kv_heads; ++head) {
      for (const KvPart part : kKvParts) {
        const std::vector<float> numbers = pages.LoadPart(stored, layer, static_cast<int>(head), part);
        for (uint32_t d = 0; d < shape.head_dim; ++d) {
          is_finite &= std::isfinite(numbers[d]);
          was_finite &= std::isfinite((part == KvPart::kKey ? keys : values)[head * shape.head_dim + d]);
        }
      }
    }
    if (!is_finite) step.results->outcome.faults.push_back({.row = row, .layer = layer, .overflowed = was_finite});
  }

  const std::string numerics_class_ = "reference-1";
  const OpsTraits traits_ = {
      .roles_agree = true, .max_rows = 256, .logit_rows = 32, .step_target = absl::Milliseconds(150)};
};

}  // namespace

std::unique_ptr<HostOps> CreateReferenceOps() { return std::make_unique<ReferenceOps>(); }

}  // namespace kedge
