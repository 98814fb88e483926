// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/format.h"
#include "common/jinja/markup.h"
#include "common/jinja/methods.h"
#include "common/jinja/print.h"
#include "common/jinja/text_ops.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<Value>;

const Text& Self(const Invocation& call) { return call.subject.text(); }

Result AsStrings(const Invocation& call, absl::StatusOr<std::vector<Text>> texts) {
  if (!texts.ok()) return texts.status();
  std::vector<Value> values;
  for (Text& text : *texts) values.push_back(Value::String(std::move(text)));
  return AsList(call.account(), std::move(values));
}

template <absl::StatusOr<Text> (*change)(Account*, const Text&)>
Result Change(const Invocation& call) {
  return AsString(change(call.account(), Self(call)));
}

template <Side side>
Result StripSide(const Invocation& call) {
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(Self(call).size()));
  if (!call.HasValue(0)) return AsString(Strip(call.account(), Self(call), side, std::nullopt));
  KEDGE_ASSIGN_OR_RETURN(const Text set, call.String(0));
  return AsString(Strip(call.account(), Self(call), side, set.bytes()));
}

template <bool from_right>
Result SplitMethod(const Invocation& call) {
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(Self(call).size()));
  KEDGE_ASSIGN_OR_RETURN(const int64_t count, call.Int(1, -1));
  if (!call.HasValue(0)) return AsStrings(call, Split(call.account(), Self(call), std::nullopt, count, from_right));
  KEDGE_ASSIGN_OR_RETURN(const Text separator, call.String(0));
  if (separator.empty()) return absl::InvalidArgumentError("split(): the separator is empty");
  return AsStrings(call, Split(call.account(), Self(call), separator.bytes(), count, from_right));
}

Result SplitLinesMethod(const Invocation& call) {
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(Self(call).size()));
  return AsStrings(call, SplitLines(call.account(), Self(call), call.Flag(0, false)));
}

template <bool from_right>
Result Partition(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text separator, call.String(0));
  if (separator.empty()) return absl::InvalidArgumentError("partition(): the separator is empty");
  const Text& text = Self(call);
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(text.size()));
  const size_t found = from_right ? text.bytes().rfind(separator.bytes()) : text.bytes().find(separator.bytes());
  std::vector<Value> parts;
  if (found == absl::string_view::npos) {
    parts = {Value::Text(""), Value::Text("")};
    parts.insert(from_right ? parts.end() : parts.begin(), call.subject);
  } else {
    const size_t end = found + separator.size();
    KEDGE_ASSIGN_OR_RETURN(Text before, text.Slice(call.account(), 0, found));
    KEDGE_ASSIGN_OR_RETURN(Text behind, text.Slice(call.account(), end, text.size()));
    parts = {Value::String(std::move(before)), Value::String(separator), Value::String(std::move(behind))};
  }
  return AsList(call.account(), std::move(parts), Sequence::Kind::kTuple);
}

// The part of the text that the parameters `first` and `first + 1` (begin and end, in characters) name.
struct Part {
  size_t begin = 0;  // bytes
  size_t end = 0;
  int64_t first_character = 0;
  bool valid = true;  // Python finds nothing, not even an empty string, where the begin lies behind the end
};
absl::StatusOr<Part> PartOf(const Invocation& call, size_t first) {
  const Text& text = Self(call);
  const int64_t size = static_cast<int64_t>(text.characters());
  const auto index = [&](size_t parameter, int64_t otherwise) -> absl::StatusOr<int64_t> {
    if (!call.HasValue(parameter)) return otherwise;
    KEDGE_ASSIGN_OR_RETURN(int64_t value, call.Int(parameter, otherwise));
    return value < 0 ? std::max<int64_t>(0, value + size) : value;
  };
  KEDGE_ASSIGN_OR_RETURN(const int64_t begin, index(first, 0));
  KEDGE_ASSIGN_OR_RETURN(int64_t end, index(first + 1, size));
  end = std::min(end, size);
  if (begin > end) return Part{0, 0, 0, false};
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(text.size()));
  return Part{text.Offset(begin), text.Offset(end), begin, true};
}

