// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/filters.h"
#include "common/jinja/operators.h"
#include "common/jinja/print.h"
#include "common/jinja/tests.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<Value>;

Result Length(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t length, LengthOf(call.subject));
  return Value::Int(length);
}

Result Default(const Invocation& call) {
  const bool missing = call.subject.is(Value::Kind::kUndefined) || (call.Flag(1, false) && !IsTrue(call.subject));
  if (!missing) return call.subject;
  return call.Has(0) ? *call.given[0] : Value::Text("");
}

Result First(const Invocation& call) {
  if (call.subject.is(Value::Kind::kSequence) && !call.subject.sequence().sized()) {
    const Sequence& sequence = call.subject.sequence();
    if (sequence.taken == sequence.values.size()) return Value::Undefined("there is no first item");
    return sequence.values[sequence.taken++];
  }
  if (call.subject.is(Value::Kind::kString)) return GetItem(call.runtime, call.subject, Value::Int(0));
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  if (items.sequence().values.empty()) return Value::Undefined("there is no first item");
  return items.sequence().values.front();
}

Result Last(const Invocation& call) {
  if (call.subject.is(Value::Kind::kSequence) && !call.subject.sequence().sized()) {
    return absl::InvalidArgumentError("a generator has no last item; the filter `list` makes a list of it");
  }
  if (call.subject.is(Value::Kind::kString)) return GetItem(call.runtime, call.subject, Value::Int(-1));
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  if (items.sequence().values.empty()) return Value::Undefined("there is no last item");
  return items.sequence().values.back();
}

Result List(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  if (items.sequence().kind == Sequence::Kind::kList) return items;
  return AsList(call.account(), items.sequence().values);
}

Result Join(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  KEDGE_ASSIGN_OR_RETURN(const Text separator,
                         call.Has(0) ? ToText(call.account(), *call.given[0]) : absl::StatusOr<Text>(Text()));
  TextBuilder builder(call.account());
  bool first = true;
  for (const Value& item : items.sequence().values) {
    KEDGE_RETURN_IF_ERROR(call.account()->Step());
    if (!first) builder.Append(separator);
    first = false;
    KEDGE_ASSIGN_OR_RETURN(const Value value, AtPath(call.runtime, item, call.given[1], nullptr));
    KEDGE_RETURN_IF_ERROR(AppendText(value, builder));
  }
  return AsString(builder.Build());
}

Result ItemsFilter(const Invocation& call) {
  if (call.subject.is(Value::Kind::kUndefined)) return AsList(call.account(), {}, Sequence::Kind::kOnce);
  if (!call.subject.is(Value::Kind::kDict)) {
    return absl::InvalidArgumentError(absl::StrCat("the filter `items` needs a dict, not a ", TypeName(call.subject)));
  }
  std::vector<Value> items;
  for (const auto& [key, value] : call.subject.members().values) {
    KEDGE_ASSIGN_OR_RETURN(items.emplace_back(), AsList(call.account(), {key, value}, Sequence::Kind::kTuple));
  }
  return AsList(call.account(), std::move(items), Sequence::Kind::kOnce);
}

Result Reverse(const Invocation& call) {
  if (call.subject.is(Value::Kind::kString)) {
    const Value step = Value::Int(-1);
    return GetSlice(call.runtime, call.subject, nullptr, nullptr, &step);
  }
  if (call.subject.is(Value::Kind::kUndefined)) return AsList(call.account(), {});
  const bool is_generator = call.subject.is(Value::Kind::kSequence) && !call.subject.sequence().sized();
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  std::vector<Value> values(items.sequence().values.rbegin(), items.sequence().values.rend());
  return AsList(call.account(), std::move(values), is_generator ? Sequence::Kind::kList : Sequence::Kind::kOnce);
}

// Arguments without the first `count`.
Arguments Behind(const Arguments& arguments, size_t count) {
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + count, arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

absl::Status CheckName(const Value& name, absl::string_view of_what) {
  if (name.is(Value::Kind::kString)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the name of a ", of_what, " is expected, not a ", TypeName(name)));
}

Result MapFilter(const Invocation& call) {
  const Arguments& arguments = call.arguments;
  std::vector<Value> mapped;
  if (!IsTrue(call.subject)) return AsList(call.account(), {}, Sequence::Kind::kOnce);
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  if (arguments.positional.empty()) {
    const Value* attribute = arguments.Named("attribute");
    if (attribute == nullptr) return absl::InvalidArgumentError("map needs the name of a filter, or `attribute`");
    const Value* otherwise = arguments.Named("default");
    if (arguments.named.size() > (otherwise == nullptr ? 1 : 2)) {
      return absl::InvalidArgumentError("map takes `attribute` and `default` alone");
    }
    if (otherwise != nullptr && otherwise->is(Value::Kind::kNone)) otherwise = nullptr;
    for (const Value& item : items.sequence().values) {
      KEDGE_RETURN_IF_ERROR(call.account()->Step());
      KEDGE_ASSIGN_OR_RETURN(mapped.emplace_back(), AtPath(call.runtime, item, attribute, otherwise));
    }
    return AsList(call.account(), std::move(mapped), Sequence::Kind::kOnce);
  }
  const Value& name = arguments.positional[0];
  KEDGE_RETURN_IF_ERROR(CheckName(name, "filter"));
  const Filter* filter = FindFilter(name.text().bytes());
  if (filter == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("there is no filter `", name.text().bytes(), "`"));
  }
  const Arguments rest = Behind(arguments, 1);
  for (const Value& item : items.sequence().values) {
    KEDGE_RETURN_IF_ERROR(call.account()->Step());
    KEDGE_ASSIGN_OR_RETURN(mapped.emplace_back(), CallFilter(call.runtime, *filter, item, rest));
  }
  return AsList(call.account(), std::move(mapped), Sequence::Kind::kOnce);
}

// Items, or items whose attribute, passes a test, or is true where none is given.
template <bool wanted, bool by_attribute>
Result Select(const Invocation& call) {
  if (!IsTrue(call.subject)) return AsList(call.account(), {}, Sequence::Kind::kOnce);
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  const std::vector<Value>& given = call.arguments.positional;
  const size_t own = by_attribute ? 1 : 0;
  if (given.size() < own) return absl::InvalidArgumentError("the name of an attribute is missing");
  const Test* test = nullptr;
  Arguments rest;
  if (given.size() > own) {
    KEDGE_RETURN_IF_ERROR(CheckName(given[own], "test"));
    test = FindTest(given[own].text().bytes());
    if (test == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("there is no test `", given[own].text().bytes(), "`"));
    }
    rest = Behind(call.arguments, own + 1);
  }
  std::vector<Value> selected;
  for (const Value& item : items.sequence().values) {
    KEDGE_RETURN_IF_ERROR(call.account()->Step());
    KEDGE_ASSIGN_OR_RETURN(const Value value, AtPath(call.runtime, item, by_attribute ? &given[0] : nullptr, nullptr));
    bool passes = IsTrue(value);
    if (test != nullptr) {
      KEDGE_ASSIGN_OR_RETURN(passes, CallTest(call.runtime, *test, value, rest));
    }
    if (passes == wanted) selected.push_back(item);
  }
  return AsList(call.account(), std::move(selected), Sequence::Kind::kOnce);
}

