// Tested by svg_test.cc.
#include "common/base/svg.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace kedge {

double SvgAxis::operator()(double value) const {
  const double clamped = std::clamp(value, from_value, to_value);
  const double part = logarithmic ? std::log(clamped / from_value) / std::log(to_value / from_value)
                                  : (clamped - from_value) / (to_value - from_value);
  return from + part * (to - from);
}

std::string SvgBegin(double width, double height) {
  return absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<style>.grid{stroke:#ddd;stroke-width:1;fill:none}</style>\n"
      "<rect width=\"%.0f\" height=\"%.0f\" fill=\"white\"/>\n",
      width, height, width, height);
}

std::string SvgText(double x, double y, absl::string_view anchor, absl::string_view text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                         absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}}));
}

const char* SvgColour(size_t line) {
  constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2",
                                      "#17becf", "#7f7f7f", "#bcbd22", "#393b79", "#637939", "#843c39", "#3182bd"};
  return kColours[line % std::size(kColours)];
}

}  // namespace kedge
