// The sandbox: there are no attributes but the methods of methods.h, what objects offer, and members of dicts.
// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/invocation.h"
#include "common/jinja/markup.h"
#include "common/jinja/methods.h"
#include "common/jinja/operators.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

Value NoAttribute(const Value& value, absl::string_view name) {
  return Value::Undefined(absl::StrCat("'", TypeName(value), " object' has no attribute '", Shortened(name), "'"));
}

// nullopt: none of this name.
absl::StatusOr<std::optional<Value>> FindAttribute(Runtime& runtime, const Value& value, absl::string_view name) {
  if (value.is(Value::Kind::kObject)) return value.object()->Attribute(name);
  const Method* method = FindMethod(value, name);
  if (method == nullptr) return std::optional<Value>();
  KEDGE_ASSIGN_OR_RETURN(BoundMethod * bound, runtime.Keep(std::make_unique<BoundMethod>(value, method)));
  return std::optional<Value>(Value::FromObject(bound));
}

// The item of a string or list; an undefined value beyond its ends.
absl::StatusOr<Value> ItemAt(Runtime& runtime, const Value& value, int64_t index) {
  const bool is_string = value.is(Value::Kind::kString);
  const int64_t size = static_cast<int64_t>(is_string ? value.text().characters() : value.sequence().values.size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) {
    return Value::Undefined(absl::StrCat(TypeName(value), " object has no element ", index));
  }
  if (!is_string) return value.sequence().values[index];
  if (!value.text().ascii()) KEDGE_RETURN_IF_ERROR(runtime.account()->StepBytes(value.text().size()));
  const size_t begin = value.text().Offset(index);
  absl::StatusOr<Value> item =
      AsString(value.text().Slice(runtime.account(), begin, begin + CharacterLength(value.text().bytes()[begin])));
  return value.is_markup() ? Marked(runtime.account(), std::move(item)) : item;
}

// A slice as Python resolves it for a sequence of `size` items.
struct Range {
  int64_t begin;
  int64_t end;
  int64_t step;
  int64_t count;
};

int64_t Clamp(int64_t index, int64_t size, int64_t low, int64_t high) {
  if (index < 0) index += size;
  return std::clamp(index, low, high);
}

Range Resolve(const Value* begin, const Value* end, int64_t step, int64_t size) {
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? size : size - 1;
  const int64_t first = begin != nullptr ? Clamp(begin->as_int(), size, low, high) : step > 0 ? low : high;
  const int64_t last = end != nullptr ? Clamp(end->as_int(), size, low, high) : step > 0 ? high : low;
  Range range{first, last, step, 0};
  if (step > 0 && first < last) range.count = (last - first - 1) / step + 1;
  if (step < 0 && first > last) range.count = (first - last - 1) / -step + 1;
  return range;
}

absl::StatusOr<Value> SliceText(Runtime& runtime, const Text& text, const Range& range) {
  KEDGE_RETURN_IF_ERROR(runtime.account()->StepBytes(text.size()));
  if (range.step == 1) {
    const size_t begin = text.Offset(range.begin);
    size_t end = begin;
    if (text.ascii()) {
      end = begin + range.count;
    } else {
      for (int64_t i = 0; i < range.count; ++i) end += CharacterLength(text.bytes()[end]);
    }
    return AsString(text.Slice(runtime.account(), begin, end));
  }
  KEDGE_RETURN_IF_ERROR(runtime.account()->Step(range.count));
  std::vector<size_t> offsets;
  for (size_t offset = 0; offset < text.size(); offset += CharacterLength(text.bytes()[offset])) {
    offsets.push_back(offset);
  }
  TextBuilder builder(runtime.account());
  for (int64_t i = 0; i < range.count; ++i) {
    const size_t begin = offsets[range.begin + i * range.step];
    builder.Append(text, begin, begin + CharacterLength(text.bytes()[begin]));
  }
  return AsString(builder.Build());
}

}  // namespace

