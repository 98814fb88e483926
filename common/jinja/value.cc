// Tested by value_test.cc.
#include "common/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/numeric/bits.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/json_text.h"
#include "common/base/status.h"
#include "common/jinja/object.h"

namespace kedge::jinja {
namespace {

// Functions that walk through a value recurse once a level.
constexpr int kMaxDepth = 100;
// Below this a dict is searched without an index.
constexpr size_t kFewMembers = 8;

absl::Status CheckDepth(int depth) {
  if (depth <= kMaxDepth) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("lists and dicts are nested more than ", kMaxDepth, " deep"));
}

// Appends what only equal keys have in common. False: not hashable. What is `nested` says where it ends.
bool AppendKeyName(const Value& key, bool nested, std::string& name) {
  switch (key.kind()) {
    case Value::Kind::kUndefined:
      absl::StrAppend(&name, "u;");
      return true;
    case Value::Kind::kNone:
      absl::StrAppend(&name, "n;");
      return true;
    case Value::Kind::kBool:
    case Value::Kind::kInt:
      absl::StrAppend(&name, "i", key.as_int(), ";");
      return true;
    case Value::Kind::kFloat: {
      const double number = key.as_double();
      if (number == std::floor(number) && std::abs(number) < 9e18) {
        absl::StrAppend(&name, "i", static_cast<int64_t>(number), ";");
      } else {
        absl::StrAppend(&name, "f", absl::Hex(absl::bit_cast<uint64_t>(number)), ";");
      }
      return true;
    }
    case Value::Kind::kString:
      if (nested) absl::StrAppend(&name, key.text().size());
      absl::StrAppend(&name, "s", key.text().bytes());
      return true;
    case Value::Kind::kObject:
      absl::StrAppend(&name, "o", absl::Hex(reinterpret_cast<uintptr_t>(key.object())), ";");
      return true;
    case Value::Kind::kDict:
      return false;
    case Value::Kind::kSequence:
      break;
  }
  const Sequence& sequence = key.sequence();
  if (sequence.kind != Sequence::Kind::kTuple && sequence.kind != Sequence::Kind::kRange) return false;
  absl::StrAppend(&name, sequence.kind == Sequence::Kind::kTuple ? "t" : "r", sequence.values.size(), ":");
  return std::all_of(sequence.values.begin(), sequence.values.end(),
                     [&](const Value& value) { return AppendKeyName(value, /*nested=*/true, name); });
}

// Nullopt: not hashable.
std::optional<std::string> KeyName(const Value& key) {
  std::string name;
  if (!AppendKeyName(key, /*nested=*/false, name)) return std::nullopt;
  return name;
}

// Far from where a sum of two would wrap.
int64_t AddWeights(int64_t a, int64_t b) { return std::min(a + b, int64_t{1} << 60); }

bool EqualValues(const Value& a, const Value& b);

bool SameSequence(const std::vector<Value>& a, const std::vector<Value>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), &EqualValues);
}

bool EqualNumbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return a.as_int() == b.as_int();
  if (a.is_integer() != b.is_integer()) {
    const double number = a.is_integer() ? b.as_double() : a.as_double();
    const int64_t integer = a.is_integer() ? a.as_int() : b.as_int();
    // 2^63 has no int64_t; below it every whole double has one.
    return std::abs(number) < 9223372036854775808.0 && number == std::floor(number) &&
           static_cast<int64_t>(number) == integer;
  }
  return a.as_double() == b.as_double();
}

void Measure(Sequence& sequence) {
  for (const Value& value : sequence.values) {
    sequence.depth = std::max(sequence.depth, 1 + value.depth());
    sequence.weight = AddWeights(sequence.weight, value.weight());
  }
}

void Measure(Members& members) {
  for (const auto& [key, value] : members.values) {
    members.depth = std::max({members.depth, 1 + key.depth(), 1 + value.depth()});
    members.weight = AddWeights(members.weight, AddWeights(key.weight(), value.weight()));
  }
}

