// Tested by report_test.cc.
#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "eval/eval_texts.h"
#include "eval/recall_cases.h"

namespace kedge {
namespace {

using Column = std::function<std::string(const std::string& policy)>;

// A table with a row for each policy; the first column is its name.
std::string Table(const std::vector<std::string>& policies, const std::vector<std::string>& heads,
                  const std::vector<Column>& columns) {
  std::string table = absl::StrCat("| policy | ", absl::StrJoin(heads, " | "), " |\n|---|");
  for (size_t i = 0; i < heads.size(); ++i) absl::StrAppend(&table, "---:|");
  absl::StrAppend(&table, "\n");
  for (const std::string& policy : policies) {
    absl::StrAppend(&table, "| `", policy, "` |");
    for (const Column& column : columns) absl::StrAppend(&table, " ", column(policy), " |");
    absl::StrAppend(&table, "\n");
  }
  return table;
}

std::string Percent(double part, double whole) {
  return whole > 0 ? absl::StrFormat("%.1f %%", 100 * part / whole) : "";
}

bool IsText(const EvalRecord& record) { return record.form == kTextForm; }
bool IsRecall(const EvalRecord& record) { return !IsText(record); }

std::string Right(const Measure& measure) {
  return measure.cases > 0 ? absl::StrCat(measure.right, " of ", measure.cases) : "";
}

}  // namespace

std::vector<std::string> PoliciesOf(const EvalResults& results) {
  std::vector<std::string> policies;
  for (const EvalRecord& record : results.records) {
    if (std::find(policies.begin(), policies.end(), record.policy) == policies.end()) policies.push_back(record.policy);
  }
  return policies;
}

double Perplexity(const Measure& measure) {
  return measure.given > 0 ? std::exp(measure.surprise / static_cast<double>(measure.given)) : std::nan("");
}

std::string ReportMarkdown(const EvalResults& results) {
  const std::vector<std::string> policies = PoliciesOf(results);
  const EvalSettings& settings = results.settings;
  auto all = [](const EvalRecord&) { return true; };
  auto ratio = [&](const std::string& policy, auto wanted) {
    const double value = Perplexity(results.Sum(policy, wanted)) / Perplexity(results.Sum("full", wanted));
    return std::isnan(value) ? std::string() : absl::StrFormat("%.3f", value);
  };

  const Measure text = results.Sum("full", IsText), recall = results.Sum("full", IsRecall);
  std::string report = absl::StrCat("Model ", settings.model, " (SHA-256 ", settings.fingerprint.substr(0, 12), "…), `",
                                    settings.numerics_class, "`, rows as ", settings.kv_type, ". ", text.given,
                                    " tokens of held-out text, ", recall.cases, " questions, prompts of ",
                                    absl::StrJoin(settings.lengths, ", "), " tokens. Texts: ", settings.text,
                                    ". Bytes: as shares of full rows in f16.\n\n");

  absl::StrAppend(&report, "**Summary**, all lengths together\n\n",
                  Table(policies,
                        {"bytes moved", "rows kept", "perplexity, × full", "same next token", "KL, nats",
                         "right answers", "same answers"},
                        {[&](auto& policy) {
                           const Measure sum = results.Sum(policy, all);
                           return Percent(sum.bytes, sum.full_bytes);
                         },
                         [&](auto& policy) {
                           const Measure sum = results.Sum(policy, all);
                           return Percent(sum.kept_rows, sum.full_rows);
                         },
                         [&](auto& policy) { return ratio(policy, IsText); },
                         [&](auto& policy) {
                           const Measure sum = results.Sum(policy, IsText);
                           return Percent(sum.agreeing, sum.positions);
                         },
                         [&](auto& policy) {
                           const Measure sum = results.Sum(policy, IsText);
                           return sum.positions > 0 ? absl::StrFormat("%.3f", sum.divergence / sum.positions) : "";
                         },
                         [&](auto& policy) {
                           const Measure sum = results.Sum(policy, IsRecall);
                           return Percent(sum.right, sum.cases);
                         },
                         [&](auto& policy) {
                           const Measure sum = results.Sum(policy, IsRecall);
                           return Percent(sum.same, sum.cases);
                         }}));

  std::vector<std::string> heads;
  std::vector<Column> columns;
  for (RecallForm form : kRecallForms) {
    const bool is_asked = std::any_of(results.records.begin(), results.records.end(),
                                      [&](const EvalRecord& record) { return record.form == RecallFormName(form); });
    if (!is_asked) continue;
    heads.push_back(RecallFormName(form));
    columns.push_back([&results, name = heads.back()](auto& policy) {
      return Right(results.Sum(policy, [&](const EvalRecord& record) { return record.form == name; }));
    });
  }
  absl::StrAppend(&report, "\n**Right answers**, by form\n\n", Table(policies, heads, columns));

  // Three tables whose columns are lengths.
  heads.clear();
  for (uint32_t length : settings.lengths) heads.push_back(absl::StrCat(length));
  auto by_length = [&](auto cell) {
    std::vector<Column> cells;
    for (uint32_t length : settings.lengths) {
      cells.push_back([cell, length](auto& policy) { return cell(policy, length); });
    }
    return Table(policies, heads, cells);
  };
  absl::StrAppend(&report, "\n**Right answers**, by tokens of the prompt\n\n",
                  by_length([&](const std::string& policy, uint32_t length) {
                    return Right(results.Sum(
                        policy, [&](const EvalRecord& record) { return IsRecall(record) && record.length == length; }));
                  }));
  absl::StrAppend(&report, "\n**Perplexity**, × full, by tokens of context\n\n",
                  by_length([&](const std::string& policy, uint32_t length) {
                    return ratio(policy,
                                 [&](const EvalRecord& record) { return IsText(record) && record.length == length; });
                  }));
  absl::StrAppend(&report, "\n**Bytes moved**, by tokens of the prompt\n\n",
                  by_length([&](const std::string& policy, uint32_t length) {
                    const Measure sum =
                        results.Sum(policy, [&](const EvalRecord& record) { return record.length == length; });
                    return Percent(sum.bytes, sum.full_bytes);
                  }));
  return report;
}

absl::StatusOr<std::string> ReplaceFigures(absl::string_view document, absl::string_view body) {
  const size_t begin = document.find(kReportBegin);
  const size_t end = begin == document.npos ? document.npos : document.find(kReportEnd, begin);
  if (end == document.npos) {
    return absl::NotFoundError(absl::StrCat("the lines ", kReportBegin, " and ", kReportEnd, " are not in it"));
  }
  const size_t after = begin + sizeof(kReportBegin) - 1;
  return absl::StrCat(document.substr(0, after), "\n\n", body, "\n", document.substr(end));
}

}  // namespace kedge
