// `kedge bench kernels`: each kernel of the cpu backend beside what this machine reaches in plain loops, in the same
// run. Google Benchmark measures and prints; a name says kernel, types and shapes, in the default model's sizes.
//
// Weights and pages are so many that no cache holds them all, as in a model: each call takes the next matrix or layer.
// Columns: GB/s of what a call must read and its share of the plain read rate, Gop/s (two operations for each
// multiply-add) and their share of the plain multiply loop: of int8 for matrices of quantised types, else of floats.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/limits.h"
#include "bench/random_data.h"
#include "common/base/check.h"
#include "common/base/machine_limits.h"
#include "common/kernels/create_ops.h"
#include "common/kernels/host_ops.h"

namespace kedge {
namespace {

constexpr int kLayers = 30, kHidden = 576, kFfn = 1536, kHeads = 9, kKvHeads = 3, kHeadDim = 64, kVocabulary = 49152;

// Matrices of one type and shape.
struct Matrices {
  std::string name;
  std::vector<std::vector<uint8_t>> data;  // the matrices may refer to it
  std::vector<std::unique_ptr<WeightMatrix>> loaded;
};

struct Context {
  HostOps* ops;
  Limits limits;
  size_t weight_bytes;  // of all matrices of one shape together
  Matrices matrices;    // the last ones: Google Benchmark calls a benchmark several times
};

// Calls `call` as often as Google Benchmark wants, `prepare` before each, and times the calls alone. Returns the mean.
double Run(benchmark::State& state, absl::FunctionRef<void()> prepare, absl::FunctionRef<void()> call) {
  double sum = 0;
  for (auto _ : state) {
    prepare();
    const auto start = std::chrono::steady_clock::now();
    call();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state.SetIterationTime(seconds);
    sum += seconds;
  }
  return sum / static_cast<double>(state.iterations());
}
void NothingToPrepare() {}

// What a call moves and multiplies, as columns.
void SetCounters(benchmark::State& state, double seconds, double bytes, double read_limit, double products = 0,
                 double product_limit = 1) {
  state.counters["GB/s"] = 1e-9 * bytes / seconds;
  state.counters["read_%"] = 100 * bytes / seconds / read_limit;
  if (products == 0) return;
  state.counters["Gop/s"] = 2e-9 * products / seconds;
  state.counters["multiply_%"] = 100 * products / seconds / product_limit;
}

// Activations of random floats. The table is what the backend makes activations from.
std::unique_ptr<Activations> RandomActivations(HostOps* ops, int rows, int columns) {
  const std::vector<uint8_t> data = RandomWeights(TensorType::kF32, size_t{1} * rows * columns);
  const std::unique_ptr<WeightMatrix> table = *ops->LoadMatrix(TensorType::kF32, rows, columns, data);
  std::unique_ptr<Activations> x = ops->NewActivations(rows, columns);
  StepPlan plan;
  for (int r = 0; r < rows; ++r) plan.rows.push_back({.token = static_cast<uint32_t>(r)});
  ops->Embed(*table, *ops->Begin(plan), *x);
  return x;
}

const Matrices& LoadMatrices(Context& context, TensorType type, int outputs, int inputs) {
  Matrices& matrices = context.matrices;
  const std::string name = absl::StrCat(TensorTypeName(type), "/", outputs, "/", inputs);
  if (matrices.name == name) return matrices;
  matrices.loaded.clear();
  matrices = Matrices{.name = name};
  const std::vector<uint8_t> data = RandomWeights(type, size_t{1} * outputs * inputs);
  const size_t count = std::max<size_t>(1, context.weight_bytes / data.size());
  for (size_t i = 0; i < count; ++i) {
    matrices.data.push_back(data);
    matrices.loaded.push_back(*context.ops->LoadMatrix(type, outputs, inputs, matrices.data.back()));
  }
  return matrices;
}

void MatMul(benchmark::State& state, Context& context, TensorType type, int outputs, int inputs, int rows) {
  const Matrices& matrices = LoadMatrices(context, type, outputs, inputs);
  const std::unique_ptr<Activations> x = RandomActivations(context.ops, rows, inputs);
  const std::unique_ptr<Activations> out = context.ops->NewActivations(rows, outputs);
  size_t next = 0;
  const double seconds = Run(state, NothingToPrepare, [&] {
    context.ops->MatMul(rows, *x, *matrices.loaded[next], *out);
    next = (next + 1) % matrices.loaded.size();
  });
  const Limits& limits = context.limits;
  SetCounters(state, seconds, static_cast<double>(matrices.data[0].size()), limits.read_bytes,
              double(rows) * outputs * inputs, BlockSize(type) > 1 ? limits.int8_products : limits.float_products);
}

// `streams` requests of `rows` rows each behind `before` rows, under full attention.
void Attention(benchmark::State& state, Context& context, KvType type, uint32_t streams, uint32_t rows,
               uint32_t before) {
  const RowShape shape{.layers = kLayers, .kv_heads = kKvHeads, .head_dim = kHeadDim, .type = type};
  const uint32_t pages_each = (before + rows + kPageRows - 1) / kPageRows;
  auto pages = context.ops->NewPages(shape, streams * pages_each);
  KEDGE_CHECK(pages.ok());
  StepPlan plan;
  double visible = 0;  // by all rows together
  // As numbers of 8 bits, and scales of these, they do as well.
  const std::vector<uint8_t> page_bytes = RandomHalves(kPageRows * shape.row_bytes() / 2);
  for (uint32_t stream = 0; stream < streams; ++stream) {
    PageTables tables;
    for (uint32_t i = 0; i < pages_each; ++i) {
      const PageId page = stream * pages_each + i;
      tables.recent.push_back(page);
      std::vector<RowRef> refs;  // every page is written: those that never were share one page of zeros
      for (uint32_t row = 0; row < kPageRows; ++row) refs.push_back({.page = page, .index = row});
      context.ops->StoreRows(**pages, refs, page_bytes);
    }
    plan.tables.push_back(std::move(tables));
    for (uint32_t i = 0; i < rows; ++i) {
      plan.rows.push_back({.position = before + i, .tables = stream});
      visible += before + i + 1;
    }
  }
  const int all_rows = static_cast<int>(plan.rows.size());
  const std::unique_ptr<Activations> queries = RandomActivations(context.ops, all_rows, kHeads * kHeadDim);
  const std::unique_ptr<Activations> out = context.ops->NewActivations(all_rows, kHeads * kHeadDim);
  int layer = 0;
  const std::unique_ptr<StepView> step = context.ops->Begin(plan);
  const double seconds = Run(state, NothingToPrepare, [&] {
    context.ops->Attention(*step, layer, kHeads, *queries, **pages, *out);
    layer = (layer + 1) % kLayers;
  });
  // Rows of a request can share what they read, requests cannot. Each visible row is multiplied with a query, and its
  // values are added up, for each head.
  const double bytes = double(streams) * (before + rows) * shape.page_row_bytes() / kLayers;
  SetCounters(state, seconds, bytes, context.limits.read_bytes, 2.0 * visible * kHeads * kHeadDim,
              context.limits.float_products);
}

void RmsNorm(benchmark::State& state, Context& context, int rows) {
  const std::unique_ptr<Activations> x = RandomActivations(context.ops, rows, kHidden);
  const std::unique_ptr<Activations> out = context.ops->NewActivations(rows, kHidden);
  const std::unique_ptr<WeightVector> weight = *context.ops->LoadVector(RandomFloats(kHidden));
  const double seconds = Run(state, NothingToPrepare, [&] { context.ops->RmsNorm(rows, *x, *weight, 1e-5f, *out); });
  SetCounters(state, seconds, 4.0 * rows * kHidden, context.limits.read_bytes);
}

void SwiGlu(benchmark::State& state, Context& context, int rows) {
  const std::unique_ptr<Activations> up = RandomActivations(context.ops, rows, kFfn);
  const std::unique_ptr<Activations> source = RandomActivations(context.ops, rows, kFfn);
  const std::unique_ptr<Activations> gate = context.ops->NewActivations(rows, kFfn);
  StepPlan all;
  for (int r = 0; r < rows; ++r) all.rows.push_back({.wants_logits = true});
  const std::unique_ptr<StepView> step = context.ops->Begin(all);
  // It works in place: again and again it would come to zeros.
  const double seconds = Run(
      state, [&] { context.ops->Gather(*step, 0, rows, *source, *gate); },
      [&] { context.ops->SwiGlu(rows, *up, *gate); });
  SetCounters(state, seconds, 2 * 4.0 * rows * kFfn, context.limits.read_bytes);
}

void Rope(benchmark::State& state, Context& context, int rows) {
  const std::unique_ptr<Activations> x = RandomActivations(context.ops, rows, kHeads * kHeadDim);
  const std::unique_ptr<WeightVector> frequencies = *context.ops->LoadVector(RandomFloats(kHeadDim / 2));
  const Ops::Rotation rotation{.head_dim = kHeadDim, .inverse_frequencies = frequencies.get(), .magnitude = 1};
  StepPlan plan;
  for (int r = 0; r < rows; ++r) plan.rows.push_back({.position = 1000 + static_cast<uint32_t>(r)});
  const std::unique_ptr<StepView> step = context.ops->Begin(plan);
  const double seconds = Run(state, NothingToPrepare, [&] { context.ops->Rope(*step, kHeads, rotation, *x); });
  SetCounters(state, seconds, 4.0 * rows * kHeads * kHeadDim, context.limits.read_bytes);
}

void Register(Context& context) {
  const auto add = [](const std::string& name, auto function) {
    benchmark::RegisterBenchmark(name.c_str(), function)->UseManualTime()->Unit(benchmark::kMicrosecond);
  };
  for (TensorType type :
       {TensorType::kQ4_1, TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kBF16, TensorType::kF32}) {
    for (const auto& [outputs, inputs] :
         {std::pair{kHidden, kHidden}, {kFfn, kHidden}, {kHidden, kFfn}, {kVocabulary, kHidden}}) {
      for (int rows : {1, 8, 32, 256}) {
        if (rows == 256 && outputs == kVocabulary) continue;  // only rows that sample see the output head
        add(absl::StrCat("MatMul/", TensorTypeName(type), "/", outputs, "x", inputs, "/rows:", rows),
            [=, &context, outputs = outputs, inputs = inputs](benchmark::State& state) {
              MatMul(state, context, type, outputs, inputs, rows);
            });
      }
    }
  }
  for (KvType type : {KvType::kF16, KvType::kBF16, KvType::kQ8}) {
    struct Shape {
      uint32_t streams, rows, before;
    };
    for (const Shape& shape :
         {Shape{1, 1, 512}, {1, 1, 2048}, {1, 1, 8064}, {32, 1, 512}, {1, 256, 0}, {1, 256, 1792}, {1, 256, 7808}}) {
      add(absl::StrCat("Attention/", KvTypeName(type), "/streams:", shape.streams, "/rows:", shape.rows,
                       "/before:", shape.before),
          [=, &context](benchmark::State& state) {
            Attention(state, context, type, shape.streams, shape.rows, shape.before);
          });
    }
  }
  for (int rows : {1, 256}) {
    add(absl::StrCat("RmsNorm/rows:", rows), [=, &context](benchmark::State& state) { RmsNorm(state, context, rows); });
    add(absl::StrCat("SwiGlu/rows:", rows), [=, &context](benchmark::State& state) { SwiGlu(state, context, rows); });
    add(absl::StrCat("Rope/rows:", rows), [=, &context](benchmark::State& state) { Rope(state, context, rows); });
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Each kernel beside what this machine reaches in plain loops.", "kedge bench kernels");
  std::string filter = ".", format = "text";
  double seconds = 0.2;
  int threads = UsableMachine().cores;
  int megabytes = 100;
  std::string backend = "cpu";
  app.add_option("--filter", filter, "Regular expression of names: MatMul/Q8_0, Attention")
      ->type_name("EXPRESSION")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "Least time of each kernel")
      ->check(CLI::PositiveNumber.description(""))
      ->type_name("S")
      ->capture_default_str();
  app.add_option("--threads", threads, "Threads that compute (default: one per core)")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N");
  app.add_option("--backend", backend,
                 "What computes: cpu, with the best instructions that the machine has, or with others")
      ->check(CLI::IsMember(HostBackends()))
      ->capture_default_str();
  app.add_option("--weights", megabytes,
                 "MB of weights of each shape, and of the buffer of the plain read; the default model has 98")
      ->check(CLI::Range(1, 1 << 16).description(""))
      ->type_name("MB")
      ->capture_default_str();
  app.add_option("--format", format, "text or json, both as Google Benchmark prints them")
      ->check(CLI::IsMember({"text", "json"}).description(""))
      ->type_name("text|json")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  auto ops = CreateHostOps({.backend = backend, .threads = threads});
  KEDGE_CHECK(ops.ok());
  Context context{.ops = ops->get(),
                  .limits = MeasureLimits(threads, size_t{1000000} * megabytes),
                  .weight_bytes = size_t{1000000} * megabytes};
  const Limits& limits = context.limits;
  benchmark::AddCustomContext("numerics class", (*ops)->numerics_class());
  benchmark::AddCustomContext("threads", absl::StrCat(threads));
  benchmark::AddCustomContext("plain read", absl::StrFormat("%.1f GB/s", limits.read_bytes * 1e-9));
  benchmark::AddCustomContext("plain int8 multiply",
                              absl::StrFormat("%.0f Gop/s (%s)", limits.int8_products * 2e-9, limits.int8_instruction));
  benchmark::AddCustomContext("plain float multiply", absl::StrFormat("%.0f Gop/s (%s)", limits.float_products * 2e-9,
                                                                      limits.float_instruction));
  Register(context);
  std::vector<std::string> arguments = {
      argv[0], absl::StrCat("--benchmark_filter=", filter), absl::StrCat("--benchmark_min_time=", seconds),
      absl::StrCat("--benchmark_format=", format == "json" ? "json" : "console"), "--benchmark_counters_tabular=true"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  const size_t matched = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return matched > 0 ? 0 : 1;
}

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) { return kedge::Main(argc, argv); }
