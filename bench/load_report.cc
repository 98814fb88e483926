// Tested by load_report_test.cc.
#include "bench/load_report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/quantile.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

// Without values there are no quantiles: JSON writes a number that is none as null.
nlohmann::ordered_json Quantiles(const std::vector<double>& values, bool larger_is_better) {
  nlohmann::ordered_json json;
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}) {
    json[name] = Quantile(values, larger_is_better ? 1 - q : q);
  }
  return json;
}

std::string QuantileLine(absl::string_view name, const std::vector<double>& values, bool larger_is_better) {
  const auto at = [&](double q) { return Quantile(values, larger_is_better ? 1 - q : q); };
  return absl::StrFormat("%-24s %10.1f %10.1f %10.1f\n", name, at(0.5), at(0.9), at(0.99));
}

double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

LoadReport ReportOf(absl::Span<const RequestOutcome> outcomes, const LoadOptions& options, const LoadLimits& limits) {
  LoadReport report{.sent = outcomes.size(), .limits = limits};
  absl::Duration begin = absl::InfiniteDuration(), end = absl::ZeroDuration();
  for (const RequestOutcome& outcome : outcomes) {
    begin = std::min(begin, outcome.sent);
    end = std::max(end, outcome.ended);
    if (!outcome.status.ok() || outcome.tokens.empty()) {
      report.errors.push_back(outcome.status.ok() ? "an answer without tokens" : outcome.status.ToString());
      continue;
    }
    const size_t tokens = outcome.tokens.size();
    const absl::Duration first = outcome.tokens.front() - outcome.sent;
    const absl::Duration writing = outcome.tokens.back() - outcome.tokens.front();
    report.prompt_tokens += options.prompt_tokens;
    report.output_tokens += tokens;
    report.first_token_ms.push_back(absl::ToDoubleMilliseconds(first));
    for (size_t i = 1; i < tokens; ++i) {
      report.gap_ms.push_back(absl::ToDoubleMilliseconds(outcome.tokens[i] - outcome.tokens[i - 1]));
    }
    report.rate.push_back(static_cast<double>(tokens) / absl::ToDoubleSeconds(outcome.ended - outcome.sent));
    if (first <= limits.first_token && (tokens == 1 || writing / static_cast<double>(tokens - 1) <= limits.gap)) {
      ++report.good;
      report.good_tokens += tokens;
    }
    report.moved_bytes += outcome.moved_bytes;
    report.full_bytes += outcome.full_bytes;
  }
  if (!outcomes.empty()) report.seconds = absl::ToDoubleSeconds(end - begin);
  return report;
}

std::string LoadReportJson(const LoadReport& report, const LoadOptions& options) {
  nlohmann::ordered_json json;
  json["load"] = {{"requests", options.requests},
                  {"clients", options.clients},
                  {"rate", options.rate},
                  {"prompt_tokens", options.prompt_tokens},
                  {"output_tokens", options.output_tokens},
                  {"shared_part", options.shared_part},
                  {"shared_tokens", options.shared_tokens},
                  {"seed", options.seed}};
  json["sent"] = report.sent;
  json["answered"] = report.answered();
  json["errors"] = report.errors;
  json["seconds"] = report.seconds;
  json["ttft_ms"] = Quantiles(report.first_token_ms, /*larger_is_better=*/false);
  json["itl_ms"] = Quantiles(report.gap_ms, /*larger_is_better=*/false);
  json["request_tokens_per_s"] = Quantiles(report.rate, /*larger_is_better=*/true);
  json["throughput"] = {{"requests_per_s", Share(report.answered(), report.seconds)},
                        {"output_tokens_per_s", Share(report.output_tokens, report.seconds)},
                        {"prompt_tokens_per_s", Share(report.prompt_tokens, report.seconds)}};
  json["goodput"] = {{"ttft_limit_ms", absl::ToDoubleMilliseconds(report.limits.first_token)},
                     {"itl_limit_ms", absl::ToDoubleMilliseconds(report.limits.gap)},
                     {"share", Share(report.good, report.sent)},
                     {"requests_per_s", Share(report.good, report.seconds)},
                     {"output_tokens_per_s", Share(report.good_tokens, report.seconds)}};
  json["bytes"] = {{"moved", report.moved_bytes},
                   {"full", report.full_bytes},
                   {"share", Share(report.moved_bytes, report.full_bytes)}};
  return json.dump() + "\n";
}

std::string LoadReportText(const LoadReport& report, const LoadOptions& options) {
  std::string text = absl::StrFormat("%d requests of %d tokens, %d written each; %s\n", report.sent,
                                     options.prompt_tokens, options.output_tokens,
                                     options.rate > 0 ? absl::StrFormat("%.3g requests/s", options.rate)
                                                      : absl::StrFormat("%d clients", options.clients));
  if (!report.errors.empty()) {
    absl::StrAppendFormat(&text, "%d failed; the first: %s\n", report.errors.size(), report.errors.front());
  }
  if (report.answered() == 0) return text;
  absl::StrAppendFormat(&text, "\n%-24s %10s %10s %10s\n", "", "p50", "p90", "p99");
  absl::StrAppend(&text, QuantileLine("first token, ms", report.first_token_ms, false));
  if (!report.gap_ms.empty()) absl::StrAppend(&text, QuantileLine("between tokens, ms", report.gap_ms, false));
  absl::StrAppend(&text, QuantileLine("tokens/s of an answer", report.rate, true));
  absl::StrAppendFormat(&text, "\nthroughput  %.2f requests/s, %.1f tokens/s written, %.1f tokens/s read, in %.1f s\n",
                        Share(report.answered(), report.seconds), Share(report.output_tokens, report.seconds),
                        Share(report.prompt_tokens, report.seconds), report.seconds);
  absl::StrAppendFormat(
      &text, "goodput     %.2f requests/s, %.1f %% of all: first token within %.0f ms, %.0f ms between tokens\n",
      Share(report.good, report.seconds), 100 * Share(report.good, report.sent),
      absl::ToDoubleMilliseconds(report.limits.first_token), absl::ToDoubleMilliseconds(report.limits.gap));
  absl::StrAppendFormat(&text, "bytes       %.2f MB moved, %.1f %% of a full cache\n", report.moved_bytes * 1e-6,
                        100 * Share(report.moved_bytes, report.full_bytes));
  return text;
}

}  // namespace kedge
