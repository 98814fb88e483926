// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/format.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/format_spec.h"
#include "common/jinja/invocation.h"
#include "common/jinja/markup.h"
#include "common/jinja/operators.h"
#include "common/jinja/print.h"

namespace kedge::jinja {
namespace {

absl::Status Error(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("format: ", what)); }

bool IsTuple(const Value& value) {
  return value.is(Value::Kind::kSequence) && value.sequence().kind == Sequence::Kind::kTuple;
}

absl::StatusOr<Text> Shortened(Account* account, const Text& text, int precision) {
  if (precision < 0 || text.characters() <= static_cast<size_t>(precision)) return text;
  return text.Slice(account, 0, text.Offset(precision));
}

// "%s" and its like. Lives for one call.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Text& format, const Value& values, bool escapes)
      : runtime_(runtime), format_(format), values_(values), escapes_(escapes), out_(runtime.account()) {}

  absl::StatusOr<Value> Run() {
    const absl::string_view bytes = format_.bytes();
    size_t plain = 0;
    while ((position_ = bytes.find('%', plain)) != absl::string_view::npos) {
      out_.Append(format_, plain, position_);
      KEDGE_RETURN_IF_ERROR(runtime_.account()->Step());
      KEDGE_RETURN_IF_ERROR(ReadField());
      plain = position_;
    }
    out_.Append(format_, plain, bytes.size());
    const bool all_used = values_.is(Value::Kind::kDict) || values_.is(Value::Kind::kUndefined) || by_name_ ||
                          next_ >= Count() || (values_.is(Value::Kind::kSequence) && !IsTuple(values_));
    if (!all_used) return Error("not all values are used");
    return AsString(out_.Build());
  }

 private:
  size_t Count() const { return IsTuple(values_) ? values_.sequence().values.size() : 1; }

  absl::StatusOr<Value> Next() {
    if (next_ >= Count()) return Error("there are too few values");
    const size_t index = next_++;
    return IsTuple(values_) ? values_.sequence().values[index] : values_;
  }

  char Peek() const { return position_ < format_.size() ? format_.bytes()[position_] : '\0'; }

  // A number or a star.
  absl::StatusOr<int64_t> ReadCount(int64_t most) {
    int64_t count = 0;
    if (Peek() == '*') {
      ++position_;
      KEDGE_ASSIGN_OR_RETURN(const Value value, Next());
      if (!value.is_integer()) return Error("* needs an integer");
      count = value.as_int();
    }
    for (; absl::ascii_isdigit(Peek()) && count <= most; ++position_) count = count * 10 + (Peek() - '0');
    if (count > most || count < -most) return Error(absl::StrCat("more than ", most, " characters are asked for"));
    return count;
  }

