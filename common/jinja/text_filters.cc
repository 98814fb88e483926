// Tested by template_test.cc and jinja2_test.py.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/jinja/filters.h"
#include "common/jinja/format.h"
#include "common/jinja/markup.h"
#include "common/jinja/print.h"
#include "common/jinja/text_ops.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

using Result = absl::StatusOr<Value>;

absl::StatusOr<Text> Self(const Invocation& call) { return ToText(call.account(), call.subject); }

// Marked where the subject is.
Result AsSubject(const Invocation& call, absl::StatusOr<Text> text) {
  if (!text.ok()) return text.status();
  return call.subject.is_markup() ? Value::Markup(*std::move(text)) : Value::String(*std::move(text));
}

template <absl::StatusOr<Text> (*change)(Account*, const Text&)>
Result Change(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  return AsSubject(call, change(call.account(), text));
}

Result String(const Invocation& call) { return AsSubject(call, Self(call)); }

Result Safe(const Invocation& call) { return Marked(call.account(), AsString(Self(call))); }

// jinja2's own: a word begins behind white space and some brackets.
Result TitleFilter(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  const absl::string_view bytes = text.bytes();
  TextBuilder builder(call.account());
  const auto parts = [](char32_t character) {
    return IsSpace(character) || (character < 0x80 && absl::StrContains("-({[<", static_cast<char>(character)));
  };
  size_t begin = 0;
  while (begin < bytes.size()) {
    size_t end = begin;
    const bool separator = parts(FirstCharacter(bytes.substr(begin)));
    while (end < bytes.size() && parts(FirstCharacter(bytes.substr(end))) == separator) {
      end += CharacterLength(bytes[end]);
    }
    const size_t first_end = begin + CharacterLength(bytes[begin]);
    KEDGE_ASSIGN_OR_RETURN(const Text first, text.Slice(call.account(), begin, first_end));
    KEDGE_ASSIGN_OR_RETURN(const Text rest, text.Slice(call.account(), first_end, end));
    KEDGE_ASSIGN_OR_RETURN(const Text upper, Upper(call.account(), first));
    KEDGE_ASSIGN_OR_RETURN(const Text lowered, Lower(call.account(), rest));
    builder.Append(upper);
    builder.Append(lowered);
    begin = end;
  }
  return AsString(builder.Build());
}

Result Trim(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(text.size()));
  if (!call.HasValue(0)) return AsSubject(call, Strip(call.account(), text, Side::kBoth, std::nullopt));
  KEDGE_ASSIGN_OR_RETURN(Text set, call.String(0));
  if (call.subject.is_markup()) {
    KEDGE_ASSIGN_OR_RETURN(set, EscapeHtml(call.account(), set));
  }
  return AsSubject(call, Strip(call.account(), text, Side::kBoth, set.bytes()));
}

Result ReplaceFilter(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  KEDGE_ASSIGN_OR_RETURN(const Text from, ToText(call.account(), *call.given[0]));
  KEDGE_ASSIGN_OR_RETURN(const Text to, ToText(call.account(), *call.given[1]));
  int64_t count = -1;
  if (call.HasValue(2)) {
    KEDGE_ASSIGN_OR_RETURN(count, call.Int(2, -1));
  }
  KEDGE_RETURN_IF_ERROR(call.account()->StepBytes(text.size()));
  return AsString(Replace(call.account(), text, from, to, count));
}

