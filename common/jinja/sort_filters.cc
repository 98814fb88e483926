// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/jinja/filters.h"
#include "common/jinja/operators.h"
#include "common/jinja/text_ops.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<Value>;

// What an item is compared by.
Result Key(const Invocation& call, const Value& item, const Value* path, const Value* otherwise, bool case_sensitive) {
  KEDGE_RETURN_IF_ERROR(call.account()->Step());
  KEDGE_ASSIGN_OR_RETURN(Value key, AtPath(call.runtime, item, path, otherwise));
  if (case_sensitive || !key.is(Value::Kind::kString)) return key;
  return AsString(Lower(call.account(), key.text()));
}

absl::StatusOr<std::vector<Value>> Keys(const Invocation& call, const std::vector<Value>& items, const Value* path,
                                        const Value* otherwise, bool case_sensitive) {
  std::vector<Value> keys;
  for (const Value& item : items) {
    KEDGE_ASSIGN_OR_RETURN(keys.emplace_back(), Key(call, item, path, otherwise, case_sensitive));
  }
  return keys;
}

// Several paths, "name,age", give a list of keys.
Result SortKey(const Invocation& call, const Value& item, const Value* attribute, bool case_sensitive) {
  std::vector<Value> keys;
  if (attribute == nullptr || !attribute->is(Value::Kind::kString)) {
    KEDGE_ASSIGN_OR_RETURN(keys.emplace_back(), Key(call, item, attribute, nullptr, case_sensitive));
  } else {
    for (const absl::string_view part : absl::StrSplit(attribute->text().bytes(), ',')) {
      const Value path = Value::Text(part);
      KEDGE_ASSIGN_OR_RETURN(keys.emplace_back(), Key(call, item, &path, nullptr, case_sensitive));
    }
  }
  return AsList(call.account(), std::move(keys));
}

Result Sort(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  std::vector<Value> keys;
  for (const Value& item : items.sequence().values) {
    KEDGE_ASSIGN_OR_RETURN(keys.emplace_back(), SortKey(call, item, call.given[2], call.Flag(1, false)));
  }
  KEDGE_ASSIGN_OR_RETURN(std::vector<Value> sorted,
                         Sorted(call.runtime, items.sequence().values, keys, call.Flag(0, false)));
  return AsList(call.account(), std::move(sorted));
}

Result DictSort(const Invocation& call) {
  if (call.subject.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(call.subject.undefined());
  if (!call.subject.is(Value::Kind::kDict)) {
    return absl::InvalidArgumentError(absl::StrCat("dictsort needs a dict, not a ", TypeName(call.subject)));
  }
  KEDGE_ASSIGN_OR_RETURN(const Text by, call.String(1, "key"));
  if (by.bytes() != "key" && by.bytes() != "value") {
    return absl::InvalidArgumentError("dictsort: you can only sort by either `key` or `value`");
  }
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : call.subject.members().values) {
    KEDGE_ASSIGN_OR_RETURN(items.emplace_back(), AsList(call.account(), {key, value}, Sequence::Kind::kTuple));
    KEDGE_ASSIGN_OR_RETURN(keys.emplace_back(),
                           Key(call, by.bytes() == "key" ? key : value, nullptr, nullptr, call.Flag(0, false)));
  }
  KEDGE_ASSIGN_OR_RETURN(std::vector<Value> sorted, Sorted(call.runtime, items, keys, call.Flag(2, false)));
  return AsList(call.account(), std::move(sorted));
}

Result Unique(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  Members seen;
  std::vector<Value> unique;
  for (const Value& item : items.sequence().values) {
    KEDGE_ASSIGN_OR_RETURN(const Value key, Key(call, item, call.given[1], nullptr, call.Flag(0, false)));
    KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(call.account(), key));
    if (!hashable) return absl::InvalidArgumentError(absl::StrCat("unique: a ", TypeName(key), " has no hash"));
    if (seen.Find(key) != nullptr) continue;
    seen.Set(key, Value::None());
    unique.push_back(item);
  }
  return AsList(call.account(), std::move(unique), Sequence::Kind::kOnce);
}

template <Operator better>
Result Extreme(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  const std::vector<Value>& values = items.sequence().values;
  if (values.empty()) return Value::Undefined("no aggregated item, sequence was empty");
  KEDGE_ASSIGN_OR_RETURN(const std::vector<Value> keys,
                         Keys(call, values, call.given[1], nullptr, call.Flag(0, false)));
  size_t best = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(const bool is_better, Compare(call.runtime, better, keys[i], keys[best]));
    if (is_better) best = i;
  }
  return values[best];
}

// A group: a tuple (grouper, list) that has these names as well.
Result GroupBy(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), call.subject));
  const Value* otherwise = call.HasValue(1) ? call.given[1] : nullptr;
  const bool case_sensitive = call.Flag(2, false);
  KEDGE_ASSIGN_OR_RETURN(std::vector<Value> keys,
                         Keys(call, items.sequence().values, call.given[0], otherwise, case_sensitive));
  KEDGE_ASSIGN_OR_RETURN(const std::vector<Value> sorted, Sorted(call.runtime, items.sequence().values, keys, false));
  KEDGE_ASSIGN_OR_RETURN(keys, Keys(call, sorted, call.given[0], otherwise, case_sensitive));
  std::vector<Value> groups;
  for (size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    bool same = true;
    while (same && ++end < sorted.size()) {
      KEDGE_ASSIGN_OR_RETURN(same, Equal(call.account(), keys[end], keys[begin]));
    }
    KEDGE_ASSIGN_OR_RETURN(const Value key, Key(call, sorted[begin], call.given[0], otherwise, true));
    KEDGE_ASSIGN_OR_RETURN(const Value members,
                           AsList(call.account(), std::vector<Value>(sorted.begin() + begin, sorted.begin() + end)));
    KEDGE_ASSIGN_OR_RETURN(groups.emplace_back(), AsList(call.account(), {key, members}, Sequence::Kind::kTuple));
  }
  return AsList(call.account(), std::move(groups));
}

constexpr Filter kFilters[] = {
    {"dictsort", "case_sensitive? by? reverse?", &DictSort},
    {"groupby", "attribute default? case_sensitive?", &GroupBy},
    {"max", "case_sensitive? attribute?", &Extreme<Operator::kGreater>},
    {"min", "case_sensitive? attribute?", &Extreme<Operator::kLess>},
    {"sort", "reverse? case_sensitive? attribute?", &Sort},
    {"unique", "case_sensitive? attribute?", &Unique},
};

}  // namespace

// Merges runs from below: the library's sort may not be given an order that fails or contradicts itself.
absl::StatusOr<std::vector<Value>> Sorted(Runtime& runtime, const std::vector<Value>& values,
                                          const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> merged(values.size());
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size());
      const size_t end = std::min(begin + 2 * width, order.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t i = begin; i < end; ++i) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          KEDGE_RETURN_IF_ERROR(runtime.account()->Step());
          const Value& a = keys[order[right]];
          const Value& b = keys[order[left]];
          KEDGE_ASSIGN_OR_RETURN(
              take_right, reverse ? Compare(runtime, Operator::kLess, b, a) : Compare(runtime, Operator::kLess, a, b));
        }
        merged[i] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  std::vector<Value> sorted;
  for (const size_t index : order) sorted.push_back(values[index]);
  return sorted;
}

absl::Span<const Filter> SortFilters() { return kFilters; }

}  // namespace kedge::jinja
