// Tested by router_report_test.cc.
#include "bench/router_report.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/quantile.h"
#include "common/base/check.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

// Of one way: medians of its repetitions.
struct WayFigures {
  double p50_ms = 0;
  double p90_ms = 0;
  double p99_ms = 0;
  double tokens_per_second = 0;
  double tokens_per_message = 0;
  double cpu_us_per_token = 0;
};

double MedianOf(const std::vector<RouterRun>& runs, const std::function<double(const RouterRun&)>& figure) {
  std::vector<double> values;
  for (const RouterRun& run : runs) values.push_back(figure(run));
  return Median(std::move(values));
}

WayFigures FiguresOf(const std::vector<RouterRun>& runs) {
  const auto quantile = [&](double q) {
    return MedianOf(runs, [q](const RouterRun& run) { return Quantile(run.delay_ms, q); });
  };
  return {
      .p50_ms = quantile(0.5),
      .p90_ms = quantile(0.9),
      .p99_ms = quantile(0.99),
      .tokens_per_second = MedianOf(runs, [](const RouterRun& run) { return run.tokens() / run.seconds; }),
      .tokens_per_message =
          MedianOf(runs, [](const RouterRun& run) { return run.tokens() / static_cast<double>(run.messages); }),
      .cpu_us_per_token = MedianOf(runs, [](const RouterRun& run) { return 1e6 * run.cpu_seconds / run.tokens(); })};
}

// What `runs` took above their neighbours of `direct`, in the median of the tokens.
std::vector<double> AddedMs(const std::vector<RouterRun>& runs, const std::vector<RouterRun>& direct) {
  std::vector<double> added;
  for (size_t i = 0; i < runs.size(); ++i) added.push_back(Median(runs[i].delay_ms) - Median(direct[i].delay_ms));
  return added;
}

nlohmann::ordered_json DirectJson(const WayFigures& way) {
  return {{"p50_ms", way.p50_ms},
          {"p90_ms", way.p90_ms},
          {"p99_ms", way.p99_ms},
          {"tokens_per_s", way.tokens_per_second},
          {"tokens_per_message", way.tokens_per_message}};
}

nlohmann::ordered_json ThroughJson(const std::vector<RouterRun>& runs, const std::vector<RouterRun>& direct) {
  const WayFigures way = FiguresOf(runs);
  nlohmann::ordered_json json = DirectJson(way);
  json["added_p50_ms"] = Median(AddedMs(runs, direct));
  json["added_p50_runs_ms"] = AddedMs(runs, direct);
  json["cpu_us_per_token"] = way.cpu_us_per_token;
  json["tokens_per_core_s"] = 1e6 / way.cpu_us_per_token;
  return json;
}

std::string DirectLine(absl::string_view work, absl::string_view way, const WayFigures& figures) {
  return absl::StrFormat("%-10s %-7s %9.3f %9.3f %9.3f %10.0f %10.2f", work, way, figures.p50_ms, figures.p90_ms,
                         figures.p99_ms, figures.tokens_per_second, figures.tokens_per_message);
}

std::string ThroughLine(absl::string_view way, const std::vector<RouterRun>& runs,
                        const std::vector<RouterRun>& direct) {
  const WayFigures figures = FiguresOf(runs);
  return absl::StrCat(DirectLine("", way, figures),
                      absl::StrFormat(" %9.3f %9.1f %13.0f", Median(AddedMs(runs, direct)), figures.cpu_us_per_token,
                                      1e6 / figures.cpu_us_per_token));
}

}  // namespace

RouterRun RouterRunOf(const TokenTimes& written, const TokenTimes& read, uint64_t messages, absl::Duration cpu) {
  KEDGE_CHECK(written.size() == read.size());
  RouterRun run{.messages = messages, .cpu_seconds = absl::ToDoubleSeconds(cpu)};
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  for (size_t stream = 0; stream < written.size(); ++stream) {
    KEDGE_CHECK(written[stream].size() == read[stream].size());
    for (size_t token = 0; token < written[stream].size(); ++token) {
      run.delay_ms.push_back(absl::ToDoubleMilliseconds(read[stream][token] - written[stream][token]));
      first = std::min(first, written[stream][token]);
      last = std::max(last, read[stream][token]);
    }
  }
  run.seconds = absl::ToDoubleSeconds(last - first);
  return run;
}

std::string RouterReportJson(absl::Span<const RouterRow> rows) {
  nlohmann::ordered_json json;
  json["rows"] = nlohmann::ordered_json::array();
  for (const RouterRow& row : rows) {
    json["rows"].push_back({{"work", RouterWorkName(row.work)},
                            {"direct", DirectJson(FiguresOf(row.direct))},
                            {"relay", ThroughJson(row.relayed, row.direct)},
                            {"router", ThroughJson(row.routed, row.direct)}});
  }
  return json.dump() + "\n";
}

std::string RouterReportText(absl::Span<const RouterRow> rows) {
  std::string text =
      absl::StrFormat("%-10s %-7s %9s %9s %9s %10s %10s %9s %9s %13s\n", "work", "way", "p50 ms", "p90 ms", "p99 ms",
                      "tokens/s", "a message", "added ms", "CPU us", "tokens/s core");
  for (const RouterRow& row : rows) {
    absl::StrAppend(&text, DirectLine(RouterWorkName(row.work), "direct", FiguresOf(row.direct)), "\n",
                    ThroughLine("relay", row.relayed, row.direct), "\n", ThroughLine("router", row.routed, row.direct),
                    "\n");
  }
  return text;
}

}  // namespace kedge
