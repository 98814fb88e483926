// The few pieces that pictures of measurements are made of.
#ifndef KEDGE_COMMON_BASE_SVG_H_
#define KEDGE_COMMON_BASE_SVG_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace kedge {

// From a value to a place on the paper; values beyond an end lie at it.
struct SvgAxis {
  double from_value, to_value;  // values at the ends
  double from, to;              // places of the ends
  bool logarithmic;

  double operator()(double value) const;
};

// A picture's beginning, with a white ground and the class `grid` for paths; it ends with kSvgEnd.
std::string SvgBegin(double width, double height);
inline constexpr char kSvgEnd[] = "</svg>\n";

// One line of text. `anchor`: start, middle or end.
std::string SvgText(double x, double y, absl::string_view anchor, absl::string_view text);

// Colours that can be told apart, for lines 0, 1 and so on; after the last one they begin again.
const char* SvgColour(size_t line);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_SVG_H_
