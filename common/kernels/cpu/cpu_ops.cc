// Splits each operation among the threads (by outputs, rows or heads, never inside a sum) and calls the kernels.
// Small operations run on the calling thread: waking the others costs more. Tested by cpu_ops_test.cc.
#include "common/kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/check.h"
#include "common/base/thread_pool.h"
#include "common/kernels/choose_token.h"
#include "common/kernels/cpu/attention.h"
#include "common/kernels/cpu/attention_mass.h"
#include "common/kernels/cpu/cpu_pages.h"
#include "common/kernels/cpu/fastest_set.h"
#include "common/kernels/cpu/panel_image.h"
#include "common/kernels/cpu/panels.h"
#include "common/kernels/dequantize.h"
#include "common/kernels/elementary.h"
#include "common/kernels/finite.h"
#include "common/kernels/host_ops.h"
#include "common/kernels/rounded_blocks.h"

namespace kedge {
namespace {

// Elementary operations below which one thread is faster than several.
constexpr size_t kWorthThreads = 32 * 1024;

class CpuActivations final : public Activations {
 public:
  // Rows start at multiples of 16 columns: the last panel of a product writes whole vectors.
  CpuActivations(int rows, int columns)
      : columns(columns), stride((size_t(columns) + kPanelOutputs - 1) / kPanelOutputs * kPanelOutputs) {
    absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(rows * stride * sizeof(float));
    KEDGE_CHECK(memory.ok());  // 64-bit address space; physical memory is only taken when it is written
    memory_ = *std::move(memory);
  }
  float* row(size_t r) { return reinterpret_cast<float*>(memory_.data()) + r * stride; }
  const float* row(size_t r) const { return reinterpret_cast<const float*>(memory_.data()) + r * stride; }

  const int columns;
  const size_t stride;

 private:
  LazyMemory memory_;
};

class CpuVector final : public WeightVector {
 public:
  explicit CpuVector(absl::Span<const float> values, uint64_t id) : values(values.begin(), values.end()), id(id) {}
  const std::vector<float> values;
  const uint64_t id;  // never used again by the same Ops
};

CpuActivations& Cast(Activations& x) { return static_cast<CpuActivations&>(x); }
const CpuActivations& Cast(const Activations& x) { return static_cast<const CpuActivations&>(x); }
const CpuMatrix& Cast(const WeightMatrix& x) { return static_cast<const CpuMatrix&>(x); }
const CpuVector& Cast(const WeightVector& x) { return static_cast<const CpuVector&>(x); }
CpuPages& Cast(PageMemory& x) { return static_cast<CpuPages&>(x); }
const CpuPages& Cast(const PageMemory& x) { return static_cast<const CpuPages&>(x); }
const HostStep& Cast(const StepView& x) { return static_cast<const HostStep&>(x); }

class CpuOps final : public HostOps {
 public:
  explicit CpuOps(const CpuOptions& options)
      : pool_(options.threads),
        kernels_(KernelsFor(options.instruction_set.has_value() ? *options.instruction_set
                                                                : FastestInstructionSet(pool_))),
        image_(options.image_path.empty() ? "" : absl::StrCat(options.image_path, ".panels", PanelImage::kLayout),
               options.image_notice),
        attention_workers_(pool_.threads()) {}

  const std::string& numerics_class() const override { return numerics_class_; }
  const OpsTraits& traits() const override { return traits_; }

  std::unique_ptr<Activations> NewActivations(int max_rows, int columns) override {
    return std::make_unique<CpuActivations>(max_rows, columns);
  }

  absl::StatusOr<std::unique_ptr<WeightMatrix>> LoadMatrix(TensorType type, int outputs, int inputs,
                                                           absl::Span<const uint8_t> data) override {
    return std::make_unique<CpuMatrix>(type, outputs, inputs, data, pool_, &image_);
  }

  absl::StatusOr<std::unique_ptr<WeightVector>> LoadVector(absl::Span<const float> values) override {
    return std::make_unique<CpuVector>(values, ++last_vector_id_);
  }

