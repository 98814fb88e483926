// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/functions.h"

#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/jinja/print.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<Value>;

// As jinja2's sandbox has it.
constexpr int64_t kMaxRange = 100'000;

Result Range(const Invocation& call) {
  const std::vector<Value>& given = call.arguments.positional;
  if (given.empty() || given.size() > 3 || !call.arguments.named.empty()) {
    return absl::InvalidArgumentError("range() takes one to three integers");
  }
  for (const Value& value : given) {
    if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
    if (!value.is_integer()) {
      return absl::InvalidArgumentError(absl::StrCat("range() needs integers, not a ", TypeName(value)));
    }
  }
  const int64_t begin = given.size() > 1 ? given[0].as_int() : 0;
  const int64_t end = given.size() > 1 ? given[1].as_int() : given[0].as_int();
  const int64_t step = given.size() > 2 ? given[2].as_int() : 1;
  if (step == 0) return absl::InvalidArgumentError("range(): the step is zero");
  std::vector<Value> values;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (static_cast<int64_t>(values.size()) == kMaxRange) {
      return absl::ResourceExhaustedError(absl::StrCat("range() of more than ", kMaxRange, " numbers"));
    }
    values.push_back(Value::Int(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(values.size()) / 8));
  Sequence sequence;
  sequence.kind = Sequence::Kind::kRange;
  sequence.values = std::move(values);
  sequence.begin = begin;
  sequence.end = end;
  sequence.step = step;
  return Value::FromSequence(call.account(), std::move(sequence));
}

// The members of a dict, or the pairs of a list, that stand before the named arguments.
absl::StatusOr<Members> MembersOf(const Invocation& call) {
  Members members;
  if (call.arguments.positional.size() > 1) return absl::InvalidArgumentError("at most one dict is expected");
  if (!call.arguments.positional.empty()) {
    const Value& first = call.arguments.positional[0];
    if (first.is(Value::Kind::kDict)) {
      for (const auto& [key, value] : first.members().values) members.Set(key, value);
    } else {
      KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), first));
      for (const Value& item : items.sequence().values) {
        KEDGE_ASSIGN_OR_RETURN(const Value pair, Items(call.account(), item));
        const std::vector<Value>& parts = pair.sequence().values;
        if (parts.size() != 2) return absl::InvalidArgumentError("pairs are expected");
        KEDGE_ASSIGN_OR_RETURN(const bool hashable, IsHashable(call.account(), parts[0]));
        if (!hashable) return absl::InvalidArgumentError("pairs are expected");
        members.Set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : call.arguments.named) members.Set(Value::Text(name), value);
  return members;
}

Result Dict(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(Members members, MembersOf(call));
  return Value::FromMembers(call.account(), std::move(members));
}

Result MakeNamespace(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Members members, MembersOf(call));
  auto made = std::make_unique<Namespace>();
  for (const auto& [key, value] : members.values) {
    if (!key.is(Value::Kind::kString)) continue;
    KEDGE_RETURN_IF_ERROR(made->Set(key.text().bytes(), value));
  }
  KEDGE_ASSIGN_OR_RETURN(Namespace * kept, call.runtime.Keep(std::move(made)));
  return Value::FromObject(kept);
}

Result RaiseException(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text message, ToText(call.account(), *call.given[0]));
  absl::Status raised = absl::InvalidArgumentError(message.bytes());
  raised.SetPayload(kRaisedPayload, absl::Cord());
  return raised;
}

Result StrftimeNow(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text format, call.String(0));
  // As Python's datetime.now(): a time without a zone, so %z and %Z say nothing.
  const int64_t microseconds = absl::ToUnixMicros(call.runtime.now());
  const std::string fraction = absl::StrFormat("%06d", (microseconds % 1'000'000 + 1'000'000) % 1'000'000);
  std::string c_format;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format.bytes()[i];
    const char kind = c == '%' && i + 1 < format.size() ? format.bytes()[i + 1] : '\0';
    if (kind == '\0') {
      c_format.push_back(c);
      continue;
    }
    ++i;
    if (kind == 'f') c_format += fraction;
    if (kind != 'f' && kind != 'z' && kind != 'Z') c_format.append({c, kind});
  }
  if (c_format.empty()) return Value::Text("");
  constexpr size_t kMaxFormat = 1000;
  if (c_format.size() > kMaxFormat) return absl::ResourceExhaustedError("strftime_now: the format is too long");
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(c_format.size() / 4)));  // a field takes time
  const time_t seconds = absl::ToTimeT(call.runtime.now());
  tm local{};
  localtime_r(&seconds, &local);
  char buffer[64 * 1024];  // no field is longer than some tens of characters
  // The format's text is in it: its first origin that is not the template.
  Origin origin = kTemplate;
  for (const Text::Run& run : format.runs()) {
    if (origin == kTemplate) origin = run.origin;
  }
  return Value::Text(absl::string_view(buffer, std::strftime(buffer, sizeof(buffer), c_format.c_str(), &local)),
                     origin);
}