  absl::Status ReadField() {
    ++position_;  // %
    std::optional<Value> value;
    if (Peek() == '(') {
      const size_t close = format_.bytes().find(')', position_);
      if (close == absl::string_view::npos) return Error("a name has no end");
      if (!values_.is(Value::Kind::kDict)) return Error("a name needs a dict");
      const absl::string_view name = format_.bytes().substr(position_ + 1, close - position_ - 1);
      const Value* member = values_.members().Find(name);
      if (member == nullptr) return Error(absl::StrCat("there is no value `", name, "`"));
      value = *member;
      by_name_ = true;
      position_ = close + 1;
    }
    FormatSpec spec;
    bool zeros = false;
    for (; absl::StrContains("#0- +", Peek()) && Peek() != '\0'; ++position_) {
      switch (Peek()) {
        case '#':
          spec.alternate = true;
          break;
        case '0':
          zeros = true;
          break;
        case '-':
          spec.align = '<';
          break;
        case ' ':
          spec.sign = spec.sign == '+' ? '+' : ' ';
          break;
        default:
          spec.sign = '+';
      }
    }
    KEDGE_ASSIGN_OR_RETURN(spec.width, ReadCount(1'000'000));
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (Peek() == '.') {
      ++position_;
      KEDGE_ASSIGN_OR_RETURN(const int64_t precision, ReadCount(1000));
      spec.precision = static_cast<int>(std::max<int64_t>(0, precision));
    }
    while (Peek() == 'l' || Peek() == 'h' || Peek() == 'L') ++position_;
    spec.type = Peek();
    if (spec.type == '\0') return Error("it ends within a field");
    ++position_;
    if (spec.type == '%') {
      out_.Append("%", format_.origin(position_ - 1));
      return out_.status();
    }
    if (!value.has_value()) {
      KEDGE_ASSIGN_OR_RETURN(value, Next());
    }
    if (zeros && spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
    return AppendField(spec, *value);
  }

  absl::Status AppendField(FormatSpec spec, const Value& value) {
    if (spec.type == 's' || spec.type == 'r') {
      TextBuilder builder(runtime_.account());
      KEDGE_RETURN_IF_ERROR(spec.type == 's' ? AppendText(value, builder) : AppendRepr(value, builder));
      KEDGE_ASSIGN_OR_RETURN(Text text, builder.Build());
      if (escapes_ && !value.is_markup()) {
        KEDGE_ASSIGN_OR_RETURN(text, EscapeHtml(runtime_.account(), text));
      }
      KEDGE_ASSIGN_OR_RETURN(text, Shortened(runtime_.account(), text, spec.precision));
      spec.fill = " ";
      return AppendPadded(spec, '>', text, out_);
    }
    if (spec.type == 'c') return AppendCharacterField(spec, value);
    if (!absl::StrContains("diuoxXeEfFgG", spec.type)) {
      return Error(absl::StrCat("`%", std::string(1, spec.type), "` is not supported"));
    }
    if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
    if (!value.is_number()) {
      return Error(absl::StrCat("`%", std::string(1, spec.type), "` does not fit a ", TypeName(value)));
    }
    Value number = value;
    if (absl::StrContains("diuoxX", spec.type)) {
      if (value.is(Value::Kind::kFloat)) {
        if (absl::StrContains("oxX", spec.type)) return Error("an integer is needed");
        if (!(std::abs(value.as_double()) < 9.2e18)) return Error("a float has no integer of 64 bits");
        number = Value::Int(static_cast<int64_t>(value.as_double()), value.origin());
      }
      if (spec.precision >= 0) {  // at least so many digits
        if (spec.alternate) return Error("`#` with a precision is not supported");
        FormatSpec digits = spec;
        digits.width = spec.precision + (number.as_int() < 0 || spec.sign != '-' ? 1 : 0);
        digits.align = '=';
        digits.fill = "0";
        digits.precision = -1;
        KEDGE_ASSIGN_OR_RETURN(std::string text, FormatNumber(digits, number));
        if (spec.align == '=') spec.align = 0;
        const bool zero_fill = spec.fill == "0" && spec.width > static_cast<int64_t>(text.size());
        if (zero_fill) {
          digits.width = spec.width;
          KEDGE_ASSIGN_OR_RETURN(text, FormatNumber(digits, number));
        }
        spec.fill = " ";
        return AppendPadded(spec, '>', Text(text, value.origin()), out_);
      }
    }
    KEDGE_ASSIGN_OR_RETURN(const std::string text, FormatNumber(spec, number));
    if (spec.align != '=') spec.fill = " ";
    return AppendPadded(spec, '>', Text(text, value.origin()), out_);
  }

  // One character, or its number.
  absl::Status AppendCharacterField(FormatSpec spec, const Value& value) {
    spec.fill = " ";
    if (value.is(Value::Kind::kString) && value.text().characters() == 1) {
      return AppendPadded(spec, '>', value.text(), out_);
    }
    if (!value.is_integer()) return Error("`%c` needs one character, or its number");
    KEDGE_ASSIGN_OR_RETURN(const std::string character, CharacterOf(value.as_int()));
    return AppendPadded(spec, '>', Text(character, value.origin()), out_);
  }

  Runtime& runtime_;
  const Text& format_;
  const Value& values_;
  const bool escapes_;
  TextBuilder out_;
  size_t position_ = 0;
  size_t next_ = 0;
  bool by_name_ = false;
};

// "{}" and its like. Lives for one call.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments, bool escapes)
      : runtime_(runtime), arguments_(arguments), escapes_(escapes), out_(runtime.account()) {}

  absl::StatusOr<Value> Run(const Text& format) {
    const absl::string_view bytes = format.bytes();
    size_t plain = 0;
    for (size_t at = 0; at < bytes.size();) {
      if (bytes[at] != '{' && bytes[at] != '}') {
        ++at;
        continue;
      }
      out_.Append(format, plain, at);
      KEDGE_RETURN_IF_ERROR(runtime_.account()->Step());
      if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {
        out_.Append(format, at, at + 1);
        at += 2;
      } else {
        if (bytes[at] == '}') return Error("a single `}`");
        // A specification may have fields of its own: they end the same way.
        int depth = 1;
        size_t end = at + 1;
        for (; end < bytes.size(); ++end) {
          depth += bytes[end] == '{' ? 1 : bytes[end] == '}' ? -1 : 0;
          if (depth == 0) break;
        }
        if (depth != 0) return Error("a `{` has no end");
        KEDGE_RETURN_IF_ERROR(AppendField(bytes.substr(at + 1, end - at - 1)));
        at = end + 1;
      }
      plain = at;
    }
    out_.Append(format, plain, bytes.size());
    return AsString(out_.Build());
  }