absl::StatusOr<Value> GetAttribute(Runtime& runtime, const Value& value, absl::string_view name) {
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  KEDGE_RETURN_IF_ERROR(runtime.account()->StepBytes(name.size()));
  KEDGE_ASSIGN_OR_RETURN(std::optional<Value> attribute, FindAttribute(runtime, value, name));
  if (attribute.has_value()) return *std::move(attribute);
  if (value.is(Value::Kind::kDict)) {
    if (const Value* member = value.members().Find(name)) return *member;
  }
  return NoAttribute(value, name);
}

absl::StatusOr<Value> GetItem(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  if (value.is(Value::Kind::kDict)) {
    KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(runtime.account(), key));
    const Value* member = hashable ? value.members().Find(key) : nullptr;
    if (member != nullptr) return *member;
  }
  const bool indexed =
      value.is(Value::Kind::kString) || (value.is(Value::Kind::kSequence) && value.sequence().indexed());
  if (indexed && key.is_integer()) return ItemAt(runtime, value, key.as_int());
  if (!key.is(Value::Kind::kString)) {
    return Value::Undefined(absl::StrCat(TypeName(value), " object has no such element"));
  }
  KEDGE_ASSIGN_OR_RETURN(std::optional<Value> attribute, FindAttribute(runtime, value, key.text().bytes()));
  return attribute.has_value() ? *std::move(attribute) : NoAttribute(value, key.text().bytes());
}

absl::StatusOr<Value> GetSlice(Runtime& runtime, const Value& value, const Value* begin, const Value* end,
                               const Value* step) {
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  for (const Value** bound : {&begin, &end, &step}) {
    if (*bound != nullptr && (*bound)->is(Value::Kind::kNone)) *bound = nullptr;
  }
  const bool indexed =
      value.is(Value::Kind::kString) || (value.is(Value::Kind::kSequence) && value.sequence().indexed());
  if (!indexed) return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(value), " has no slices"));
  for (const Value* bound : {begin, end, step}) {
    if (bound != nullptr && !bound->is_integer()) {
      return absl::InvalidArgumentError(absl::StrCat("a slice needs integers, not a ", TypeName(*bound)));
    }
  }
  // A step beyond the largest size acts as that.
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max() / 4;
  const int64_t stride = step == nullptr ? 1 : std::clamp(step->as_int(), -kLargest, kLargest);
  if (stride == 0) return absl::InvalidArgumentError("the step of a slice is zero");
  if (value.is(Value::Kind::kString)) {
    const int64_t size = static_cast<int64_t>(value.text().characters());
    absl::StatusOr<Value> slice = SliceText(runtime, value.text(), Resolve(begin, end, stride, size));
    return value.is_markup() ? Marked(runtime.account(), std::move(slice)) : slice;
  }
  const std::vector<Value>& all = value.sequence().values;
  const Range range = Resolve(begin, end, stride, static_cast<int64_t>(all.size()));
  std::vector<Value> values;
  values.reserve(range.count);
  for (int64_t i = 0; i < range.count; ++i) values.push_back(all[range.begin + i * range.step]);
  Sequence slice;
  slice.kind = value.sequence().kind;
  slice.values = std::move(values);
  if (slice.kind == Sequence::Kind::kRange) {
    // In unsigned numbers: what lies beyond the last one may not fit.
    const auto number = [&](int64_t index) {
      return static_cast<int64_t>(static_cast<uint64_t>(value.sequence().begin) +
                                  static_cast<uint64_t>(index) * static_cast<uint64_t>(value.sequence().step));
    };
    slice.begin = number(range.begin);
    slice.end = number(range.end);
    slice.step = static_cast<int64_t>(static_cast<uint64_t>(value.sequence().step) * static_cast<uint64_t>(stride));
  }
  return Value::FromSequence(runtime.account(), std::move(slice));
}

}  // namespace kedge::jinja
