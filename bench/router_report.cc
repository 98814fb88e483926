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

std::vector<double> AddedMs(const RouterRow& row) {
  std::vector<double> added;
  for (size_t i = 0; i < row.routed.size(); ++i) {
    added.push_back(Median(row.routed[i].delay_ms) - Median(row.direct[i].delay_ms));
  }
  return added;
}

nlohmann::ordered_json WayJson(const WayFigures& way) {
  return {{"p50_ms", way.p50_ms},
          {"p90_ms", way.p90_ms},
          {"p99_ms", way.p99_ms},
          {"tokens_per_s", way.tokens_per_second},
          {"tokens_per_message", way.tokens_per_message}};
}

std::string WayLine(absl::string_view work, absl::string_view way, const WayFigures& figures) {
  return absl::StrFormat("%-10s %-7s %9.3f %9.3f %9.3f %10.0f %10.2f", work, way, figures.p50_ms, figures.p90_ms,
                         figures.p99_ms, figures.tokens_per_second, figures.tokens_per_message);
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
    const WayFigures routed = FiguresOf(row.routed);
    nlohmann::ordered_json router = WayJson(routed);
    router["cpu_us_per_token"] = routed.cpu_us_per_token;
    router["tokens_per_core_s"] = 1e6 / routed.cpu_us_per_token;
    json["rows"].push_back({{"work", RouterWorkName(row.work)},
                            {"direct", WayJson(FiguresOf(row.direct))},
                            {"router", std::move(router)},
                            {"added_p50_ms", Median(AddedMs(row))},
                            {"runs", AddedMs(row)}});
  }
  return json.dump() + "\n";
}

std::string RouterReportText(absl::Span<const RouterRow> rows) {
  std::string text = absl::StrFormat("%-10s %-7s %9s %9s %9s %10s %10s %14s %13s\n", "work", "way", "p50 ms", "p90 ms",
                                     "p99 ms", "tokens/s", "a message", "router CPU us", "tokens/s core");
  for (const RouterRow& row : rows) {
    const WayFigures routed = FiguresOf(row.routed);
    absl::StrAppend(&text, WayLine(RouterWorkName(row.work), "direct", FiguresOf(row.direct)), "\n");
    absl::StrAppend(&text, WayLine("", "router", routed));
    absl::StrAppendFormat(&text, " %14.1f %13.0f\n", routed.cpu_us_per_token, 1e6 / routed.cpu_us_per_token);
    absl::StrAppendFormat(&text, "%-10s %-7s %9.3f\n", "", "added", Median(AddedMs(row)));
  }
  return text;
}

}  // namespace kedge
