// Tested by engine_bench_test.cc.
#include "bench/engine_bench.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/quantile.h"
#include "common/base/status.h"
#include "common/tokenizer/cut_strength.h"
#include "common/tokenizer/sequence_ends.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

constexpr uint32_t kWrittenAlone = 64;
constexpr uint32_t kWrittenTogether = 16;

// What a work made of its share of a run.
struct Figure {
  double tokens_per_second = 0;
  double share_of_limit = 0;
  double share_idle = 0;
};

double ShareOfFullCache(const RunKey& run, const EngineRun& measured) {
  const uint64_t pages = (std::max(run.context, 1u) + kPageRows - 1) / kPageRows;
  return static_cast<double>(measured.held_pages) / static_cast<double>(run.streams * pages);
}

Figure FigureOf(const Work& work, const EngineRun& run, const ModelCost& cost, const Limits& limits, size_t row_bytes) {
  if (work.kind == Work::Kind::kPrompt) {
    const double seconds = absl::ToDoubleSeconds(run.prompt_time);
    const double products = static_cast<double>(cost.row_products) * work.context + cost.output_products;
    return {work.context / seconds, products / seconds / limits.int8_products,
            absl::FDivDuration(run.prompt_idle, run.prompt_time)};
  }
  const double seconds = absl::ToDoubleSeconds(run.decode_time);
  const double bytes =
      static_cast<double>(cost.weight_bytes) * run.decode_steps + static_cast<double>(row_bytes) * run.visible_rows;
  return {run.decode_rows / seconds, bytes / seconds / limits.read_bytes,
          absl::FDivDuration(run.decode_idle, run.decode_time)};
}

// The first steps of a process meet cold caches and pages of memory that nobody has touched.
absl::Status WarmUp(const BenchText& text, StepDevice* device) {
  const uint32_t rows = std::min(device->max_rows(), 32u);
  EngineStream stream{.prompt = {.ids = text.Take(0, rows), .prompt_length = rows}, .written = text.Take(1, 4)};
  stream.prompt.policy.recent = Policy::kAll;
  return RunEngine({stream}, {}, std::nullopt, device).status();
}

}  // namespace

uint32_t DefaultWritten(const Work& work) { return work.streams > 1 ? kWrittenTogether : kWrittenAlone; }

std::vector<RunKey> RunsFor(absl::Span<const Work> works, uint32_t written) {
  std::vector<RunKey> runs;
  for (const Work& work : works) {
    auto run = std::find_if(runs.begin(), runs.end(), [&](const RunKey& other) {
      return other.streams == work.streams && other.context == work.context;
    });
    if (run == runs.end()) run = runs.insert(runs.end(), {.streams = work.streams, .context = work.context});
    if (std::find(run->works.begin(), run->works.end(), work) != run->works.end()) continue;
    if (work.kind == Work::Kind::kDecode) run->written = written > 0 ? written : DefaultWritten(work);
    run->works.push_back(work);
  }
  return runs;
}

std::vector<EngineStream> MakeStreams(const RunKey& run, const Policy& policy, const BenchText& text,
                                      const Tokenizer& tokenizer) {
  const uint32_t length = std::max(run.context, 1u);
  std::vector<EngineStream> streams(run.streams);
  for (uint32_t i = 0; i < run.streams; ++i) {
    std::vector<uint32_t> ids = text.Take(i, length + run.written);
    streams[i].written.assign(ids.begin() + length, ids.end());
    ids.resize(length);
    Content& prompt = streams[i].prompt;
    prompt.policy = policy;
    prompt.prompt_length = length;
    if (policy.text_anchors) {
      prompt.sequence_ends = FindSequenceEnds(FindCutStrengths(tokenizer, {.ids = ids}), policy.longest);
    }
    prompt.ids = std::move(ids);
  }
  return streams;
}

uint64_t PagesNeeded(const EngineBenchOptions& options, const BenchText& text, const Tokenizer& tokenizer,
                     uint32_t chunk) {
  uint64_t pages = 0;
  for (const RunKey& run : RunsFor(options.works, options.written)) {
    for (const BenchPolicy& policy : options.policies) {
      pages = std::max(pages, PagesFor(MakeStreams(run, policy.policy, text, tokenizer), chunk));
    }
  }
  return pages;
}

