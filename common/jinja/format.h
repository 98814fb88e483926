// Python's two ways to fill in a text: "%s" % x (also the filter `format`) and "{}".format(x).
#ifndef KEDGE_COMMON_JINJA_FORMAT_H_
#define KEDGE_COMMON_JINJA_FORMAT_H_

#include "absl/status/statusor.h"
#include "common/jinja/object.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// kInvalidArgument: a specification that Python does not have, or that the value does not fit.

// format % value: a tuple has the values in turn, a dict those by name.
absl::StatusOr<Value> FormatPercent(Runtime& runtime, const Text& format, const Value& value);

// format.format(...). Fields may name attributes and items: {0.name}, {0[key]}.
absl::StatusOr<Value> FormatBraces(Runtime& runtime, const Text& format, const Arguments& arguments);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_FORMAT_H_
