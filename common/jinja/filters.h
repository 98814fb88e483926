// What stands behind `|`.
#ifndef KEDGE_COMMON_JINJA_FILTERS_H_
#define KEDGE_COMMON_JINJA_FILTERS_H_

#include <functional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/jinja/invocation.h"

namespace kedge::jinja {

// jinja2's filters but for those that make HTML of text (urlize, xmlattr, striptags), draw (random) or break lines for
// readers (wordwrap, pprint, filesizeformat).
struct Filter {
  absl::string_view name;
  absl::string_view signature;  // see Bind
  absl::StatusOr<Value> (*call)(const Invocation& invocation);
};

// nullptr: there is none of this name.
const Filter* FindFilter(absl::string_view name);

absl::StatusOr<Value> CallFilter(Runtime& runtime, const Filter& filter, const Value& value,
                                 const Arguments& arguments);

// The parts of the table: filters of text (text_filters.cc), of numbers (number_filters.cc), of lists and dicts
// (sequence_filters.cc), and those that sort (sort_filters.cc).
absl::Span<const Filter> TextFilters();
absl::Span<const Filter> NumberFilters();
absl::Span<const Filter> SequenceFilters();
absl::Span<const Filter> SortFilters();

// The value at a path such as "function.name" or "0"; nullptr or none: the value itself. `otherwise` (may be null)
// stands for what is undefined on the way.
absl::StatusOr<Value> AtPath(Runtime& runtime, const Value& value, const Value* path, const Value* otherwise);

// `values` in order of `keys`, equal ones as they were. kInvalidArgument: two keys that have no order.
absl::StatusOr<std::vector<Value>> Sorted(Runtime& runtime, const std::vector<Value>& values,
                                          const std::vector<Value>& keys, bool reverse);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_FILTERS_H_
