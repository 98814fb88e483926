// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/invocation.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {

absl::StatusOr<int64_t> Invocation::Int(size_t parameter, int64_t otherwise) const {
  if (!Has(parameter)) return otherwise;
  const Value& value = *given[parameter];
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  if (value.is_integer()) return value.as_int();
  return absl::InvalidArgumentError(absl::StrCat("an integer is expected, not a ", TypeName(value)));
}

absl::StatusOr<Text> Invocation::String(size_t parameter, absl::string_view otherwise) const {
  if (!Has(parameter)) return Text(otherwise);
  const Value& value = *given[parameter];
  if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
  if (value.is(Value::Kind::kString)) return value.text();
  return absl::InvalidArgumentError(absl::StrCat("a string is expected, not a ", TypeName(value)));
}

absl::Status Bind(absl::string_view callee, absl::string_view signature, Invocation& invocation) {
  if (signature == "*") return absl::OkStatus();
  const Arguments& arguments = invocation.arguments;
  size_t position = 0;
  size_t named = 0;
  for (absl::string_view name : absl::StrSplit(signature, ' ', absl::SkipEmpty())) {
    const bool optional = absl::ConsumeSuffix(&name, "?");
    const Value* value = arguments.Named(name);
    if (value != nullptr) ++named;
    if (position < arguments.positional.size()) {
      if (value != nullptr) return absl::InvalidArgumentError(absl::StrCat(callee, " got `", name, "` twice"));
      value = &arguments.positional[position];
    }
    ++position;
    if (value == nullptr && !optional) {
      return absl::InvalidArgumentError(absl::StrCat(callee, " needs the argument `", name, "`"));
    }
    invocation.given.push_back(value);
  }
  if (arguments.positional.size() > position) {
    return absl::InvalidArgumentError(
        absl::StrCat(callee, " takes ", position, " arguments, not ", arguments.positional.size()));
  }
  if (named == arguments.named.size()) return absl::OkStatus();
  for (const auto& [name, value] : arguments.named) {
    for (absl::string_view parameter : absl::StrSplit(signature, ' ')) {
      absl::ConsumeSuffix(&parameter, "?");
      if (parameter == name) goto known;
    }
    return absl::InvalidArgumentError(absl::StrCat(callee, " has no argument `", name, "`"));
  known:;
  }
  return absl::InvalidArgumentError(absl::StrCat(callee, " got an argument twice"));
}

absl::StatusOr<Value> AsString(absl::StatusOr<Text> text) {
  if (!text.ok()) return text.status();
  return Value::String(*std::move(text));
}

absl::StatusOr<Value> AsList(Account* account, std::vector<Value> values, Sequence::Kind kind) {
  Sequence sequence;
  sequence.kind = kind;
  sequence.values = std::move(values);
  return Value::FromSequence(account, std::move(sequence));
}

namespace {

absl::StatusOr<Value> Characters(Account* account, const Text& text) {
  KEDGE_RETURN_IF_ERROR(account->Step(static_cast<int64_t>(text.characters())));
  std::vector<Value> characters;
  characters.reserve(text.characters());
  for (size_t offset = 0; offset < text.size();) {
    const size_t length = CharacterLength(text.bytes()[offset]);
    KEDGE_ASSIGN_OR_RETURN(Text character, text.Slice(account, offset, offset + length));
    characters.push_back(Value::String(std::move(character)));
    offset += length;
  }
  return AsList(account, std::move(characters));
}

}  // namespace

absl::StatusOr<Value> Items(Account* account, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return AsList(account, {});
    case Value::Kind::kString:
      return Characters(account, value.text());
    case Value::Kind::kDict: {
      std::vector<Value> keys;
      for (const auto& [key, member] : value.members().values) keys.push_back(key);
      return AsList(account, std::move(keys));
    }
    case Value::Kind::kSequence: {
      const Sequence& sequence = value.sequence();
      if (sequence.sized()) return value;
      std::vector<Value> rest(sequence.values.begin() + sequence.taken, sequence.values.end());
      sequence.taken = sequence.values.size();
      return AsList(account, std::move(rest));
    }
    default:
      return absl::InvalidArgumentError(absl::StrCat("a ", TypeName(value), " cannot be iterated"));
  }
}

}  // namespace kedge::jinja