// A search may compare all of what is wanted at each place.
absl::Status StepSearch(const Invocation& call, const Text& wanted) {
  return call.account()->StepBytes(Self(call).size() * wanted.size());
}

// -1: not there.
absl::StatusOr<int64_t> Position(const Invocation& call, bool last) {
  KEDGE_ASSIGN_OR_RETURN(const Text wanted, call.String(0));
  KEDGE_ASSIGN_OR_RETURN(const Part part, PartOf(call, 1));
  KEDGE_RETURN_IF_ERROR(StepSearch(call, wanted));
  const absl::string_view bytes = Self(call).bytes().substr(part.begin, part.end - part.begin);
  const size_t found = last ? bytes.rfind(wanted.bytes()) : bytes.find(wanted.bytes());
  if (!part.valid || found == absl::string_view::npos) return -1;
  return part.first_character + static_cast<int64_t>(CountCharacters(bytes.substr(0, found)));
}

template <bool last, bool must>
Result FindMethodOf(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t position, Position(call, last));
  if (must && position < 0) return absl::InvalidArgumentError("index(): the string does not have it");
  return Value::Int(position);
}

Result CountMethod(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text wanted, call.String(0));
  KEDGE_ASSIGN_OR_RETURN(const Part part, PartOf(call, 1));
  if (!part.valid) return Value::Int(0);
  KEDGE_RETURN_IF_ERROR(StepSearch(call, wanted));
  const absl::string_view bytes = Self(call).bytes().substr(part.begin, part.end - part.begin);
  if (wanted.empty()) return Value::Int(static_cast<int64_t>(CountCharacters(bytes)) + 1);
  int64_t count = 0;
  for (size_t at = bytes.find(wanted.bytes()); at != absl::string_view::npos;
       at = bytes.find(wanted.bytes(), at + wanted.size())) {
    ++count;
  }
  return Value::Int(count);
}

template <bool at_end>
Result Affix(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Part part, PartOf(call, 1));
  const absl::string_view bytes = Self(call).bytes().substr(part.begin, part.end - part.begin);
  const auto matches = [&](const Value& value) -> absl::StatusOr<bool> {
    if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
    if (!value.is(Value::Kind::kString)) {
      return absl::InvalidArgumentError(absl::StrCat("a string is expected, not a ", TypeName(value)));
    }
    if (!part.valid) return false;
    const absl::string_view affix = value.text().bytes();
    return at_end ? absl::EndsWith(bytes, affix) : absl::StartsWith(bytes, affix);
  };
  const Value& wanted = *call.given[0];
  if (!wanted.is(Value::Kind::kSequence) || wanted.sequence().kind != Sequence::Kind::kTuple) {
    KEDGE_ASSIGN_OR_RETURN(const bool matching, matches(wanted));
    return Value::Bool(matching);
  }
  for (const Value& value : wanted.sequence().values) {
    KEDGE_ASSIGN_OR_RETURN(const bool matching, matches(value));
    if (matching) return Value::Bool(true);
  }
  return Value::Bool(false);
}

template <bool at_end>
Result RemoveAffix(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text affix, call.String(0));
  const Text& text = Self(call);
  const bool there =
      at_end ? absl::EndsWith(text.bytes(), affix.bytes()) : absl::StartsWith(text.bytes(), affix.bytes());
  if (!there) return call.subject;
  return AsString(at_end ? text.Slice(call.account(), 0, text.size() - affix.size())
                         : text.Slice(call.account(), affix.size(), text.size()));
}

Result ReplaceMethod(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text from, call.String(0));
  KEDGE_ASSIGN_OR_RETURN(const Text to, call.String(1));
  KEDGE_ASSIGN_OR_RETURN(const int64_t count, call.Int(2, -1));
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(Self(call).size()));
  return AsString(Replace(call.account(), Self(call), from, to, count));
}

