// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/methods.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/markup.h"

namespace kedge::jinja {
namespace {

using Table = absl::flat_hash_map<absl::string_view, const Method*>;

absl::StatusOr<Value> Keys(const Invocation& call) {
  std::vector<Value> keys;
  for (const auto& [key, value] : call.subject.members().values) keys.push_back(key);
  return AsList(call.account(), std::move(keys), Sequence::Kind::kKeys);
}

absl::StatusOr<Value> Values(const Invocation& call) {
  std::vector<Value> values;
  for (const auto& [key, value] : call.subject.members().values) values.push_back(value);
  return AsList(call.account(), std::move(values), Sequence::Kind::kValues);
}

absl::StatusOr<Value> DictItems(const Invocation& call) {
  std::vector<Value> items;
  for (const auto& [key, value] : call.subject.members().values) {
    KEDGE_ASSIGN_OR_RETURN(items.emplace_back(), AsList(call.account(), {key, value}, Sequence::Kind::kTuple));
  }
  return AsList(call.account(), std::move(items), Sequence::Kind::kItems);
}

absl::StatusOr<Value> Get(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(call.account(), *call.given[0]));
  if (!hashable) {
    return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(*call.given[0]), " cannot be a key"));
  }
  if (const Value* value = call.subject.members().Find(*call.given[0])) return *value;
  return call.Has(1) ? *call.given[1] : Value::None();
}

absl::StatusOr<Value> Copy(const Invocation& call) { return call.subject; }

absl::StatusOr<Value> Count(const Invocation& call) {
  const std::vector<Value>& values = call.subject.sequence().values;
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(values.size())));
  int64_t count = 0;
  for (const Value& value : values) {
    KEDGE_ASSIGN_OR_RETURN(const bool equal, Equal(call.account(), value, *call.given[0]));
    count += equal;
  }
  return Value::Int(count);
}

absl::StatusOr<Value> Index(const Invocation& call) {
  const std::vector<Value>& values = call.subject.sequence().values;
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(const bool equal, Equal(call.account(), values[i], *call.given[0]));
    if (equal) return Value::Int(static_cast<int64_t>(i));
  }
  return absl::InvalidArgumentError("index(): the list does not have it");
}

constexpr Method kDictMethods[] = {
    {"copy", "", &Copy}, {"get", "key default?", &Get}, {"items", "", &DictItems},
    {"keys", "", &Keys}, {"values", "", &Values},
};
constexpr Method kListMethods[] = {{"copy", "", &Copy}, {"count", "value", &Count}, {"index", "value", &Index}};
constexpr Method kTupleMethods[] = {{"count", "value", &Count}, {"index", "value", &Index}};

const Method* Find(absl::Span<const Method> methods, absl::string_view name) {
  for (const Method& method : methods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

const Method* FindStringMethod(absl::string_view name) {
  static const Table* const table = [] {
    auto* map = new Table();
    for (const Method& method : StringMethods()) map->emplace(method.name, &method);
    return map;
  }();
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

}  // namespace

const Method* FindMethod(const Value& value, absl::string_view name) {
  if (value.is(Value::Kind::kString)) return FindStringMethod(name);
  if (value.is(Value::Kind::kDict)) return Find(kDictMethods, name);
  if (!value.is(Value::Kind::kSequence)) return nullptr;
  if (value.sequence().kind == Sequence::Kind::kList) return Find(kListMethods, name);
  return value.sequence().indexed() ? Find(kTupleMethods, name) : nullptr;
}

absl::StatusOr<Value> CallMethod(Runtime& runtime, const Value& value, const Method& method,
                                 const Arguments& arguments) {
  const auto call = [&](const Arguments& given) -> absl::StatusOr<Value> {
    Invocation invocation{runtime, value, given, {}};
    KEDGE_RETURN_IF_ERROR(Bind(absl::StrCat(method.name, "()"), method.signature, invocation));
    return method.call(invocation);
  };
  if (!value.is_markup() || method.of_markup == OfMarkup::kPlain) return call(arguments);
  if (method.of_markup == OfMarkup::kMarked) return Marked(runtime.account(), call(arguments));
  KEDGE_ASSIGN_OR_RETURN(const Arguments escaped, EscapedArguments(runtime.account(), arguments));
  return Marked(runtime.account(), call(escaped));
}

}  // namespace kedge::jinja
