// The figures of an evaluation as Markdown tables.
#ifndef KEDGE_EVAL_REPORT_H_
#define KEDGE_EVAL_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "eval/results.h"

namespace kedge {

// Policies in the order of their first records. REQUIRES (of all reports): `full` is among them.
std::vector<std::string> PoliciesOf(const EvalResults& results);

// exp of the mean surprise. NaN where nothing was given.
double Perplexity(const Measure& measure);

// Tables: a summary, recall by form and by length, perplexity and bytes by length.
std::string ReportMarkdown(const EvalResults& results);

inline constexpr char kReportBegin[] = "<!-- figures: begin -->";
inline constexpr char kReportEnd[] = "<!-- figures: end -->";
// `document` with `body` between its two marks. kNotFound: it does not have both, in this order.
absl::StatusOr<std::string> ReplaceFigures(absl::string_view document, absl::string_view body);

}  // namespace kedge

#endif  // KEDGE_EVAL_REPORT_H_