Result Attr(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text name, call.String(0));
  if (!call.subject.is(Value::Kind::kDict)) return GetAttribute(call.runtime, call.subject, name.bytes());
  // A method, never a member.
  KEDGE_ASSIGN_OR_RETURN(const Value empty, Value::FromMembers(call.account(), {}));
  KEDGE_ASSIGN_OR_RETURN(const Value found, GetAttribute(call.runtime, empty, name.bytes()));
  return found.is(Value::Kind::kUndefined) ? found : GetAttribute(call.runtime, call.subject, name.bytes());
}

Result Batch(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  KEDGE_ASSIGN_OR_RETURN(const int64_t size, call.Int(0, 1));
  std::vector<Value> batches;
  std::vector<Value> batch;
  const auto close = [&]() -> absl::Status {
    KEDGE_ASSIGN_OR_RETURN(batches.emplace_back(), AsList(call.account(), std::move(batch)));
    batch.clear();
    return absl::OkStatus();
  };
  bool begun = false;
  for (const Value& item : items.sequence().values) {
    if (static_cast<int64_t>(batch.size()) == size) KEDGE_RETURN_IF_ERROR(close());
    batch.push_back(item);
    begun = true;
  }
  if (begun && !batch.empty()) {
    if (call.HasValue(1) && size > 0) {
      KEDGE_RETURN_IF_ERROR(call.account()->Check(std::min(size, int64_t{1} << 40) * sizeof(Value)));
    }
    while (call.HasValue(1) && static_cast<int64_t>(batch.size()) < size) {
      KEDGE_RETURN_IF_ERROR(call.account()->Step());
      batch.push_back(*call.given[1]);
    }
    KEDGE_RETURN_IF_ERROR(close());
  }
  return AsList(call.account(), std::move(batches), Sequence::Kind::kOnce);
}

Result SliceFilter(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  const std::vector<Value>& values = items.sequence().values;
  KEDGE_ASSIGN_OR_RETURN(const int64_t slices, call.Int(0, 1));
  if (slices == 0) return absl::InvalidArgumentError("slice: division by zero");
  std::vector<Value> result;
  const int64_t each = slices > 0 ? static_cast<int64_t>(values.size()) / slices : 0;
  const int64_t larger = slices > 0 ? static_cast<int64_t>(values.size()) % slices : 0;
  int64_t begin = 0;
  for (int64_t i = 0; i < slices; ++i) {
    KEDGE_RETURN_IF_ERROR(call.account()->Step());
    const int64_t end = begin + each + (i < larger ? 1 : 0);
    std::vector<Value> slice(values.begin() + begin, values.begin() + end);
    if (call.HasValue(1) && i >= larger) slice.push_back(*call.given[1]);
    KEDGE_ASSIGN_OR_RETURN(result.emplace_back(), AsList(call.account(), std::move(slice)));
    begin = end;
  }
  return AsList(call.account(), std::move(result), Sequence::Kind::kOnce);
}

constexpr Filter kFilters[] = {
    {"attr", "name", &Attr},
    {"batch", "linecount fill_with?", &Batch},
    {"count", "", &Length},
    {"d", "default_value? boolean?", &Default},
    {"default", "default_value? boolean?", &Default},
    {"first", "", &First},
    {"items", "", &ItemsFilter},
    {"join", "d? attribute?", &Join},
    {"last", "", &Last},
    {"length", "", &Length},
    {"list", "", &List},
    {"map", "*", &MapFilter},
    {"reject", "*", &Select<false, false>},
    {"rejectattr", "*", &Select<false, true>},
    {"reverse", "", &Reverse},
    {"select", "*", &Select<true, false>},
    {"selectattr", "*", &Select<true, true>},
    {"slice", "slices fill_with?", &SliceFilter},
};

}  // namespace

absl::Span<const Filter> SequenceFilters() { return kFilters; }

}  // namespace kedge::jinja
