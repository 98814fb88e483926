// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/markup.h"

#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/jinja/print.h"

namespace kedge::jinja {
namespace {

absl::string_view EntityOf(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&#34;";
    case '\'':
      return "&#39;";
    default:
      return "";
  }
}

}  // namespace

absl::StatusOr<Text> EscapeHtml(Account* account, const Text& text) {
  TextBuilder builder(account);
  size_t plain = 0;
  for (size_t offset = 0; offset < text.size(); ++offset) {
    const absl::string_view entity = EntityOf(text.bytes()[offset]);
    if (entity.empty()) continue;
    builder.Append(text, plain, offset);
    builder.Append(entity, text.origin(offset));
    plain = offset + 1;
  }
  builder.Append(text, plain, text.size());
  return builder.Build();
}

absl::StatusOr<Value> Escaped(Account* account, const Value& value) {
  if (value.is_markup()) return value;
  KEDGE_ASSIGN_OR_RETURN(const Text text, ToText(account, value));
  KEDGE_ASSIGN_OR_RETURN(Text escaped, EscapeHtml(account, text));
  return Value::Markup(std::move(escaped));
}

absl::StatusOr<Arguments> EscapedArguments(Account* account, const Arguments& arguments) {
  Arguments escaped = arguments;
  const auto escape = [&](Value& value) -> absl::Status {
    if (!value.is(Value::Kind::kString)) return absl::OkStatus();
    KEDGE_ASSIGN_OR_RETURN(value, Escaped(account, value));
    return absl::OkStatus();
  };
  for (Value& value : escaped.positional) KEDGE_RETURN_IF_ERROR(escape(value));
  for (auto& [name, value] : escaped.named) KEDGE_RETURN_IF_ERROR(escape(value));
  return escaped;
}

absl::StatusOr<Value> Marked(Account* account, absl::StatusOr<Value> value) {
  if (!value.ok()) return value;
  if (value->is(Value::Kind::kString)) return Value::Markup(value->text());
  if (!value->is(Value::Kind::kSequence)) return value;
  Sequence marked;
  marked.kind = value->sequence().kind;
  for (const Value& item : value->sequence().values) {
    marked.values.push_back(item.is(Value::Kind::kString) ? Value::Markup(item.text()) : item);
  }
  return Value::FromSequence(account, std::move(marked), value->origin());
}

}  // namespace kedge::jinja
