// Tested by value_test.cc.
#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/jinja/print.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

// A character within a JSON string; empty: as it is.
std::string EscapeInJson(char32_t character, bool ensure_ascii) {
  switch (character) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
  }
  const unsigned code = character;
  if (code < 0x20 || (ensure_ascii && code >= 0x7F && code < 0x10000)) return absl::StrFormat("\\u%04x", code);
  if (!ensure_ascii || code < 0x80) return "";
  return absl::StrFormat("\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
}

std::string JsonFloat(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return FloatToString(number);
}

// Writes one value. Lives for one call.
class JsonWriter {
 public:
  JsonWriter(Account* account, const JsonStyle& style)
      : account_(account),
        style_(style),
        item_separator_(style.item_separator.value_or(Text(style.indent.has_value() ? "," : ", "))),
        key_separator_(style.key_separator.value_or(Text(": "))),
        out_(account) {}

  absl::StatusOr<Text> Write(const Value& value) {
    KEDGE_RETURN_IF_ERROR(Append(value, 1));
    return out_.Build();
  }

 private:
  absl::Status Append(const Value& value, int level) {
    KEDGE_RETURN_IF_ERROR(account_->Step());
    switch (value.kind()) {
      case Value::Kind::kNone:
      case Value::Kind::kBool:
      case Value::Kind::kInt:
      case Value::Kind::kFloat:
        out_.Append(Scalar(value), value.origin());
        return out_.status();
      case Value::Kind::kString:
        AppendString(value.text());
        return out_.status();
      case Value::Kind::kDict:
        return AppendDict(value, level);
      case Value::Kind::kSequence:
        if (value.sequence().kind <= Sequence::Kind::kTuple) return AppendList(value, level);
        break;
      default:
        break;
    }
    return absl::InvalidArgumentError(absl::StrCat("a value of type ", TypeName(value), " is not JSON"));
  }

  static std::string Scalar(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kBool:
        return value.as_bool() ? "true" : "false";
      case Value::Kind::kInt:
        return absl::StrCat(value.as_int());
      case Value::Kind::kFloat:
        return JsonFloat(value.as_double());
      default:
        return "null";
    }
  }

  void AppendString(const Text& text) {
    const absl::string_view bytes = text.bytes();
    out_.Append("\"", text.origin(0));
    size_t plain = 0;
    for (size_t offset = 0; offset < bytes.size();) {
      const size_t length = CharacterLength(bytes[offset]);
      const std::string escape = EscapeInJson(FirstCharacter(bytes.substr(offset, length)), style_.ensure_ascii);
      if (!escape.empty()) {
        out_.Append(text, plain, offset);
        out_.Append(escape, text.origin(offset));
        plain = offset + length;
      }
      offset += length;
    }
    out_.Append(text, plain, bytes.size());
    out_.Append("\"", text.origin(0));
  }

  void NewLine(int level, Origin origin) {
    if (!style_.indent.has_value()) return;
    out_.Append("\n", origin);
    for (int i = 0; i < level; ++i) out_.Append(*style_.indent);
  }

  // The style's own text is the template's; what a value brings has the value's origin.
  void AppendStyle(const Text& text, Origin origin) {
    if (origin == kTemplate) {
      out_.Append(text);
    } else {
      out_.Append(text.bytes(), origin);
    }
  }

  absl::Status AppendList(const Value& value, int level) {
    const std::vector<Value>& values = value.sequence().values;
    out_.Append("[", value.origin());
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) AppendStyle(item_separator_, value.origin());
      NewLine(level, value.origin());
      KEDGE_RETURN_IF_ERROR(Append(values[i], level + 1));
    }
    if (!values.empty()) NewLine(level - 1, value.origin());
    out_.Append("]", value.origin());
    return out_.status();
  }

  absl::Status AppendDict(const Value& value, int level) {
    std::vector<std::pair<Value, Value>> members = value.members().values;
    if (style_.sort_keys) KEDGE_RETURN_IF_ERROR(SortByKey(members));
    out_.Append("{", value.origin());
    bool first = true;
    for (const auto& [key, member] : members) {
      if (!first) AppendStyle(item_separator_, value.origin());
      first = false;
      NewLine(level, value.origin());
      KEDGE_RETURN_IF_ERROR(AppendKey(key));
      AppendStyle(key_separator_, value.origin());
      KEDGE_RETURN_IF_ERROR(Append(member, level + 1));
    }
    if (!members.empty()) NewLine(level - 1, value.origin());
    out_.Append("}", value.origin());
    return out_.status();
  }

  absl::Status AppendKey(const Value& key) {
    if (key.is(Value::Kind::kString)) {
      AppendString(key.text());
      return out_.status();
    }
    if (!key.is_number() && !key.is(Value::Kind::kNone)) {
      return absl::InvalidArgumentError(absl::StrCat("a key of type ", TypeName(key), " is not JSON"));
    }
    out_.Append(absl::StrCat("\"", Scalar(key), "\""), key.origin());
    return out_.status();
  }

  static absl::Status SortByKey(std::vector<std::pair<Value, Value>>& members) {
    bool strings = true;
    bool numbers = true;
    for (const auto& [key, member] : members) {
      strings = strings && key.is(Value::Kind::kString);
      numbers = numbers && key.is_number();
    }
    if (!strings && !numbers) return absl::InvalidArgumentError("keys of different types cannot be sorted");
    std::stable_sort(members.begin(), members.end(), [&](const auto& a, const auto& b) {
      return strings ? a.first.text().bytes() < b.first.text().bytes() : a.first.as_double() < b.first.as_double();
    });
    return absl::OkStatus();
  }

  Account* account_;
  const JsonStyle& style_;
  const Text item_separator_;
  const Text key_separator_;
  TextBuilder out_;
};

}  // namespace

absl::StatusOr<Text> ToJson(Account* account, const Value& value, const JsonStyle& style) {
  return JsonWriter(account, style).Write(value);
}

}  // namespace kedge::jinja