// At most `levels` of arrays and objects.
absl::StatusOr<Value> ReadJson(const nlohmann::ordered_json& json, Origin origin, int levels) {
  if (levels < 0) {
    return absl::InvalidArgumentError(absl::StrCat("JSON is nested more than ", kMaxJsonDepth, " deep"));
  }
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value::Bool(json.get<bool>(), origin);
    case nlohmann::ordered_json::value_t::number_integer:
      return Value::Int(json.get<int64_t>(), origin);
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Value::Float(static_cast<double>(json.get<uint64_t>()), origin);
      }
      return Value::Int(json.get<int64_t>(), origin);
    case nlohmann::ordered_json::value_t::number_float:
      return Value::Float(json.get<double>(), origin);
    case nlohmann::ordered_json::value_t::string:
      return Value::Text(json.get_ref<const std::string&>(), origin);
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> values;
      for (const auto& item : json) {
        KEDGE_ASSIGN_OR_RETURN(values.emplace_back(), ReadJson(item, origin, levels - 1));
      }
      return Value::List(std::move(values), origin);
    }
    case nlohmann::ordered_json::value_t::object: {
      std::vector<std::pair<std::string, Value>> members;
      for (const auto& member : json.items()) {
        KEDGE_ASSIGN_OR_RETURN(Value value, ReadJson(member.value(), origin, levels - 1));
        members.emplace_back(member.key(), std::move(value));
      }
      return Value::Dict(std::move(members), origin);
    }
    default:
      return Value::None(origin);
  }
}

bool EqualValues(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return EqualNumbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Value::Kind::kString:
      return a.text().bytes() == b.text().bytes();
    case Value::Kind::kObject:
      return a.object() == b.object();
    case Value::Kind::kSequence: {
      const Sequence& left = a.sequence();
      const Sequence& right = b.sequence();
      if (&left == &right) return true;
      return left.kind == right.kind && left.indexed() && SameSequence(left.values, right.values);
    }
    case Value::Kind::kDict: {
      const Members& left = a.members();
      const Members& right = b.members();
      if (left.values.size() != right.values.size()) return false;
      return std::all_of(left.values.begin(), left.values.end(), [&](const auto& member) {
        const Value* other = right.Find(member.first);
        return other != nullptr && EqualValues(member.second, *other);
      });
    }
    default:
      return true;  // None, undefined
  }
}

}  // namespace

Value Value::Undefined(absl::string_view what) { return Value(std::make_shared<const std::string>(what), kTemplate); }

Value Value::List(std::vector<Value> values, Origin origin) {
  Sequence sequence;
  sequence.values = std::move(values);
  Measure(sequence);
  return Value(std::shared_ptr<const Sequence>(std::make_shared<Sequence>(std::move(sequence))), origin);
}

Value Value::Dict(std::vector<std::pair<std::string, Value>> members, Origin origin) {
  jinja::Members dict;
  for (auto& [key, value] : members) dict.Set(Text(key, origin), std::move(value));
  Measure(dict);
  return Value(std::shared_ptr<const jinja::Members>(std::make_shared<jinja::Members>(std::move(dict))), origin);
}

absl::StatusOr<Value> Value::FromJson(const nlohmann::ordered_json& json, Origin origin) {
  return ReadJson(json, origin, kMaxJsonDepth);
}

absl::StatusOr<Value> Value::FromSequence(Account* account, Sequence sequence, Origin origin) {
  Measure(sequence);
  KEDGE_RETURN_IF_ERROR(CheckDepth(sequence.depth));
  const size_t bytes = sizeof(Sequence) + sequence.values.capacity() * sizeof(Value);
  KEDGE_RETURN_IF_ERROR(account->Take(bytes));
  sequence.holding = Holding(account, bytes);
  KEDGE_RETURN_IF_ERROR(account->Step(static_cast<int64_t>(sequence.values.size() / 8)));
  return Value(std::shared_ptr<const Sequence>(std::make_shared<Sequence>(std::move(sequence))), origin);
}

absl::StatusOr<Value> Value::FromMembers(Account* account, jinja::Members members, Origin origin) {
  Measure(members);
  KEDGE_RETURN_IF_ERROR(CheckDepth(members.depth));
  size_t bytes = sizeof(jinja::Members) + members.values.capacity() * 4 * sizeof(Value);
  for (const auto& [name, place] : members.index) bytes += name.size();
  KEDGE_RETURN_IF_ERROR(account->Take(bytes));
  members.holding = Holding(account, bytes);
  KEDGE_RETURN_IF_ERROR(account->Step(static_cast<int64_t>(members.values.size())));
  return Value(std::shared_ptr<const jinja::Members>(std::make_shared<jinja::Members>(std::move(members))), origin);
}