Result Indent(const Invocation& call) {
  if (!call.subject.is(Value::Kind::kString)) {
    if (call.subject.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(call.subject.undefined());
    return absl::InvalidArgumentError(
        absl::StrCat("the filter `indent` is not defined for a ", TypeName(call.subject)));
  }
  Text indent;
  if (call.Has(0) && call.given[0]->is(Value::Kind::kString)) {
    indent = call.given[0]->text();
  } else {
    KEDGE_ASSIGN_OR_RETURN(const int64_t width, call.Int(0, 4));
    KEDGE_ASSIGN_OR_RETURN(indent, Pad(call.account(), Text(), width, 0, Text(" ")));
  }
  TextBuilder with_end(call.account());
  with_end.Append(call.subject.text());
  with_end.Append("\n", kTemplate);
  KEDGE_ASSIGN_OR_RETURN(const Text text, with_end.Build());
  KEDGE_ASSIGN_OR_RETURN(const std::vector<Text> lines, SplitLines(call.account(), text, /*keep_ends=*/true));
  KEDGE_ASSIGN_OR_RETURN(const std::vector<Text> bare, SplitLines(call.account(), text, /*keep_ends=*/false));
  const bool first = call.Flag(1, false);
  const bool blank = call.Flag(2, false);
  TextBuilder builder(call.account());
  for (size_t i = 0; i < bare.size(); ++i) {
    if (i == 0 ? first : blank || !bare[i].empty()) builder.Append(indent);
    builder.Append(bare[i]);
    // Every line feed keeps where it came from.
    if (i + 1 < bare.size()) builder.Append("\n", lines[i].origin(bare[i].size()));
  }
  return AsSubject(call, builder.Build());
}

Result Truncate(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const int64_t size, LengthOf(call.subject));
  KEDGE_ASSIGN_OR_RETURN(const int64_t length, call.Int(0, 255));
  KEDGE_ASSIGN_OR_RETURN(const Text end, call.String(2, "..."));
  int64_t leeway = 5;
  if (call.HasValue(3)) {
    KEDGE_ASSIGN_OR_RETURN(leeway, call.Int(3, 5));
  }
  const int64_t end_length = static_cast<int64_t>(end.characters());
  if (length < end_length || leeway < 0)
    return absl::InvalidArgumentError("truncate: the length or leeway is too small");
  if (size - leeway <= length) return call.subject;
  if (!call.subject.is(Value::Kind::kString)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the filter `truncate` is not defined for a ", TypeName(call.subject)));
  }
  const Text& text = call.subject.text();
  size_t cut = text.Offset(std::min<size_t>(length - end_length, text.characters()));
  if (!call.Flag(1, false)) {
    const size_t space = text.bytes().substr(0, cut).rfind(' ');
    if (space != absl::string_view::npos) cut = space;
  }
  Text end_text = end;
  if (call.subject.is_markup() && !(call.Has(2) && call.given[2]->is_markup())) {
    KEDGE_ASSIGN_OR_RETURN(end_text, EscapeHtml(call.account(), end));
  }
  TextBuilder builder(call.account());
  builder.Append(text, 0, cut);
  builder.Append(end_text);
  return AsSubject(call, builder.Build());
}

Result WordCount(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  KEDGE_RETURN_IF_ERROR(call.account()->Step(static_cast<int64_t>(text.size() / 16)));
  int64_t words = 0;
  bool within = false;
  const absl::string_view bytes = text.bytes();
  for (size_t offset = 0; offset < bytes.size(); offset += CharacterLength(bytes[offset])) {
    const char32_t character = FirstCharacter(bytes.substr(offset));
    const bool is_word = character == '_' || IsAlpha(character) || IsNumeric(character);
    words += is_word && !within;
    within = is_word;
  }
  return Value::Int(words);
}

Result Center(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  KEDGE_ASSIGN_OR_RETURN(const int64_t width, call.Int(0, 80));
  const int64_t missing = std::max<int64_t>(0, std::max<int64_t>(0, width) - static_cast<int64_t>(text.characters()));
  const int64_t left = missing / 2 + (missing & width & 1);
  return AsSubject(call, Pad(call.account(), text, left, missing - left, Text(" ")));
}

Result Format(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Value format, String(call));
  const Arguments& arguments = call.arguments;
  if (!arguments.named.empty()) {
    if (!arguments.positional.empty()) return absl::InvalidArgumentError("format: values with and without names");
    Members members;
    for (const auto& [name, value] : arguments.named) members.Set(Value::Text(name), value);
    KEDGE_ASSIGN_OR_RETURN(const Value values, Value::FromMembers(call.account(), std::move(members)));
    return FormatPercent(call.runtime, format, values);
  }
  KEDGE_ASSIGN_OR_RETURN(const Value values, AsList(call.account(), arguments.positional, Sequence::Kind::kTuple));
  return FormatPercent(call.runtime, format, values);
}

// `text` with what `escape` makes of single bytes; empty: as they are.
template <typename Escape>
Result EscapeBytes(const Invocation& call, const Text& text, Escape escape) {
  TextBuilder builder(call.account());
  size_t plain = 0;
  for (size_t offset = 0; offset < text.size(); ++offset) {
    const std::string escaped = escape(text.bytes()[offset]);
    if (escaped.empty()) continue;
    builder.Append(text, plain, offset);
    builder.Append(escaped, text.origin(offset));
    plain = offset + 1;
  }
  builder.Append(text, plain, text.size());
  return AsString(builder.Build());
}

