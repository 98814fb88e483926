// The figures of a load, as a value, as JSON, as text and as a picture.
#ifndef KEDGE_BENCH_LOAD_REPORT_H_
#define KEDGE_BENCH_LOAD_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bench/load.h"

namespace kedge {

struct LoadLimits {
  absl::Duration first_token = absl::Seconds(1);
  absl::Duration gap = absl::Milliseconds(100);
};

struct LoadReport {
  uint64_t sent = 0;
  std::vector<std::string> errors;  // of those that failed
  double seconds = 0;               // from the first request to the last answer's end
  uint64_t prompt_tokens = 0;       // of requests that were answered
  uint64_t output_tokens = 0;
  std::vector<double> first_token_ms;  // of each answered request
  std::vector<double> gap_ms;          // between tokens of one answer, all answers together
  std::vector<double> rate;            // tokens per second of each answer, from sending to its end
  uint64_t good = 0;                   // answers whose first token and whose mean gap kept within the limits
  uint64_t good_tokens = 0;
  uint64_t moved_bytes = 0;
  uint64_t full_bytes = 0;
  LoadLimits limits;

  uint64_t answered() const { return sent - errors.size(); }
};

LoadReport ReportOf(absl::Span<const RequestOutcome> outcomes, const LoadOptions& options, const LoadLimits& limits);

// One JSON object on one line. Quantiles of times are p50, p90 and p99: so many do not exceed them. Those of the rate
// are p50, p90 and p99 as well: so many reach it.
std::string LoadReportJson(const LoadReport& report, const LoadOptions& options);
std::string LoadReportText(const LoadReport& report, const LoadOptions& options);

// An SVG of two panels: which part of the first tokens, and of the gaps between tokens, had come within a time; with
// the limits and the median, the 90th and the 99th of a hundred marked.
std::string LoadPicture(const LoadReport& report);

}  // namespace kedge

#endif  // KEDGE_BENCH_LOAD_REPORT_H_
