// How one value is to be written: what stands behind "%" or behind the colon of a field.
#ifndef KEDGE_COMMON_JINJA_FORMAT_SPEC_H_
#define KEDGE_COMMON_JINJA_FORMAT_SPEC_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/object.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

struct FormatSpec {
  std::string fill = " ";  // one character
  char align = 0;          // < > ^ =, or 0: as the type has it
  char sign = '-';         // - + or a space
  bool alternate = false;  // #
  char grouping = 0;       // , or _
  int64_t width = 0;
  int precision = -1;
  char type = 0;
};

// "[[fill]align][sign][#][0][width][grouping][.precision][type]". kInvalidArgument: it is not that.
absl::StatusOr<FormatSpec> ReadFormatSpec(absl::string_view text);

// A number as text, without padding but for that between sign and digits. kInvalidArgument: the type does not fit it.
absl::StatusOr<std::string> FormatNumber(const FormatSpec& spec, const Value& number);

// The character of a number. kInvalidArgument: it has none.
absl::StatusOr<std::string> CharacterOf(int64_t number);

// `text` with the fill around it.
absl::Status AppendPadded(const FormatSpec& spec, char default_align, const Text& text, TextBuilder& to);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_FORMAT_SPEC_H_