Result EscapeFilter(const Invocation& call) { return Escaped(call.account(), call.subject); }

Result ForceEscape(const Invocation& call) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, Self(call));
  return Escaped(call.account(), Value::String(text));
}

Result UrlEncoded(const Invocation& call, const Value& value, bool in_query) {
  KEDGE_ASSIGN_OR_RETURN(const Text text, ToText(call.account(), value));
  return EscapeBytes(call, text, [in_query](char c) -> std::string {
    if (absl::ascii_isalnum(c) || absl::StrContains("_.-~", c) || (c == '/' && !in_query)) return "";
    if (c == ' ' && in_query) return "+";
    return absl::StrFormat("%%%02X", static_cast<uint8_t>(c));
  });
}

Result UrlEncode(const Invocation& call) {
  const bool pairs = call.subject.is(Value::Kind::kDict) || call.subject.is(Value::Kind::kSequence);
  if (!pairs) return UrlEncoded(call, call.subject, false);
  std::vector<std::pair<Value, Value>> items;
  if (call.subject.is(Value::Kind::kDict)) {
    items = call.subject.members().values;
  } else {
    KEDGE_ASSIGN_OR_RETURN(const Value list, Items(call.account(), call.subject));
    for (const Value& item : list.sequence().values) {
      KEDGE_ASSIGN_OR_RETURN(const Value pair, Items(call.account(), item));
      if (pair.sequence().values.size() != 2) return absl::InvalidArgumentError("urlencode needs pairs");
      items.emplace_back(pair.sequence().values[0], pair.sequence().values[1]);
    }
  }
  TextBuilder builder(call.account());
  for (const auto& [key, value] : items) {
    if (builder.size() > 0) builder.Append("&", kTemplate);
    KEDGE_ASSIGN_OR_RETURN(const Value name, UrlEncoded(call, key, true));
    KEDGE_ASSIGN_OR_RETURN(const Value text, UrlEncoded(call, value, true));
    builder.Append(name.text());
    builder.Append("=", kTemplate);
    builder.Append(text.text());
  }
  return AsString(builder.Build());
}

// As transformers has it: json.dumps without escapes for HTML.
Result ToJsonFilter(const Invocation& call) {
  JsonStyle style;
  style.ensure_ascii = call.Flag(0, false);
  if (call.HasValue(1)) {
    const Value& indent = *call.given[1];
    if (indent.is(Value::Kind::kString)) {
      style.indent = indent.text();
    } else {
      KEDGE_ASSIGN_OR_RETURN(const int64_t width, call.Int(1, 0));
      KEDGE_ASSIGN_OR_RETURN(style.indent, Pad(call.account(), Text(), width, 0, Text(" ")));
    }
  }
  if (call.HasValue(2)) {
    KEDGE_ASSIGN_OR_RETURN(const Value separators, Items(call.account(), *call.given[2]));
    const std::vector<Value>& pair = separators.sequence().values;
    if (pair.size() != 2 || !pair[0].is(Value::Kind::kString) || !pair[1].is(Value::Kind::kString)) {
      return absl::InvalidArgumentError("tojson: `separators` needs two strings");
    }
    style.item_separator = pair[0].text();
    style.key_separator = pair[1].text();
  }
  style.sort_keys = call.Flag(3, false);
  return AsString(ToJson(call.account(), call.subject, style));
}

constexpr Filter kFilters[] = {
    {"capitalize", "", &Change<&Capitalize>},
    {"center", "width?", &Center},
    {"e", "", &EscapeFilter},
    {"escape", "", &EscapeFilter},
    {"forceescape", "", &ForceEscape},
    {"format", "*", &Format},
    {"indent", "width? first? blank?", &Indent},
    {"lower", "", &Change<&Lower>},
    {"replace", "old new count?", &ReplaceFilter},
    {"safe", "", &Safe},
    {"string", "", &String},
    {"title", "", &TitleFilter},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", &ToJsonFilter},
    {"trim", "chars?", &Trim},
    {"truncate", "length? killwords? end? leeway?", &Truncate},
    {"upper", "", &Change<&Upper>},
    {"urlencode", "", &UrlEncode},
    {"wordcount", "", &WordCount},
};

}  // namespace

absl::Span<const Filter> TextFilters() { return kFilters; }

}  // namespace kedge::jinja