  void FinishLoading() override { image_.Finish(); }

  absl::StatusOr<std::unique_ptr<PageMemory>> NewPages(const RowShape& shape, uint32_t num_pages) override {
    return CpuPages::Create(shape, num_pages);
  }

  int ColumnsOf(const Activations& x) const override { return Cast(x).columns; }

  void Embed(const WeightMatrix& table, const StepView& step, Activations& out) override {
    const CpuMatrix& matrix = Cast(table);
    const std::vector<uint32_t>& tokens = Cast(step).tokens;
    ForEachRow(Cast(step).rows(), matrix.inputs(), [&](int r) {
      DequantizeWeights(matrix.type(), matrix.FileRow(static_cast<int>(tokens[r])),
                        absl::MakeSpan(Cast(out).row(r), matrix.inputs()));
    });
  }

  void RmsNorm(int rows, const Activations& x, const WeightVector& weight, float epsilon, Activations& out) override {
    const std::vector<float>& w = Cast(weight).values;
    ForEachRow(rows, w.size(), [&](int r) {
      kernels_.rms_norm(Cast(x).row(r), w.data(), epsilon, static_cast<int>(w.size()), Cast(out).row(r));
    });
  }

  void RmsNormHeads(int rows, int heads, const WeightVector& weight, float epsilon, Activations& x) override {
    const std::vector<float>& w = Cast(weight).values;
    ForEachRow(rows, heads * w.size(), [&](int r) {
      for (int h = 0; h < heads; ++h) {
        float* head = Cast(x).row(r) + h * w.size();
        kernels_.rms_norm(head, w.data(), epsilon, static_cast<int>(w.size()), head);
      }
    });
  }

  void Multiply(int rows, const Activations& x, absl::Span<const Product> products) override {
    size_t work = 0;
    bool quantized = false;
    for (const Product& product : products) {
      const CpuMatrix& matrix = Cast(*product.weights);
      work += size_t(rows) * matrix.panels() * kPanelOutputs * matrix.inputs();
      quantized |= IsQuantized(matrix.form());
    }
    const int inputs = Cast(*products[0].weights).inputs();
    const size_t blocks = inputs / 32;
    if (quantized) {
      if (quantized_.size() < rows * blocks) quantized_.resize(rows * blocks);
      ForEachRow(rows, inputs, [&](int r) { kernels_.quantize_row(Cast(x).row(r), inputs, &quantized_[r * blocks]); });
    }
    ForEachPanel(work, rows, products, [&](const Product& product, int begin, int end, absl::Span<const uint8_t> next) {
      const CpuMatrix& matrix = Cast(*product.weights);
      CpuActivations& out = Cast(*product.out);
      if (IsQuantized(matrix.form())) {
        kernels_.multiply_quantized(matrix.view(), begin, end, quantized_.data(), rows, out.row(0), out.stride, next);
      } else {
        kernels_.multiply_float(matrix.view(), begin, end, Cast(x).row(0), Cast(x).stride, rows, out.row(0),
                                out.stride);
      }
    });
  }

  void Rope(const StepView& step, int heads, const Rotation& rotation, Activations& x) override {
    const CpuVector& frequencies = Cast(*rotation.inverse_frequencies);
    const int rope_dim = static_cast<int>(2 * frequencies.values.size());
    PrepareRopeTable(Cast(step).positions, frequencies, rotation.magnitude);
    ForEachRow(Cast(step).rows(), size_t(heads) * rope_dim, [&](int r) {
      const float* cos = &rope_.cos[size_t(r) * rope_dim];
      const float* sin = &rope_.sin[size_t(r) * rope_dim];
      for (int h = 0; h < heads; ++h) kernels_.rope(cos, sin, rope_dim, Cast(x).row(r) + h * rotation.head_dim);
    });
  }

