// Tested by report_test.cc.
#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/anchor/policy.h"
#include "eval/comparison.h"
#include "eval/eval_texts.h"
#include "eval/prefix.h"

namespace kedge {
namespace {

constexpr double kSignificant = 0.05;

// A table whose cells are told by row and column. The first column is that of the rows' names.
std::string Table(absl::string_view corner, const std::vector<std::string>& rows,
                  const std::vector<std::string>& columns,
                  const std::function<std::string(size_t row, size_t column)>& cell) {
  std::string table = absl::StrCat("| ", corner, " | ", absl::StrJoin(columns, " | "), " |\n|---|");
  for (size_t i = 0; i < columns.size(); ++i) absl::StrAppend(&table, "---:|");
  absl::StrAppend(&table, "\n");
  for (size_t row = 0; row < rows.size(); ++row) {
    absl::StrAppend(&table, "| ", rows[row], " |");
    for (size_t column = 0; column < columns.size(); ++column) absl::StrAppend(&table, " ", cell(row, column), " |");
    absl::StrAppend(&table, "\n");
  }
  return table;
}

std::string Percent(double part, double whole) {
  return whole > 0 ? absl::StrFormat("%.1f %%", 100 * part / whole) : "";
}

// "+1.2 [-0.3, +2.5]", or with `format` other figures; empty where there is nothing.
std::string Interval(const Estimate& estimate, const absl::ParsedFormat<'f'>& format) {
  if (std::isnan(estimate.value)) return "";
  auto text = [&](double value) { return absl::StrFormat(format, value); };
  if (std::isnan(estimate.low)) return text(estimate.value);
  return absl::StrCat(text(estimate.value), " [", text(estimate.low), ", ", text(estimate.high), "]");
}

const absl::ParsedFormat<'f'> kPoints("%+.1f"), kNats("%+.2f"), kRatio("%.3f");

std::string P(double p) { return p < 0.001 ? "< 0.001" : absl::StrFormat("%.3f", p); }

std::string Right(const Measure& measure) {
  return measure.cases > 0 ? absl::StrCat(measure.right, " of ", measure.cases) : "";
}

// What a reader has to know of a policy before he compares it with another.
struct Traits {
  bool chooses = false;          // by what is asked
  std::string uniform = "yes";   // whether all layers and heads keep the same rows
  std::string prefill = "full";  // what the prompt's rows attend to
};

Traits TraitsOf(const MeasuredPolicy& measured) {
  Traits traits;
  const size_t at = measured.canonical.find('@');
  const absl::StatusOr<Policy> policy = ParsePolicy(measured.canonical.substr(0, at), PolicyNames());
  if (!policy.ok()) return traits;
  const std::string baseline = at == std::string::npos ? "" : measured.canonical.substr(at);
  traits.chooses =
      policy->salient_millionths > 0 && baseline != "@random" && baseline != "@streaming" && baseline != "@kvzip";
  if (baseline == "@oracle") traits.prefill = "full, and the answer known";
  if (baseline == "@snapkv" || baseline == "@chunkkv" || baseline == "@kvzip") {
    traits.uniform = baseline == "@chunkkv" ? "no: by layer" : "no: by head";
    traits.prefill = baseline == "@kvzip" ? "full, and once more to repeat it" : "full, and all heads' attention";
  }
  if (!HasFullPrefill(*policy)) traits.prefill = "masked";
  return traits;
}

class Report {
 public:
  explicit Report(const EvalResults& results)
      : results_(results), all_(ComparePolicies(results, [](const MeasuredCase&) { return true; })) {
    for (const MeasuredPolicy& policy : results.policies) names_.push_back(absl::StrCat("`", policy.name, "`"));
    for (const MeasuredCase& made : results.cases) {
      const bool is_text = made.form == kTextForm;
      std::vector<std::string>& names = is_text ? kinds_ : forms_;
      const std::string& name = is_text ? made.kind : made.form;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    for (const std::string& kind : kinds_) {
      by_kind_.push_back(ComparePolicies(
          results, [&](const MeasuredCase& made) { return made.form == kTextForm && made.kind == kind; }));
    }
    for (const std::string& form : forms_) {
      by_form_.push_back(ComparePolicies(results, [&](const MeasuredCase& made) { return made.form == form; }));
    }
    for (uint32_t length : results.settings.lengths) {
      lengths_.push_back(absl::StrCat(length));
      by_length_.push_back(ComparePolicies(results, [&](const MeasuredCase& made) { return made.length == length; }));
    }
  }

  std::string Text() const {
    return absl::StrCat(
        Head(), "\n**Every policy beside full attention**, all forms and lengths\n\n", Summary(),
        "\n**Agreement with full attention**, and what the answers have\n\n", Agreement(),
        "\n**Right answers**, by form; behind it how many more (+) and fewer (−) are right than under full "
        "attention\n\n",
        Table("form", forms_, names_, [&](size_t form, size_t policy) { return RightOf(form, policy); }),
        "\n**Right − full**, points, by form; `*` where chance is less likely than 5 % (Holm over the policies)\n\n",
        Table("form", forms_, names_, [&](size_t form, size_t policy) { return PointsOf(form, policy); }),
        "\n**Right answers**, by tokens of the prompt\n\n",
        ByLength([](const Comparison& comparison) { return Right(comparison.asked); }),
        "\n**Perplexity**, × full, by tokens of context\n\n", ByLength([](const Comparison& comparison) {
          return Interval({comparison.perplexity.value, std::nan(""), std::nan("")}, kRatio);
        }),
        "\n**Perplexity**, × full, by kind of document\n\n",
        Table("kind", kinds_, names_,
              [&](size_t kind, size_t policy) {
                return policy == FullPolicy(results_) ? "" : Interval(by_kind_[kind][policy].perplexity, kRatio);
              }),
        "\n**Bytes moved**, by tokens of the prompt\n\n", ByLength(Bytes));
  }

 private:
  static std::string Bytes(const Comparison& comparison) {
    return Percent(comparison.asked.bytes + comparison.continued.bytes,
                   comparison.asked.full_bytes + comparison.continued.full_bytes);
  }

  std::string Head() const {
    const EvalSettings& settings = results_.settings;
    std::vector<std::string> texts, documents;
    for (const MeasuredCase& made : results_.cases) {
      std::vector<std::string>& names = made.form == kTextForm ? documents : texts;
      if (names.empty() || names.back() != made.text) names.push_back(made.text);
    }
    const Comparison& full = all_[FullPolicy(results_)];
    return absl::StrCat("Model ", settings.model, " (SHA-256 ", settings.fingerprint.substr(0, 12), "…), `",
                        settings.numerics_class, "`, rows as ", settings.kv_type, ". ", full.asked.cases,
                        " questions on ", texts.size(), " texts, ", full.continued.tokens, " tokens that continue ",
                        documents.size(), " documents, prompts of ", absl::StrJoin(settings.lengths, ", "),
                        " tokens. Texts: ", settings.text, ". Bytes: as shares of full rows in f16.\n");
  }

  std::string Summary() const {
    const uint32_t full = FullPolicy(results_);
    return Table("policy", names_,
                 {"bytes, of full rows in f16", "right", "right − full, points [95 %]", "p, McNemar (Holm)",
                  "loss of the right answer, nats [95 %]", "perplexity, × full [95 %]", "sees the question", "trained",
                  "rows uniform", "prefill"},
                 [&](size_t policy, size_t column) -> std::string {
                   const Comparison& comparison = all_[policy];
                   const bool has_questions = comparison.asked.cases > 0, is_full = policy == full;
                   switch (column) {
                     case 0:
                       return Bytes(comparison);
                     case 1:
                       return Percent(comparison.asked.right, comparison.asked.cases);
                     case 2:
                       return is_full ? "" : Interval(comparison.points, kPoints);
                     case 3:
                       return is_full || !has_questions
                                  ? ""
                                  : absl::StrCat(P(comparison.p), " (", P(comparison.adjusted_p), ")");
                     case 4:
                       return is_full ? "" : Interval(comparison.loss, kNats);
                     case 5:
                       return is_full ? "" : Interval(comparison.perplexity, kRatio);
                     case 6:
                       return TraitsOf(results_.policies[policy]).chooses ? "yes" : "no";
                     case 7:
                       return results_.settings.has_adapter ? "adapter" : "no";
                     case 8:
                       return TraitsOf(results_.policies[policy]).uniform;
                     default:
                       return TraitsOf(results_.policies[policy]).prefill;
                   }
                 });
  }

  std::string Agreement() const {
    return Table("policy", names_,
                 {"rows kept", "right → wrong", "wrong → right", "of what is asked, found", "same answers",
                  "same next token", "KL, nats"},
                 [&](size_t policy, size_t column) -> std::string {
                   const Comparison& comparison = all_[policy];
                   const Measure &asked = comparison.asked, &continued = comparison.continued;
                   switch (column) {
                     case 0:
                       return Percent(asked.rows + continued.rows, asked.full_rows + continued.full_rows);
                     case 1:
                       return absl::StrCat(comparison.lost);
                     case 2:
                       return absl::StrCat(comparison.won);
                     case 3:
                       return Percent(asked.found, asked.cases);
                     case 4:
                       return Percent(asked.same, asked.cases);
                     case 5:
                       return Percent(continued.agreeing, continued.tokens);
                     default:
                       return continued.tokens > 0 ? absl::StrFormat("%.3f", continued.divergence / continued.tokens)
                                                   : "";
                   }
                 });
  }

  std::string RightOf(size_t form, size_t policy) const {
    const Comparison& comparison = by_form_[form][policy];
    if (policy == FullPolicy(results_) || comparison.asked.cases == 0) return Right(comparison.asked);
    return absl::StrCat(comparison.asked.right, " (+", comparison.won, " −", comparison.lost, ")");
  }

  std::string PointsOf(size_t form, size_t policy) const {
    const Comparison& comparison = by_form_[form][policy];
    if (policy == FullPolicy(results_) || comparison.asked.cases == 0) return "";
    return absl::StrCat(Interval(comparison.points, kPoints), comparison.adjusted_p < kSignificant ? " *" : "");
  }

  std::string ByLength(const std::function<std::string(const Comparison&)>& cell) const {
    return Table("policy", names_, lengths_,
                 [&](size_t policy, size_t length) { return cell(by_length_[length][policy]); });
  }

  const EvalResults& results_;
  std::vector<std::string> names_, forms_, kinds_, lengths_;
  std::vector<Comparison> all_;                     // [policies]
  std::vector<std::vector<Comparison>> by_form_;    // [forms][policies]
  std::vector<std::vector<Comparison>> by_kind_;    // [kinds][policies]
  std::vector<std::vector<Comparison>> by_length_;  // [lengths][policies]
};

}  // namespace

std::string ReportMarkdown(const EvalResults& results) { return Report(results).Text(); }

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