Result Join(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value items, Items(call.account(), *call.given[0]));
  TextBuilder builder(call.account());
  bool first = true;
  for (const Value& item : items.sequence().values) {
    if (!item.is(Value::Kind::kString) && !call.subject.is_markup()) {
      return absl::InvalidArgumentError(absl::StrCat("join(): a string is expected, not a ", TypeName(item)));
    }
    KEDGE_RETURN_IF_ERROR(call.account()->Step());
    if (!first) builder.Append(Self(call));
    first = false;
    KEDGE_ASSIGN_OR_RETURN(const Value text, call.subject.is_markup() ? Escaped(call.account(), item) : item);
    builder.Append(text.text());
  }
  return AsString(builder.Build());
}

Result Format(const Invocation& call) { return FormatBraces(call.runtime, call.subject, call.arguments); }

// How many characters of fill a width asks for.
absl::StatusOr<int64_t> Missing(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t width, call.Int(0, 0));
  return std::max<int64_t>(0, std::max<int64_t>(0, width) - static_cast<int64_t>(Self(call).characters()));
}

enum class Place { kLeft, kRight, kCentre };
template <Place place>
Result Justify(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t missing, Missing(call));
  KEDGE_ASSIGN_OR_RETURN(const Text fill, call.String(1, " "));
  if (fill.characters() != 1) return absl::InvalidArgumentError("the fill must be one character");
  KEDGE_ASSIGN_OR_RETURN(const int64_t width, call.Int(0, 0));
  int64_t left = place == Place::kRight ? missing : 0;
  if (place == Place::kCentre) left = missing / 2 + (missing & width & 1);  // as CPython rounds
  return AsString(Pad(call.account(), Self(call), left, missing - left, fill));
}

Result ZeroFill(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t missing, Missing(call));
  const Text& text = Self(call);
  const size_t sign = !text.empty() && (text.bytes()[0] == '+' || text.bytes()[0] == '-') ? 1 : 0;
  TextBuilder builder(call.account());
  builder.Append(text, 0, sign);
  builder.AppendRepeated(Text("0"), missing);
  builder.Append(text, sign, text.size());
  return AsString(builder.Build());
}

Result ExpandTabs(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t width, call.Int(0, 8));
  const Text& text = Self(call);
  TextBuilder builder(call.account());
  int64_t column = 0;
  for (size_t offset = 0; offset < text.size() && builder.status().ok();) {
    const char c = text.bytes()[offset];
    const size_t length = CharacterLength(c);
    if (c == '\t') {
      const int64_t spaces = width > 0 ? width - column % width : 0;
      builder.AppendRepeated(Text(" ", text.origin(offset)), spaces);
      column += spaces;
    } else {
      builder.Append(text, offset, offset + length);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    offset += length;
  }
  return AsString(builder.Build());
}

// All characters are so, and there is one.
template <bool (*is)(char32_t)>
Result All(const Invocation& call) {
  const absl::string_view bytes = Self(call).bytes();
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(bytes.size() / 16)));
  for (size_t offset = 0; offset < bytes.size(); offset += CharacterLength(bytes[offset])) {
    if (!is(FirstCharacter(bytes.substr(offset)))) return Value::Bool(false);
  }
  return Value::Bool(is == &IsPrintable || is == &IsAscii || !bytes.empty());
}

// There is a character with a case, and all of these are so.
template <bool (*is)(char32_t)>
Result AllCased(const Invocation& call) {
  const absl::string_view bytes = Self(call).bytes();
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(bytes.size() / 16)));
  bool any = false;
  for (size_t offset = 0; offset < bytes.size(); offset += CharacterLength(bytes[offset])) {
    const char32_t character = FirstCharacter(bytes.substr(offset));
    if (!IsCased(character)) continue;
    if (!is(character)) return Value::Bool(false);
    any = true;
  }
  return Value::Bool(any);
}