absl::StatusOr<EngineBench> RunEngineBench(const EngineBenchOptions& options, const BenchText& text,
                                           const Tokenizer& tokenizer, const ModelCost& cost, const Limits& limits,
                                           const std::function<void(const std::string&)>& progress,
                                           StepDevice* device) {
  EngineBench bench{.numerics_class = device->numerics_class(), .limits = limits};
  for (const Work& work : options.works) {
    for (const BenchPolicy& policy : options.policies) {
      bench.rows.push_back({.work = WorkName(work), .policy = policy.text});
    }
  }
  std::vector<std::vector<double>> shares(bench.rows.size()), idle(bench.rows.size());
  KEDGE_RETURN_IF_ERROR(WarmUp(text, device));
  for (uint32_t repetition = 0; repetition < options.repeat; ++repetition) {
    for (const RunKey& run : RunsFor(options.works, options.written)) {
      for (const BenchPolicy& policy : options.policies) {
        progress(absl::StrCat(WorkName(run.works.back()), " under ", policy.text));
        const std::vector<EngineStream> streams = MakeStreams(run, policy.policy, text, tokenizer);
        KEDGE_ASSIGN_OR_RETURN(const EngineRun measured, RunEngine(streams, options.heads, options.sample, device));
        for (const Work& work : run.works) {
          const Figure figure = FigureOf(work, measured, cost, limits, device->row_shape().page_row_bytes());
          for (size_t i = 0; i < bench.rows.size(); ++i) {
            if (bench.rows[i].work != WorkName(work) || bench.rows[i].policy != policy.text) continue;
            bench.rows[i].tokens_per_second.push_back(figure.tokens_per_second);
            shares[i].push_back(figure.share_of_limit);
            idle[i].push_back(figure.share_idle);
            bench.rows[i].share_of_full_cache = ShareOfFullCache(run, measured);  // the same in each repetition
          }
        }
      }
    }
  }
  for (size_t i = 0; i < bench.rows.size(); ++i) {
    bench.rows[i].share_of_limit = Median(shares[i]);
    bench.rows[i].share_idle = Median(idle[i]);
  }
  return bench;
}

std::string EngineBenchJson(const EngineBench& bench) {
  nlohmann::ordered_json json;
  json["numerics_class"] = bench.numerics_class;
  json["limits"] = {{"read_bytes_per_s", bench.limits.read_bytes},
                    {"int8_products_per_s", bench.limits.int8_products},
                    {"int8_instruction", bench.limits.int8_instruction},
                    {"float_products_per_s", bench.limits.float_products},
                    {"float_instruction", bench.limits.float_instruction}};
  json["rows"] = nlohmann::ordered_json::array();
  for (const EngineRow& row : bench.rows) {
    json["rows"].push_back({{"work", row.work},
                            {"policy", row.policy},
                            {"tokens_per_s", Median(row.tokens_per_second)},
                            {"runs", row.tokens_per_second},
                            {"share_of_limit", row.share_of_limit},
                            {"share_idle", row.share_idle},
                            {"share_of_full_cache", row.share_of_full_cache}});
  }
  return json.dump() + "\n";
}

std::string EngineBenchText(const EngineBench& bench) {
  std::string text = absl::StrFormat(
      "%s; this machine reached: reads %.1f GB/s, int8 (%s) %.2f TOPS, float (%s) %.2f TFLOPS\n\n",
      bench.numerics_class, bench.limits.read_bytes * 1e-9, bench.limits.int8_instruction,
      2e-12 * bench.limits.int8_products, bench.limits.float_instruction, 2e-12 * bench.limits.float_products);
  absl::StrAppendFormat(&text, "%-20s %-24s %12s %14s %8s %13s\n", "work", "policy", "tokens/s", "share of limit",
                        "idle", "of full cache");
  for (const EngineRow& row : bench.rows) {
    absl::StrAppendFormat(&text, "%-20s %-24s %12.1f %12.1f %% %6.2f %% %11.1f %%\n", row.work, row.policy,
                          Median(row.tokens_per_second), 100 * row.share_of_limit, 100 * row.share_idle,
                          100 * row.share_of_full_cache);
  }
  return text;
}

}  // namespace kedge
