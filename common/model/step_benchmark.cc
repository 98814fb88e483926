// Steps of a real model on the cpu backend, run by hand:
//   KEDGE_MODEL=/path/to/model.gguf bazel run -c opt //common/model:step_benchmark
// The file comes by environment because Google Benchmark's main takes the flags; without it nothing is measured.
// BM_Prompt/rows/before: a step of `rows` prompt rows after `before` rows of the same request, logits for the last one,
// full attention. BM_Generate/requests/before: one row of each of so many requests, all with logits.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "common/base/check.h"
#include "common/kernels/create_ops.h"
#include "common/model/gguf.h"
#include "common/model/transformer.h"

namespace kedge {
namespace {

constexpr uint32_t kMaxRows = 256;
constexpr uint32_t kMaxPages = 4096;

// Loaded once for all benchmarks; null without KEDGE_MODEL.
StepDevice* Device() {
  static const std::unique_ptr<StepDevice> device = []() -> std::unique_ptr<StepDevice> {
    const char* path = std::getenv("KEDGE_MODEL");
    if (path == nullptr) return nullptr;
    auto file = GgufFile::Open(path);
    KEDGE_CHECK(file.ok());
    auto ops = CreateOps("cpu", static_cast<int>(std::thread::hardware_concurrency()));
    KEDGE_CHECK(ops.ok());
    auto created = TransformerDevice::Create(*std::move(file), *std::move(ops), KvType::kF16, kMaxPages, kMaxRows);
    KEDGE_CHECK(created.ok());
    return *std::move(created);
  }();
  return device.get();
}

// `requests` requests of `rows` rows each, after `before` rows whose contents do not matter (the pages are zero).
StepPlan MakePlan(uint32_t requests, uint32_t rows, uint32_t before, bool all_logits) {
  StepPlan plan;
  PageId next_page = 0;
  for (uint32_t request = 0; request < requests; ++request) {
    PageTables tables;
    for (uint32_t page = 0; page <= (before + rows - 1) / kPageRows; ++page) tables.recent.push_back(next_page++);
    plan.tables.push_back(std::move(tables));
    for (uint32_t i = 0; i < rows; ++i) {
      plan.rows.push_back({.token = 1000 + 37 * i,
                           .position = before + i,
                           .tables = request,
                           .wants_logits = all_logits || i + 1 == rows});
    }
  }
  KEDGE_CHECK(next_page <= kMaxPages);
  return plan;
}

void RunSteps(benchmark::State& state, const StepPlan& plan) {
  if (Device() == nullptr) {
    state.SkipWithError("set KEDGE_MODEL to a GGUF file");
    return;
  }
  for (auto _ : state) KEDGE_CHECK(Device()->Launch(plan)->Wait().ok());
  state.counters["tokens/s"] =
      benchmark::Counter(double(state.iterations()) * plan.rows.size(), benchmark::Counter::kIsRate);
}

void BM_Prompt(benchmark::State& state) {
  RunSteps(state, MakePlan(1, static_cast<uint32_t>(state.range(0)), static_cast<uint32_t>(state.range(1)), false));
}
BENCHMARK(BM_Prompt)
    ->ArgNames({"rows", "before"})
    ->Args({1, 0})
    ->Args({16, 0})
    ->Args({256, 0})
    ->Args({256, 1000})
    ->Args({256, 4000})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void BM_Generate(benchmark::State& state) {
  RunSteps(state, MakePlan(static_cast<uint32_t>(state.range(0)), 1, static_cast<uint32_t>(state.range(1)), true));
}
BENCHMARK(BM_Generate)
    ->ArgNames({"requests", "before"})
    ->Args({1, 100})
    ->Args({1, 1000})
    ->Args({1, 8000})
    ->Args({16, 100})
    ->Args({16, 1000})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace kedge