// cycler("a", "b"): next() gives them in turn.
class Cycler : public Object {
 public:
  explicit Cycler(std::vector<Value> values) : values_(std::move(values)) {}
  absl::string_view type() const override { return "Cycler"; }
  absl::StatusOr<std::optional<Value>> Attribute(absl::string_view name) override {
    if (name == "current") return values_[position_];
    if (name == "next") return Value::FromObject(&next_);
    if (name == "reset") return Value::FromObject(&reset_);
    return std::nullopt;
  }

 private:
  class Turn : public Object {
   public:
    Turn(Cycler* cycler, bool resets) : cycler_(cycler), resets_(resets) {}
    absl::string_view type() const override { return "method"; }
    bool callable() const override { return true; }
    Result Call(Runtime& runtime, Arguments arguments) override {
      if (!arguments.positional.empty() || !arguments.named.empty()) {
        return absl::InvalidArgumentError("a method of a cycler takes no arguments");
      }
      const Value current = cycler_->values_[cycler_->position_];
      cycler_->position_ = resets_ ? 0 : (cycler_->position_ + 1) % cycler_->values_.size();
      return resets_ ? Value::None() : current;
    }

   private:
    Cycler* cycler_;
    const bool resets_;
  };

  const std::vector<Value> values_;
  size_t position_ = 0;
  Turn next_{this, false};
  Turn reset_{this, true};
};

Result MakeCycler(const Invocation& call) {
  if (call.arguments.positional.empty() || !call.arguments.named.empty()) {
    return absl::InvalidArgumentError("cycler() needs values");
  }
  KEDGE_ASSIGN_OR_RETURN(Cycler * kept, call.runtime.Keep(std::make_unique<Cycler>(call.arguments.positional)));
  return Value::FromObject(kept);
}

// joiner(", "): nothing at the first call, the separator at every later one.
class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  absl::string_view type() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Result Call(Runtime& runtime, Arguments arguments) override {
    if (!arguments.positional.empty() || !arguments.named.empty()) {
      return absl::InvalidArgumentError("a joiner takes no arguments");
    }
    if (used_) return separator_;
    used_ = true;
    return Value::Text("");
  }

 private:
  const Value separator_;
  bool used_ = false;
};

Result MakeJoiner(const Invocation& call) {
  Value separator = call.Has(0) ? *call.given[0] : Value::Text(", ");
  KEDGE_ASSIGN_OR_RETURN(Joiner * kept, call.runtime.Keep(std::make_unique<Joiner>(std::move(separator))));
  return Value::FromObject(kept);
}

constexpr Function kFunctions[] = {
    {"cycler", "*", &MakeCycler},
    {"dict", "*", &Dict},
    {"joiner", "sep?", &MakeJoiner},
    {"namespace", "*", &MakeNamespace},
    {"raise_exception", "message", &RaiseException},
    {"range", "*", &Range},
    {"strftime_now", "format", &StrftimeNow},
};

}  // namespace

absl::Span<const Function> Functions() { return kFunctions; }

absl::StatusOr<std::optional<Value>> Namespace::Attribute(absl::string_view name) {
  const Value* value = values_.Find(name);
  return value == nullptr ? std::nullopt : std::optional<Value>(*value);
}

absl::Status Namespace::Set(absl::string_view name, Value value) {
  if (absl::StartsWith(name, "_")) {
    return absl::InvalidArgumentError(absl::StrCat("an attribute of a namespace may not begin with `_`: `", name, "`"));
  }
  values_.Set(Value::Text(name), std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Value> FunctionObject::Call(Runtime& runtime, Arguments arguments) {
  const Value none = Value::None();
  Invocation invocation{runtime, none, arguments, {}};
  KEDGE_RETURN_IF_ERROR(Bind(absl::StrCat(function_.name, "()"), function_.signature, invocation));
  return function_.call(invocation);
}

}  // namespace kedge::jinja
