// Tested by load_report_test.cc.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "bench/load_report.h"
#include "bench/quantile.h"
#include "common/base/svg.h"

namespace kedge {
namespace {

constexpr double kLeft = 60, kRight = 620, kWidth = 780, kTop = 50, kPanelHeight = 200, kGap = 80;
constexpr double kLeastMs = 0.1;     // shorter times lie at the edge: tokens of one message have no gap
constexpr size_t kMostPoints = 400;  // of a line: more could not be seen

// 1, 2 and 5 times the powers of ten within the axis.
std::vector<double> Marks(const SvgAxis& axis) {
  std::vector<double> marks;
  for (double power = std::pow(10, std::floor(std::log10(axis.from_value))); power <= axis.to_value; power *= 10) {
    for (double mark : {power, 2 * power, 5 * power}) {
      if (mark >= axis.from_value && mark <= axis.to_value) marks.push_back(mark);
    }
  }
  return marks;
}

// Of sorted values, which part does not exceed each: Quantile read the other way round.
std::string Distribution(const SvgAxis& x, const SvgAxis& y, const std::vector<double>& values) {
  std::vector<std::string> points;
  const size_t last = values.size() - 1;
  for (size_t i = 0; i < last; i += std::max<size_t>(1, values.size() / kMostPoints)) {
    points.push_back(absl::StrFormat("%.1f,%.1f", x(values[i]), y(100.0 * i / last)));
  }
  points.push_back(absl::StrFormat("%.1f,%.1f", x(values[last]), y(100)));
  return absl::StrFormat("<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"%s\" points=\"%s\"/>\n", SvgColour(0),
                         absl::StrJoin(points, " "));
}

std::string Panel(double top, absl::string_view title, std::vector<double> values, double limit) {
  std::sort(values.begin(), values.end());
  const double least = std::max(values.empty() ? limit : std::min(values.front(), limit), kLeastMs);
  const double most = std::max(values.empty() ? limit : std::max(values.back(), limit), 2 * least);
  const SvgAxis x{.from_value = least / 1.3, .to_value = most * 1.3, .from = kLeft, .to = kRight, .logarithmic = true};
  const SvgAxis y{.from_value = 0, .to_value = 100, .from = top + kPanelHeight, .to = top, .logarithmic = false};
  std::string svg = absl::StrCat("<g font-weight=\"bold\">", SvgText(kLeft, top - 12, "start", title), "</g>\n");
  for (double mark : Marks(x)) {
    absl::StrAppendFormat(&svg, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x(mark), y.from, y.to);
    absl::StrAppend(&svg, SvgText(x(mark), y.from + 16, "middle", absl::StrCat(mark)));
  }
  for (double mark : {0, 50, 90, 100}) {
    absl::StrAppendFormat(&svg, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", x.from, y(mark), x.to);
    absl::StrAppend(&svg, SvgText(x.from - 8, y(mark) + 4, "end", absl::StrCat(mark, " %")));
  }
  absl::StrAppendFormat(&svg, "<path stroke=\"%s\" stroke-dasharray=\"4 3\" d=\"M%.1f %.1fV%.1f\"/>\n", SvgColour(1),
                        x(limit), y.from, y.to);
  absl::StrAppend(&svg, SvgText(kRight + 12, top + 12, "start", absl::StrFormat("limit %.4g ms", limit)));
  if (values.empty()) return svg;
  absl::StrAppend(&svg, Distribution(x, y, values));
  double line = top + 12;
  for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}) {
    const double value = Quantile(values, q);
    absl::StrAppendFormat(&svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x(value), y(100 * q),
                          SvgColour(0));
    absl::StrAppend(&svg, SvgText(kRight + 12, line += 20, "start", absl::StrFormat("%s %.4g ms", name, value)));
  }
  return svg;
}

}  // namespace

std::string LoadPicture(const LoadReport& report) {
  const double second = kTop + kPanelHeight + kGap;
  const double height = second + kPanelHeight + 50;
  return absl::StrCat(SvgBegin(kWidth, height),
                      Panel(kTop, absl::StrCat("First token of ", report.answered(), " answers: share within ms"),
                            report.first_token_ms, absl::ToDoubleMilliseconds(report.limits.first_token)),
                      Panel(second, absl::StrCat(report.gap_ms.size(), " gaps between tokens: share within ms"),
                            report.gap_ms, absl::ToDoubleMilliseconds(report.limits.gap)),
                      kSvgEnd);
}

}  // namespace kedge
