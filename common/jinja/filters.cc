// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/filters.h"

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/jinja/operators.h"

namespace kedge::jinja {

const Filter* FindFilter(absl::string_view name) {
  static const auto* const table = [] {
    auto* map = new absl::flat_hash_map<absl::string_view, const Filter*>();
    for (const auto filters : {TextFilters(), NumberFilters(), SequenceFilters(), SortFilters()}) {
      for (const Filter& filter : filters) map->emplace(filter.name, &filter);
    }
    return map;
  }();
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

absl::StatusOr<Value> CallFilter(Runtime& runtime, const Filter& filter, const Value& value,
                                 const Arguments& arguments) {
  Invocation invocation{runtime, value, arguments, {}};
  KEDGE_RETURN_IF_ERROR(Bind(absl::StrCat("the filter `", filter.name, "`"), filter.signature, invocation));
  return filter.call(invocation);
}

absl::StatusOr<int64_t> LengthOf(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return 0;
    case Value::Kind::kString:
      return static_cast<int64_t>(value.text().characters());
    case Value::Kind::kDict:
      return static_cast<int64_t>(value.members().values.size());
    case Value::Kind::kSequence:
      if (value.sequence().sized()) return static_cast<int64_t>(value.sequence().values.size());
      break;
    default:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(value), " has no length"));
}

absl::StatusOr<Value> AtPath(Runtime& runtime, const Value& value, const Value* path, const Value* otherwise) {
  if (path == nullptr || path->is(Value::Kind::kNone)) return value;
  if (!path->is(Value::Kind::kString)) return GetItem(runtime, value, *path);
  Value found = value;
  for (const absl::string_view part : absl::StrSplit(path->text().bytes(), '.')) {
    int64_t index = 0;
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == absl::string_view::npos &&
                           absl::SimpleAtoi(part, &index);
    KEDGE_ASSIGN_OR_RETURN(found, GetItem(runtime, found, is_number ? Value::Int(index) : Value::Text(part)));
    if (otherwise != nullptr && found.is(Value::Kind::kUndefined)) found = *otherwise;
  }
  return found;
}

}  // namespace kedge::jinja