  void WriteKv(const StepView& step, int layer, const Activations& keys, const Activations& values,
               PageMemory& pages) override {
    const StepPlan& plan = Cast(step).plan;
    const RowShape& shape = Cast(pages).shape();
    const int size = static_cast<int>(shape.kv_heads * shape.head_dim);
    const size_t head_bytes = Cast(pages).part_bytes();
    ForEachRow(static_cast<int>(plan.rows.size()), 2 * size, [&](int r) {
      thread_local std::vector<uint8_t> key, value;  // parts, [kv_heads]
      key.resize(shape.kv_heads * head_bytes);
      value.resize(shape.kv_heads * head_bytes);
      bool is_finite = true;
      for (uint32_t h = 0; h < shape.kv_heads; ++h) {
        const auto round = [&](KvPart part, const float* x, uint8_t* out) {
          kernels_.to_kv(shape.type, part, x, static_cast<int>(shape.head_dim), out);
          is_finite &= AllFinite(Cast(pages).type(), out, shape.head_dim);
        };
        round(KvPart::kKey, Cast(keys).row(r) + h * shape.head_dim, &key[h * head_bytes]);
        round(KvPart::kValue, Cast(values).row(r) + h * shape.head_dim, &value[h * head_bytes]);
      }
      if (!is_finite) {
        absl::MutexLock lock(&faults_mutex_);
        Cast(step).results->outcome.faults.push_back({.row = static_cast<uint32_t>(r),
                           .layer = layer,
                           .overflowed = AllFinite(Cast(keys).row(r), size) && AllFinite(Cast(values).row(r), size)});
      }
      const PlanRow& row = plan.rows[r];
      const PageTables& tables = plan.tables[row.tables];
      const RowRef recent{tables.recent[row.position / kPageRows - tables.first_recent_page], row.position % kPageRows};
      for (uint32_t h = 0; h < shape.kv_heads; ++h) {
        const int kv_head = static_cast<int>(h);
        Cast(pages).Store(recent, layer, kv_head, &key[h * head_bytes], &value[h * head_bytes]);
        if (row.kept_index < 0) continue;
        const RowRef kept{tables.kept[row.kept_index / kPageRows], row.kept_index % kPageRows};
        Cast(pages).Store(kept, layer, kv_head, &key[h * head_bytes], &value[h * head_bytes]);
      }
    });
  }

  void Attention(const StepView& step, int layer, int heads, const Activations& queries, const PageMemory& pages,
                 Activations& out) override {
    const StepPlan& plan = Cast(step).plan;
    const RowShape& shape = Cast(pages).shape();
    const int kv_heads = static_cast<int>(shape.kv_heads);
    const int shared = heads / kv_heads;
    const size_t group = size_t(shared) * shape.head_dim;  // columns of the query heads that share a KV head
    const std::vector<size_t> starts = AttentionTiles(plan);
    const int tiles = static_cast<int>(starts.size()) - 1;
    const auto attend = [&](AttentionWorker& worker, int unit) {
      const int kv_head = unit / tiles;  // tiles of one head follow one another: neighbours read the same pages
      const size_t begin = starts[unit % tiles];
      const absl::Span<const PlanRow> rows(&plan.rows[begin], starts[unit % tiles + 1] - begin);
      worker.Attend(kernels_, rows, plan.tables[rows[0].tables], layer, kv_head, shared,
                    Cast(queries).row(begin) + kv_head * group, Cast(pages), Cast(out).row(begin) + kv_head * group,
                    Cast(out).stride);
    };
    size_t seen = 0;
    for (const PlanRow& row : plan.rows) seen += row.kept_end + row.position + 1 - row.recent_begin;
    if (seen * heads * shape.head_dim < kWorthThreads) {
      for (int unit = 0; unit < tiles * kv_heads; ++unit) attend(attention_workers_[0], unit);
      return;
    }
    pool_.Run(tiles * kv_heads, [&](int thread, int unit) { attend(attention_workers_[thread], unit); });
  }