Result IsTitle(const Invocation& call) {
  const absl::string_view bytes = Self(call).bytes();
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(bytes.size() / 16)));
  bool any = false;
  bool within = false;
  for (size_t offset = 0; offset < bytes.size(); offset += CharacterLength(bytes[offset])) {
    const char32_t character = FirstCharacter(bytes.substr(offset));
    const bool cased = IsCased(character);
    if (cased && IsLower(character) != within) return Value::Bool(false);
    any = any || cased;
    within = cased;
  }
  return Value::Bool(any);
}

bool IsAlphaOrDecimal(char32_t character) { return IsAlpha(character) || IsNumeric(character); }

constexpr Method kMethods[] = {
    {"capitalize", "", &Change<&Capitalize>, OfMarkup::kEscapes},
    {"center", "width fill?", &Justify<Place::kCentre>, OfMarkup::kEscapes},
    {"count", "sub start? end?", &CountMethod},
    {"endswith", "suffix start? end?", &Affix<true>},
    {"expandtabs", "tabsize?", &ExpandTabs, OfMarkup::kEscapes},
    {"find", "sub start? end?", &FindMethodOf<false, false>},
    {"format", "*", &Format},
    {"index", "sub start? end?", &FindMethodOf<false, true>},
    {"isalnum", "", &All<&IsAlphaOrDecimal>},
    {"isalpha", "", &All<&IsAlpha>},
    {"isascii", "", &All<&IsAscii>},
    {"isdecimal", "", &All<&IsDecimal>},
    {"isdigit", "", &All<&IsDigit>},
    {"islower", "", &AllCased<&IsLower>},
    {"isnumeric", "", &All<&IsNumeric>},
    {"isprintable", "", &All<&IsPrintable>},
    {"isspace", "", &All<&IsSpace>},
    {"istitle", "", &IsTitle},
    {"isupper", "", &AllCased<&IsUpper>},
    {"join", "iterable", &Join, OfMarkup::kMarked},
    {"ljust", "width fill?", &Justify<Place::kLeft>, OfMarkup::kEscapes},
    {"lower", "", &Change<&Lower>, OfMarkup::kEscapes},
    {"lstrip", "chars?", &StripSide<Side::kLeft>, OfMarkup::kEscapes},
    {"partition", "sep", &Partition<false>, OfMarkup::kEscapes},
    {"removeprefix", "prefix", &RemoveAffix<false>},
    {"removesuffix", "suffix", &RemoveAffix<true>},
    {"replace", "old new count?", &ReplaceMethod, OfMarkup::kEscapes},
    {"rfind", "sub start? end?", &FindMethodOf<true, false>},
    {"rindex", "sub start? end?", &FindMethodOf<true, true>},
    {"rjust", "width fill?", &Justify<Place::kRight>, OfMarkup::kEscapes},
    {"rpartition", "sep", &Partition<true>, OfMarkup::kEscapes},
    {"rsplit", "sep? maxsplit?", &SplitMethod<true>, OfMarkup::kMarked},
    {"rstrip", "chars?", &StripSide<Side::kRight>, OfMarkup::kEscapes},
    {"split", "sep? maxsplit?", &SplitMethod<false>, OfMarkup::kMarked},
    {"splitlines", "keepends?", &SplitLinesMethod, OfMarkup::kMarked},
    {"startswith", "prefix start? end?", &Affix<false>},
    {"strip", "chars?", &StripSide<Side::kBoth>, OfMarkup::kEscapes},
    {"swapcase", "", &Change<&SwapCase>, OfMarkup::kEscapes},
    {"title", "", &Change<&Title>, OfMarkup::kEscapes},
    {"upper", "", &Change<&Upper>, OfMarkup::kEscapes},
    {"zfill", "width", &ZeroFill, OfMarkup::kEscapes},
};

}  // namespace

absl::Span<const Method> StringMethods() { return kMethods; }

}  // namespace kedge::jinja
