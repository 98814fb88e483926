// The figures of `bench router`, as values, as JSON and as text.
#ifndef KEDGE_BENCH_ROUTER_REPORT_H_
#define KEDGE_BENCH_ROUTER_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bench/router_work.h"

namespace kedge {

// When each token of each stream was written, or read, by one steady clock: [streams][tokens].
using TokenTimes = std::vector<std::vector<absl::Time>>;

// One work, once, one way.
struct RouterRun {
  std::vector<double> delay_ms;  // of each token, from its writing to its reading
  uint64_t messages = 0;         // in which they were read
  double seconds = 0;            // from the first writing to the last reading
  double cpu_seconds = 0;        // of the process between node and clients meanwhile; 0 without one

  double tokens() const { return static_cast<double>(delay_ms.size()); }
};

// REQUIRES: `written` and `read` have the same shape, and at least one token.
RouterRun RouterRunOf(const TokenTimes& written, const TokenTimes& read, uint64_t messages, absl::Duration cpu);

// One work. The i-th of each were measured one after the other.
struct RouterRow {
  RouterWork work;
  std::vector<RouterRun> direct;   // clients call the node themselves
  std::vector<RouterRun> relayed;  // through a process that only passes messages on
  std::vector<RouterRun> routed;   // through the router
};

// One JSON object on one line: {"rows": [{"work", "direct": {"p50_ms", "p90_ms", "p99_ms", "tokens_per_s",
// "tokens_per_message"}, "relay": {the same, "added_p50_ms", "added_p50_runs_ms", "cpu_us_per_token",
// "tokens_per_core_s"}, "router": {as relay}}]}. Each figure is the median of the repetitions; what is added to the
// median delay is so within each repetition, and "added_p50_runs_ms" has them in order.
std::string RouterReportJson(absl::Span<const RouterRow> rows);
std::string RouterReportText(absl::Span<const RouterRow> rows);

}  // namespace kedge

#endif  // KEDGE_BENCH_ROUTER_REPORT_H_
