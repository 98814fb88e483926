// Works of one engine in this process, each beside the limit that this machine reached in the same run.
#ifndef KEDGE_BENCH_ENGINE_BENCH_H_
#define KEDGE_BENCH_ENGINE_BENCH_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bench/bench_text.h"
#include "bench/engine_run.h"
#include "bench/limits.h"
#include "bench/model_cost.h"
#include "bench/work.h"
#include "common/anchor/policy.h"
#include "common/anchor/salience.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

struct BenchPolicy {
  std::string text;  // as it was asked for
  Policy policy;
};

// One work under one policy.
struct EngineRow {
  std::string work;
  std::string policy;
  std::vector<double> tokens_per_second;  // of each repetition, in order; of all streams together
  // Decode: bytes of weights and visible rows per second over the read rate; prompts: multiply-adds of the products
  // per second over the rate of the plain int8 loop. Of the median repetition.
  double share_of_limit = 0;
  // Of the time, how much passed without a step under way: the device had nothing to do. Of the median repetition.
  double share_idle = 0;
  // KV memory that is held behind the prompts, before anything is written, over that of all their rows; in pages.
  double share_of_full_cache = 0;
};

struct EngineBench {
  std::string numerics_class;
  Limits limits;
  std::vector<EngineRow> rows;
};

struct EngineBenchOptions {
  std::vector<Work> works;
  std::vector<BenchPolicy> policies;
  SalienceHeads heads;
  uint32_t repeat = 3;
  uint32_t written = 0;               // ids of each stream; 0: DefaultWritten
  std::optional<TokenChoice> sample;  // how a token is chosen behind each written one; nullopt: none is
};

// Enough steps to be timed, few enough that a context stays what its name says.
uint32_t DefaultWritten(const Work& work);

// Works that one run serves: prompt_N is the first half of decode_1_ctxN.
struct RunKey {
  uint32_t streams = 1;
  uint32_t context = 0;
  uint32_t written = 0;
  std::vector<Work> works;
};
// In the order of their first works.
std::vector<RunKey> RunsFor(absl::Span<const Work> works, uint32_t written);

// The streams of one run. A context of 0 is one token, as something must be read before something can be written.
std::vector<EngineStream> MakeStreams(const RunKey& run, const Policy& policy, const BenchText& text,
                                      const Tokenizer& tokenizer);

// The most pages that a run of `options` needs on a device that takes `chunk` rows.
uint64_t PagesNeeded(const EngineBenchOptions& options, const BenchText& text, const Tokenizer& tokenizer,
                     uint32_t chunk);

// Every run under every policy, `repeat` times, the repetitions outermost: what slows the machine down for a while then
// meets all of them. `progress` is told what comes next.
absl::StatusOr<EngineBench> RunEngineBench(const EngineBenchOptions& options, const BenchText& text,
                                           const Tokenizer& tokenizer, const ModelCost& cost, const Limits& limits,
                                           const std::function<void(const std::string&)>& progress, StepDevice* device);

// One JSON object on one line: {"numerics_class", "limits", "rows": [{"work", "policy", "tokens_per_s", "runs",
// "share_of_limit", "share_idle", "share_of_full_cache"}]}.
std::string EngineBenchJson(const EngineBench& bench);
std::string EngineBenchText(const EngineBench& bench);

}  // namespace kedge

#endif  // KEDGE_BENCH_ENGINE_BENCH_H_