absl::string_view Value::undefined() const {
  const std::shared_ptr<const std::string>& what = std::get<0>(data_);
  return what == nullptr ? "a value is undefined" : absl::string_view(*what);
}

double Value::as_double() const { return is(Kind::kFloat) ? std::get<double>(data_) : static_cast<double>(as_int()); }

int Value::depth() const { return is(Kind::kSequence) ? sequence().depth : is(Kind::kDict) ? members().depth : 0; }

int64_t Value::weight() const {
  switch (kind()) {
    case Kind::kString:
      return 1 + static_cast<int64_t>(text().size() / 256);
    case Kind::kSequence:
      return sequence().weight;
    case Kind::kDict:
      return members().weight;
    default:
      return 1;
  }
}

bool Value::SameAs(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kSequence:
      return &sequence() == &other.sequence();
    case Kind::kDict:
      return &members() == &other.members();
    default:
      return EqualValues(*this, other);
  }
}

const Value* Members::FindName(const std::string& name) const {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : &values[found->second].second;
}

const Value* Members::Find(const Value& key) const {
  if (key.is(Value::Kind::kString)) return Find(key.text().bytes());
  const std::optional<std::string> name = KeyName(key);
  return name.has_value() ? FindName(*name) : nullptr;
}

const Value* Members::Find(absl::string_view key) const {
  if (values.size() > kFewMembers) return FindName(absl::StrCat("s", key));
  for (const auto& [member, value] : values) {
    if (member.is(Value::Kind::kString) && member.text().bytes() == key) return &value;
  }
  return nullptr;
}

void Members::Set(const Value& key, Value value) {
  const std::optional<std::string> name = KeyName(key);
  KEDGE_CHECK(name.has_value());
  const auto [place, added] = index.emplace(*name, values.size());
  if (added) {
    values.emplace_back(key, std::move(value));
  } else {
    values[place->second].second = std::move(value);
  }
}

absl::StatusOr<bool> IsHashable(Account* account, const Value& value) {
  if (value.is(Value::Kind::kDict)) return false;
  if (!value.is(Value::Kind::kSequence)) {
    KEDGE_RETURN_IF_ERROR(account->Step(value.weight() - 1));
    return true;
  }
  const Sequence& sequence = value.sequence();
  if (sequence.kind != Sequence::Kind::kTuple && sequence.kind != Sequence::Kind::kRange) return false;
  KEDGE_RETURN_IF_ERROR(account->Step(sequence.weight));
  return KeyName(value).has_value();
}

bool IsTrue(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kUndefined:
    case Value::Kind::kNone:
      return false;
    case Value::Kind::kBool:
    case Value::Kind::kInt:
      return value.as_int() != 0;
    case Value::Kind::kFloat:
      return value.as_double() != 0;
    case Value::Kind::kString:
      return !value.text().empty();
    case Value::Kind::kSequence:
      return !value.sequence().sized() || !value.sequence().values.empty();
    case Value::Kind::kDict:
      return !value.members().values.empty();
    case Value::Kind::kObject:
      return true;
  }
  return false;
}

absl::StatusOr<bool> Equal(Account* account, const Value& a, const Value& b) {
  KEDGE_RETURN_IF_ERROR(account->Step(std::min(a.weight(), b.weight()) - 1));
  return EqualValues(a, b);
}

absl::string_view TypeName(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return "Undefined";
    case Value::Kind::kNone:
      return "NoneType";
    case Value::Kind::kBool:
      return "bool";
    case Value::Kind::kInt:
      return "int";
    case Value::Kind::kFloat:
      return "float";
    case Value::Kind::kString:
      return "str";
    case Value::Kind::kDict:
      return "dict";
    case Value::Kind::kObject:
      return value.object()->type();
    case Value::Kind::kSequence:
      break;
  }
  switch (value.sequence().kind) {
    case Sequence::Kind::kList:
      return "list";
    case Sequence::Kind::kTuple:
      return "tuple";
    case Sequence::Kind::kRange:
      return "range";
    case Sequence::Kind::kKeys:
      return "dict_keys";
    case Sequence::Kind::kValues:
      return "dict_values";
    case Sequence::Kind::kItems:
      return "dict_items";
    case Sequence::Kind::kOnce:
      return "generator";
  }
  return "";
}

}  // namespace kedge::jinja