  void GiveMass(const StepView& step, int layer, int heads, absl::Span<const MassQuery> wanted,
                const Activations& queries, const PageMemory& pages) override {
    const StepPlan& plan = Cast(step).plan;
    const RowShape& shape = Cast(pages).shape();
    const int shared = heads / static_cast<int>(shape.kv_heads);
    size_t seen = 0;
    for (const MassQuery& query : wanted) {
      seen += plan.rows[query.row].position + 1 - plan.rows[query.row].recent_begin;
    }
    ForEachRow(static_cast<int>(wanted.size()), seen * shape.head_dim / std::max<size_t>(wanted.size(), 1), [&](int i) {
      const MassQuery& query = wanted[i];
      const PlanRow& row = plan.rows[query.row];
      kedge::GiveMass(kernels_, row, plan.tables[row.tables], layer, static_cast<int>(query.head) / shared,
               Cast(queries).row(query.row) + query.head * shape.head_dim, Cast(pages), MassEnds(plan, row),
               query.mass);
    });
  }

  void Add(int rows, const Activations& y, Activations& x) override {
    ForEachRow(rows, Cast(x).columns, [&](int r) { kernels_.add(Cast(y).row(r), Cast(x).columns, Cast(x).row(r)); });
  }

  void AddVector(int rows, const WeightVector& bias, Activations& x) override {
    const std::vector<float>& values = Cast(bias).values;
    ForEachRow(rows, values.size(),
               [&](int r) { kernels_.add(values.data(), static_cast<int>(values.size()), Cast(x).row(r)); });
  }

  void SwiGlu(int rows, const Activations& up, Activations& gate) override {
    ForEachRow(rows, size_t{4} * Cast(gate).columns,
               [&](int r) { kernels_.swiglu(Cast(up).row(r), Cast(gate).columns, Cast(gate).row(r)); });
  }

  void Gather(const StepView& step, size_t first, int rows, const Activations& x, Activations& out) override {
    for (int i = 0; i < rows; ++i) {
      std::memcpy(Cast(out).row(i), Cast(x).row(Cast(step).wanting[first + i]), sizeof(float) * Cast(x).columns);
    }
  }

  void ChooseTokens(const Activations& logits, absl::Span<TokenQuery> queries) override {
    const size_t columns = Cast(logits).columns;
    ForEachRow(static_cast<int>(queries.size()), columns, [&](int i) {
      TokenQuery& query = queries[i];
      const absl::Span<const float> row(Cast(logits).row(query.row), columns);
      query.is_finite = AllFinite(row.data(), row.size());
      query.token = ChooseToken(row, query.choice);
    });
  }

  void CopyToHost(int first, int rows, const Activations& x, absl::Span<float> out) override {
    const size_t columns = Cast(x).columns;
    KEDGE_CHECK(out.size() == rows * columns);
    for (int r = 0; r < rows; ++r) {
      std::memcpy(out.data() + r * columns, Cast(x).row(first + r), sizeof(float) * columns);
    }
  }

  void LoadRows(const PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<uint8_t> out) override {
    const RowShape& shape = Cast(pages).shape();
    ForEachPair(shape, rows.size(), [&](size_t row, int layer, int head, size_t key, size_t value) {
      if (PageType(shape.type) == shape.type) return Cast(pages).Load(rows[row], layer, head, &out[key], &out[value]);
      std::vector<uint8_t>& paged = PagedPair(Cast(pages));
      uint8_t* const paged_value = &paged[Cast(pages).part_bytes()];
      Cast(pages).Load(rows[row], layer, head, paged.data(), paged_value);
      PackPart(shape.type, KvPart::kKey, shape.head_dim, paged.data(), &out[key]);
      PackPart(shape.type, KvPart::kValue, shape.head_dim, paged_value, &out[value]);
    });
  }

  void StoreRows(PageMemory& pages, absl::Span<const RowRef> rows, absl::Span<const uint8_t> in) override {
    const RowShape& shape = Cast(pages).shape();
    ForEachPair(shape, rows.size(), [&](size_t row, int layer, int head, size_t key, size_t value) {
      if (rows[row].page == kNoPage) return;
      if (PageType(shape.type) == shape.type) return Cast(pages).Store(rows[row], layer, head, &in[key], &in[value]);
      std::vector<uint8_t>& paged = PagedPair(Cast(pages));
      uint8_t* const paged_value = &paged[Cast(pages).part_bytes()];
      UnpackPart(shape.type, KvPart::kKey, shape.head_dim, &in[key], paged.data());
      UnpackPart(shape.type, KvPart::kValue, shape.head_dim, &in[value], paged_value);
      Cast(pages).Store(rows[row], layer, head, paged.data(), paged_value);
    });
  }