 private:
  absl::StatusOr<Value> Argument(absl::string_view name) {
    if (name.empty()) {
      if (numbered_) return Error("fields with and without numbers are mixed");
      automatic_ = true;
    }
    size_t index = 0;
    if (name.empty() || absl::SimpleAtoi(name, &index)) {
      if (!name.empty()) {
        if (automatic_) return Error("fields with and without numbers are mixed");
        numbered_ = true;
      } else {
        index = next_++;
      }
      if (index >= arguments_.positional.size()) return Error(absl::StrCat("there is no value ", index));
      return arguments_.positional[index];
    }
    const Value* value = arguments_.Named(name);
    if (value == nullptr) return Error(absl::StrCat("there is no value `", name, "`"));
    return *value;
  }

  absl::StatusOr<Value> Lookup(absl::string_view field) {
    const size_t name_end = std::min(field.find_first_of(".["), field.size());
    KEDGE_ASSIGN_OR_RETURN(Value value, Argument(field.substr(0, name_end)));
    absl::string_view rest = field.substr(name_end);
    while (!rest.empty()) {
      const bool is_item = rest[0] == '[';
      rest.remove_prefix(1);
      const size_t end = is_item ? rest.find(']') : std::min(rest.find_first_of(".["), rest.size());
      if (end == absl::string_view::npos || end == 0) return Error("a field is not complete");
      const absl::string_view name = rest.substr(0, end);
      int64_t index = 0;
      if (is_item) {
        const Value key = absl::SimpleAtoi(name, &index) ? Value::Int(index) : Value::Text(name);
        KEDGE_ASSIGN_OR_RETURN(value, GetItem(runtime_, value, key));
      } else {
        KEDGE_ASSIGN_OR_RETURN(value, GetAttribute(runtime_, value, name));
      }
      if (value.is(Value::Kind::kUndefined)) return absl::InvalidArgumentError(value.undefined());
      rest.remove_prefix(is_item ? end + 1 : end);
    }
    return value;
  }

  absl::Status AppendField(absl::string_view field) {
    const size_t colon = field.find(':');
    absl::string_view head = field.substr(0, colon);
    const absl::string_view spec_text = colon == absl::string_view::npos ? "" : field.substr(colon + 1);
    const size_t mark = head.find('!');
    const absl::string_view conversion = mark == absl::string_view::npos ? "" : head.substr(mark + 1);
    KEDGE_ASSIGN_OR_RETURN(Value value, Lookup(head.substr(0, mark)));
    if (absl::StrContains(spec_text, '{')) return Error("fields within a field are not supported");
    if (mark != absl::string_view::npos && conversion != "r" && conversion != "s") {
      return Error(absl::StrCat("the conversion `", conversion, "` is not supported"));
    }
    if (!conversion.empty()) {
      TextBuilder builder(runtime_.account());
      KEDGE_RETURN_IF_ERROR(conversion == "r" ? AppendRepr(value, builder) : AppendText(value, builder));
      KEDGE_ASSIGN_OR_RETURN(value, AsString(builder.Build()));
    }
    if (escapes_ && (spec_text.empty() || value.is(Value::Kind::kString))) {
      KEDGE_ASSIGN_OR_RETURN(value, Escaped(runtime_.account(), value));
    }
    if (spec_text.empty()) return AppendText(value, out_);
    KEDGE_ASSIGN_OR_RETURN(const FormatSpec spec, ReadFormatSpec(spec_text));
    if (value.is(Value::Kind::kString)) {
      if ((spec.type != 0 && spec.type != 's') || spec.align == '=' || spec.sign != '-' || spec.grouping != 0) {
        return Error(absl::StrCat("`", spec_text, "` does not fit a string"));
      }
      KEDGE_ASSIGN_OR_RETURN(const Text text, Shortened(runtime_.account(), value.text(), spec.precision));
      return AppendPadded(spec, '<', text, out_);
    }
    if (!value.is_number()) return Error(absl::StrCat("`", spec_text, "` does not fit a ", TypeName(value)));
    KEDGE_ASSIGN_OR_RETURN(const std::string digits, FormatNumber(spec, value));
    return AppendPadded(spec, '>', Text(digits, value.origin()), out_);
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  const bool escapes_;
  TextBuilder out_;
  size_t next_ = 0;
  bool automatic_ = false;
  bool numbered_ = false;
};

}  // namespace

absl::StatusOr<Value> FormatPercent(Runtime& runtime, const Value& format, const Value& value) {
  if (!format.is_markup()) return PercentFormatter(runtime, format.text(), value, false).Run();
  return Marked(runtime.account(), PercentFormatter(runtime, format.text(), value, true).Run());
}

absl::StatusOr<Value> FormatBraces(Runtime& runtime, const Value& format, const Arguments& arguments) {
  if (!format.is_markup()) return BraceFormatter(runtime, arguments, false).Run(format.text());
  return Marked(runtime.account(), BraceFormatter(runtime, arguments, true).Run(format.text()));
}

}  // namespace kedge::jinja
