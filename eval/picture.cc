// Tested by picture_test.cc.
#include "eval/picture.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/svg.h"
#include "eval/comparison.h"
#include "eval/eval_texts.h"

namespace kedge {
namespace {

constexpr double kLeft = 70, kRight = 610, kNames = 640, kWidth = 1040;
constexpr double kTop = 50, kPanelHeight = 270, kGap = 60;
constexpr double kBottom = kTop + 2 * kPanelHeight + kGap;
// What is worse is shown at the panel's edge: on one scale with it nothing could be told of the others.
constexpr double kGreatestRatio = 2;

struct Point {
  double x = 0;
  double y = 0;
};

struct Line {
  size_t number = 0;          // from 1
  std::vector<Point> points;  // values, by length
};

// The grid, the lines, and each line's number at its end. Numbers that would overlap move down.
std::string Panel(const SvgAxis& x, const SvgAxis& y, const std::vector<double>& x_marks,
                  const std::vector<double>& y_marks, absl::string_view title, absl::string_view y_unit,
                  const std::vector<Line>& lines) {
  std::string svg = absl::StrCat("<g font-weight=\"bold\">", SvgText(kLeft, y.to - 12, "start", title), "</g>\n");
  for (double mark : x_marks) {
    absl::StrAppendFormat(&svg, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x(mark), y.from, y.to);
    absl::StrAppend(&svg, SvgText(x(mark), y.from + 16, "middle", absl::StrCat(mark, " %")));
  }
  for (double mark : y_marks) {
    absl::StrAppendFormat(&svg, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", x.from, y(mark), x.to);
    absl::StrAppend(&svg, SvgText(x.from - 8, y(mark) + 4, "end", absl::StrCat(mark, y_unit)));
  }
  std::vector<Point> taken;  // places of numbers
  for (const Line& line : lines) {
    if (line.points.empty()) continue;
    std::vector<std::string> places;
    for (const Point& point : line.points) places.push_back(absl::StrFormat("%.1f,%.1f", x(point.x), y(point.y)));
    absl::StrAppendFormat(&svg, "<g fill=\"%s\" stroke=\"%s\">\n", SvgColour(line.number - 1),
                          SvgColour(line.number - 1));
    absl::StrAppendFormat(&svg, "<polyline fill=\"none\" stroke-width=\"1.5\" points=\"%s\"/>\n",
                          absl::StrJoin(places, " "));
    for (const Point& point : line.points) {
      absl::StrAppendFormat(&svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>\n", x(point.x), y(point.y),
                            &point == &line.points.back() ? "4" : "2.2");
    }
    Point place{x(line.points.back().x) - 8, y(line.points.back().y) - 6};
    auto overlaps = [&](const Point& other) {
      return std::abs(other.x - place.x) < 14 && std::abs(other.y - place.y) < 11;
    };
    while (std::any_of(taken.begin(), taken.end(), overlaps)) place.y += 3;
    taken.push_back(place);
    absl::StrAppend(&svg, "<g stroke=\"none\">", SvgText(place.x, place.y, "end", absl::StrCat(line.number)),
                    "</g>\n</g>\n");
  }
  return svg;
}

// Of `marks`, those within the axis.
std::vector<double> Within(const SvgAxis& axis, std::vector<double> marks) {
  std::erase_if(marks, [&](double mark) { return mark < axis.from_value || mark > axis.to_value; });
  return marks;
}

}  // namespace

std::string QualityPicture(const EvalResults& results) {
  const uint32_t full = FullPolicy(results);
  const size_t num_policies = results.policies.size();
  std::vector<Line> recall, perplexity;
  double least_share = 100, greatest_ratio = 1.1;
  for (uint32_t i = 0; i < num_policies; ++i) {
    Line& above = recall.emplace_back(Line{.number = i + 1});
    Line& below = perplexity.emplace_back(Line{.number = i + 1});
    for (uint32_t length : results.settings.lengths) {
      auto is_text = [&](const MeasuredCase& made) { return made.length == length && made.form == kTextForm; };
      auto is_recall = [&](const MeasuredCase& made) { return made.length == length && made.form != kTextForm; };
      const Measure asked = results.Sum(i, is_recall), text = results.Sum(i, is_text);
      auto share = [&](const Measure& measure) {
        const double percent = 100.0 * measure.bytes / measure.full_bytes;
        least_share = std::min(least_share, percent);
        return percent;
      };
      if (asked.cases > 0) above.points.push_back({share(asked), 100.0 * asked.right / asked.cases});
      if (text.tokens > 0) {
        const double ratio = Perplexity(text) / Perplexity(results.Sum(full, is_text));
        below.points.push_back({share(text), ratio});
        greatest_ratio = std::max(greatest_ratio, ratio);
      }
    }
  }

  const SvgAxis x{.from_value = least_share * 0.9, .to_value = 105, .from = kLeft, .to = kRight, .logarithmic = true};
  const std::vector<double> x_marks = Within(x, {0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100});
  const SvgAxis y_recall{
      .from_value = 0, .to_value = 100, .from = kTop + kPanelHeight, .to = kTop, .logarithmic = false};
  const SvgAxis y_ratio{.from_value = 0.95,
                        .to_value = std::min(greatest_ratio * 1.05, kGreatestRatio),
                        .from = kBottom,
                        .to = kBottom - kPanelHeight,
                        .logarithmic = true};

  std::string svg = SvgBegin(kWidth, kBottom + 50);
  absl::StrAppend(&svg, Panel(x, y_recall, x_marks, {0, 20, 40, 60, 80, 100}, "Right answers", " %", recall));
  absl::StrAppend(&svg, Panel(x, y_ratio, x_marks, Within(y_ratio, {1, 1.1, 1.2, 1.3, 1.5, 1.7, 2}),
                              absl::StrCat("Perplexity of held-out text, × full attention",
                                           greatest_ratio > kGreatestRatio ? " (above 2: at the edge)" : ""),
                              "", perplexity));
  absl::StrAppend(&svg, SvgText((kLeft + kRight) / 2, kBottom + 38, "middle",
                                "bytes that move, share of a full cache; a line joins a policy's prompt lengths"));
  absl::StrAppend(&svg,
                  SvgText(kNames, kTop, "start",
                          absl::StrCat("prompts of ", absl::StrJoin(results.settings.lengths, ", "), " tokens;")));
  absl::StrAppend(&svg, SvgText(kNames, kTop + 16, "start", "the large dot is the longest"));
  for (size_t i = 0; i < num_policies; ++i) {
    const double y = kTop + 46 + 20 * static_cast<double>(i);
    absl::StrAppendFormat(&svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", kNames + 4, y - 4,
                          SvgColour(i));
    absl::StrAppend(&svg, SvgText(kNames + 30, y, "end", absl::StrCat(i + 1)),
                    SvgText(kNames + 36, y, "start", results.policies[i].name));
  }
  return absl::StrCat(svg, kSvgEnd);
}

}  // namespace kedge