  // Of one layer and KV head all rows are read before the first is written, and no other part reads those.
  void CopyRows(PageMemory& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to) override {
    const RowShape& shape = Cast(pages).shape();
    const size_t head_bytes = Cast(pages).part_bytes();
    const int kv_heads = static_cast<int>(shape.kv_heads);
    ForEachRow(static_cast<int>(shape.layers) * kv_heads, 2 * from.size() * head_bytes, [&](int part) {
      thread_local std::vector<uint8_t> held;  // parts, [rows][key, value]
      held.resize(2 * from.size() * head_bytes);
      for (size_t i = 0; i < from.size(); ++i) {
        uint8_t* const row = &held[2 * i * head_bytes];
        Cast(pages).Load(from[i], part / kv_heads, part % kv_heads, row, row + head_bytes);
      }
      for (size_t i = 0; i < to.size(); ++i) {
        const uint8_t* const row = &held[2 * i * head_bytes];
        Cast(pages).Store(to[i], part / kv_heads, part % kv_heads, row, row + head_bytes);
      }
    });
  }

 private:
  // cos and sin of the positions of a step: all layers and both queries and keys turn by the same angles.
  struct RopeTable {
    std::vector<uint32_t> positions;
    uint64_t frequencies_id = 0;
    float magnitude = 1;
    std::vector<float> cos, sin;  // [rows, rope_dim]: as the kernel takes them
  };

  void PrepareRopeTable(absl::Span<const uint32_t> positions, const CpuVector& frequencies, float magnitude) {
    if (rope_.frequencies_id == frequencies.id && rope_.magnitude == magnitude &&
        absl::MakeConstSpan(rope_.positions) == positions) {
      return;
    }
    rope_.positions.assign(positions.begin(), positions.end());
    rope_.frequencies_id = frequencies.id;
    rope_.magnitude = magnitude;
    const size_t pairs = frequencies.values.size();
    rope_.cos.resize(positions.size() * pairs * 2);
    rope_.sin.resize(positions.size() * pairs * 2);
    constexpr size_t kSinCosCost = 32;
    ForEachRow(static_cast<int>(positions.size()), pairs * kSinCosCost, [&](int r) {
      for (size_t i = 0; i < pairs; ++i) {
        const SinCos turn = SinCosDouble(static_cast<double>(positions[r]) * frequencies.values[i]);
        const size_t even = (r * pairs + i) * 2;
        rope_.cos[even] = rope_.cos[even + 1] = static_cast<float>(turn.cos * magnitude);
        rope_.sin[even + 1] = static_cast<float>(turn.sin * magnitude);
        rope_.sin[even] = -rope_.sin[even + 1];
      }
    });
  }

  // Where groups of rows begin that go through attention together, and the number of rows at the end.
  static std::vector<size_t> AttentionTiles(const StepPlan& plan) {
    std::vector<size_t> starts;
    for (size_t r = 0; r < plan.rows.size(); ++r) {
      if (starts.empty() || r - starts.back() == kAttentionRows ||
          plan.rows[r].tables != plan.rows[starts.back()].tables) {
        starts.push_back(r);
      }
    }
    starts.push_back(plan.rows.size());
    return starts;
  }

  // body(r) for each row.
  template <typename Body>
  void ForEachRow(int rows, size_t work_per_row, Body body) {
    const auto range = [&](int begin, int end) {
      for (int r = begin; r < end; ++r) body(r);
    };
    if (rows * work_per_row < kWorthThreads) return range(0, rows);
    pool_.ParallelFor(rows, 1, range);
  }

