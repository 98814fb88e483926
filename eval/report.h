// The figures of an evaluation as Markdown tables.
#ifndef KEDGE_EVAL_REPORT_H_
#define KEDGE_EVAL_REPORT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "eval/results.h"

namespace kedge {

// Tables: every policy beside full attention; right answers and their differences by form; right answers and
// bytes by length; perplexity by length and by kind of document. REQUIRES: `full` is among the policies.
std::string ReportMarkdown(const EvalResults& results);

inline constexpr char kReportBegin[] = "<!-- figures: begin -->";
inline constexpr char kReportEnd[] = "<!-- figures: end -->";
// `document` with `body` between its two marks. kNotFound: it does not have both, in this order.
absl::StatusOr<std::string> ReplaceFigures(absl::string_view document, absl::string_view body);

}  // namespace kedge

#endif  // KEDGE_EVAL_REPORT_H_