  // body(product, first panel, end, what is probably read next): the panels of all products, one product after another,
  // are split among the threads.
  void ForEachPanel(size_t work, int rows, absl::Span<const Product> products,
                    absl::FunctionRef<void(const Product&, int, int, absl::Span<const uint8_t>)> body) {
    const auto range = [&](int begin, int end, absl::Span<const uint8_t> next) {
      int first = 0;  // panel of the product at hand
      for (const Product& product : products) {
        const int from = std::max(begin, first) - first;
        const int to = std::min(end - first, Cast(*product.weights).panels());
        if (from < to) body(product, from, to, next);
        first += PaddedPanels(product);
      }
    };
    int panels = 0;
    for (const Product& product : products) panels += PaddedPanels(product);
    if (work < kWorthThreads) return range(0, panels, {});
    // With many rows a thread multiplies two panels for longer than it takes to fetch the next; with few, long ranges
    // are what memory reads best.
    const int pairs = panels / kPanelsAtOnce;
    const int at_once = rows >= kManyRows ? kPanelsAtOnce : kPanelsAtOnce * std::max(1, pairs / (4 * pool_.threads()));
    pool_.Run((panels + at_once - 1) / at_once, [&](int, int item) {
      const int begin = item * at_once;
      range(begin, std::min(begin + at_once, panels), Panels(products, begin + pool_.threads() * at_once));
    });
  }

  // The memory of kPanelsAtOnce panels from `begin` on, a multiple of these, counted through all products; empty behind
  // the last.
  static absl::Span<const uint8_t> Panels(absl::Span<const Product> products, int begin) {
    for (const Product& product : products) {
      const CpuMatrix& matrix = Cast(*product.weights);
      if (begin < matrix.panels()) {
        const PanelView view = matrix.view();
        return {view.data + begin * view.panel_bytes,
                std::min(kPanelsAtOnce, matrix.panels() - begin) * view.panel_bytes};
      }
      begin -= PaddedPanels(product);
    }
    return {};
  }

  // The kernels take two panels at a time, so no range of them begins at an odd one.
  static constexpr int kPanelsAtOnce = 2;
  static constexpr int kManyRows = 7;  // more than kernels multiply with packed weights
  static int PaddedPanels(const Product& product) {
    return (Cast(*product.weights).panels() + kPanelsAtOnce - 1) / kPanelsAtOnce * kPanelsAtOnce;
  }

  // body(row, layer, kv head, offset of the key in a frame, offset of the value) for rows x layers x KV heads.
  template <typename Body>
  void ForEachPair(const RowShape& shape, size_t rows, Body body) {
    const int kv_heads = static_cast<int>(shape.kv_heads);
    ForEachRow(static_cast<int>(shape.layers) * kv_heads, rows * shape.pair_bytes(), [&](int head) {
      for (size_t row = 0; row < rows; ++row) {
        body(row, head / kv_heads, head % kv_heads, shape.FrameOffset(rows, head, KvPart::kKey, row),
             shape.FrameOffset(rows, head, KvPart::kValue, row));
      }
    });
  }

  // A key and a value as pages have them.
  static std::vector<uint8_t>& PagedPair(const CpuPages& pages) {
    thread_local std::vector<uint8_t> pair;
    pair.resize(2 * pages.part_bytes());
    return pair;
  }

  const std::string numerics_class_ = "cpu-1";
  const OpsTraits traits_ = {
      .roles_agree = true, .max_rows = 256, .logit_rows = 32, .step_target = absl::Milliseconds(150)};
  ThreadPool pool_;
  const CpuKernels& kernels_;
  PanelImage image_;
  std::vector<AttentionWorker> attention_workers_;  // one per thread
  std::vector<QuantizedBlock> quantized_;           // [rows][inputs / 32] of the present product
  RopeTable rope_;
  absl::Mutex faults_mutex_;  // of the step under way: rows are written by several threads
  uint64_t last_vector_id_ = 0;
};

}  // namespace

std::unique_ptr<HostOps> CreateCpuOps(const CpuOptions& options) { return std::make_unique<CpuOps>(options); }

}  // namespace kedge
