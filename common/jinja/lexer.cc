// Two states, as in jinja2: text up to the next tag, and what stands in a tag. White space at tags is decided where a
// tag begins (what the text before it loses) and where it ends (what is skipped). Tested by lexer_test.cc.
#include "common/jinja/lexer.h"

#include <charconv>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

absl::Status ErrorAt(int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

// Every line ends with one line feed; the last one's goes.
std::string NormalizeLines(absl::string_view source) {
  std::string lines = absl::StrReplaceAll(source, {{"\r\n", "\n"}, {"\r", "\n"}});
  if (absl::EndsWith(lines, "\n")) lines.pop_back();
  return lines;
}

bool BeginsName(char c) { return absl::ascii_isalpha(c) || c == '_' || (c & 0x80) != 0; }
bool ContinuesName(char c) { return BeginsName(c) || absl::ascii_isdigit(c); }

// What the escapes in a string literal stand for, as in Python; unknown ones stay as they are.
class Unescaper {
 public:
  explicit Unescaper(absl::string_view literal) : rest_(literal) {}

  absl::StatusOr<std::string> Read() {
    while (!rest_.empty()) {
      if (rest_[0] != '\\' || rest_.size() == 1) {
        text_.push_back(rest_[0]);
        rest_.remove_prefix(1);
        continue;
      }
      const char kind = rest_[1];
      rest_.remove_prefix(2);
      KEDGE_RETURN_IF_ERROR(ReadEscape(kind));
    }
    return std::move(text_);
  }

 private:
  absl::Status ReadEscape(char kind) {
    switch (kind) {
      case '\n':
        break;
      case 'n':
        text_.push_back('\n');
        break;
      case 't':
        text_.push_back('\t');
        break;
      case 'r':
        text_.push_back('\r');
        break;
      case 'b':
        text_.push_back('\b');
        break;
      case 'f':
        text_.push_back('\f');
        break;
      case 'a':
        text_.push_back('\a');
        break;
      case 'v':
        text_.push_back('\v');
        break;
      case '\\':
      case '\'':
      case '"':
        text_.push_back(kind);
        break;
      case 'x':
        return ReadHex(2);
      case 'u':
        return ReadHex(4);
      case 'U':
        return ReadHex(8);
      case '0':
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
      case '7':
        ReadOctal(kind);
        break;
      case 'N':
        return absl::InvalidArgumentError("the escape \\N{...} is not supported in a string");
      default:
        text_.append({'\\', kind});
    }
    return absl::OkStatus();
  }

  void ReadOctal(char first) {
    char32_t code = first - '0';
    for (int i = 0; i < 2 && !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '7'; ++i) {
      code = code * 8 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    AppendCharacter(code, text_);
  }

  absl::Status ReadHex(size_t digits) {
    uint32_t code = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (rest_.empty() || !absl::ascii_isxdigit(rest_[0])) {
        return absl::InvalidArgumentError("an escape in a string lacks hexadecimal digits");
      }
      const char digit = absl::ascii_tolower(rest_[0]);
      code = code * 16 + (absl::ascii_isdigit(digit) ? digit - '0' : digit - 'a' + 10);
      rest_.remove_prefix(1);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      return absl::InvalidArgumentError("an escape in a string names no character");
    }
    AppendCharacter(code, text_);
    return absl::OkStatus();
  }

  absl::string_view rest_;
  std::string text_;
};

// Lives for one call of Tokenize.
class Lexer {
 public:
  explicit Lexer(absl::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (position_ < source_.size()) KEDGE_RETURN_IF_ERROR(ReadTextAndTag());
    tokens_.push_back({Token::Kind::kEnd, line_, ""});
    return std::move(tokens_);
  }

 private:
  absl::string_view Rest() const { return source_.substr(position_); }
  bool At(absl::string_view text) const { return absl::StartsWith(Rest(), text); }

  // Goes on behind `bytes` more.
  void Skip(size_t bytes) {
    for (const char c : Rest().substr(0, bytes)) line_ += c == '\n';
    position_ += bytes;
  }
  void SkipSpace() {
    while (position_ < source_.size() && SpaceLength(Rest()) > 0) Skip(SpaceLength(Rest()));
  }
  // Of the white space character that `text` begins with; 0: none.
  static size_t SpaceLength(absl::string_view text) {
    return IsSpace(FirstCharacter(text)) ? CharacterLength(text[0]) : 0;
  }

  void Add(Token::Kind kind, absl::string_view text) { tokens_.push_back({kind, line_, std::string(text)}); }

  // `text`, which stands before a tag, as the tag leaves it. `sign`: '-', '+' or another character.
  absl::string_view TextBefore(absl::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return StripWhiteSpaceRight(text);
    if (sign == '+' || is_variable) return text;
    const size_t feed = text.rfind('\n');
    const size_t line_begin = feed == absl::string_view::npos ? 0 : feed + 1;
    if (line_begin == 0 && !line_starts_) return text;
    return StripWhiteSpace(text.substr(line_begin)).empty() ? text.substr(0, line_begin) : text;
  }

  void AddData(absl::string_view text) {
    if (!text.empty()) Add(Token::Kind::kData, text);
  }

  // Text up to a tag, and the tag.
  absl::Status ReadTextAndTag() {
    size_t begin = position_;
    do {
      begin = source_.find('{', begin);
      if (begin == absl::string_view::npos || begin + 1 >= source_.size()) {
        AddData(Rest());
        Skip(source_.size() - position_);
        return absl::OkStatus();
      }
      const char kind = source_[begin + 1];
      if (kind == '{' || kind == '%' || kind == '#') break;
      ++begin;
    } while (true);
    const absl::string_view text = source_.substr(position_, begin - position_);
    const char kind = source_[begin + 1];
    const char sign = begin + 2 < source_.size() ? source_[begin + 2] : ' ';
    AddData(TextBefore(text, sign, kind == '{'));
    Skip(text.size());
    const size_t opening = sign == '-' || sign == '+' ? 3 : 2;
    if (kind == '#') return ReadComment(2);
    if (kind == '%') {
      if (const size_t raw = RawBeginLength(opening); raw > 0) {
        Skip(raw);
        line_starts_ = source_[position_ - 1] == '\n';
        return ReadRaw();
      }
    }
    Add(kind == '{' ? Token::Kind::kVariableBegin : Token::Kind::kBlockBegin, "");
    Skip(opening);
    return ReadTag(kind == '{');
  }

  absl::Status ReadComment(size_t opening) {
    const int line = line_;
    const size_t end = source_.find("#}", position_ + opening);
    if (end == absl::string_view::npos) return ErrorAt(line, "a comment `{#` has no end `#}`");
    const char sign = end > position_ + opening ? source_[end - 1] : ' ';
    Skip(end + 2 - position_);
    EndTag(sign);
    return absl::OkStatus();
  }

  // Behind the end of a block or a comment.
  void EndTag(char sign) {
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && At("\n")) {
      Skip(1);
    }
    line_starts_ = source_[position_ - 1] == '\n';
  }

  // Of `{% raw %}` at the position; 0: it is another tag.
  size_t RawBeginLength(size_t opening) const {
    absl::string_view rest = StripWhiteSpaceLeft(Rest().substr(opening));
    if (!absl::ConsumePrefix(&rest, "raw")) return 0;
    rest = StripWhiteSpaceLeft(rest);
    if (absl::ConsumePrefix(&rest, "-%}")) {
      rest = StripWhiteSpaceLeft(rest);
    } else if (!absl::ConsumePrefix(&rest, "%}")) {
      return 0;
    }
    return Rest().size() - rest.size();
  }

  // Text up to `{% endraw %}`.
  absl::Status ReadRaw() {
    for (size_t begin = source_.find("{%", position_); begin != absl::string_view::npos;
         begin = source_.find("{%", begin + 1)) {
      absl::string_view rest = source_.substr(begin + 2);
      const char sign = rest.empty() ? ' ' : rest[0];
      if (sign == '-' || sign == '+') rest.remove_prefix(1);
      rest = StripWhiteSpaceLeft(rest);
      if (!absl::ConsumePrefix(&rest, "endraw")) continue;
      rest = StripWhiteSpaceLeft(rest);
      char end_sign = ' ';
      if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
        end_sign = rest[0];
        rest.remove_prefix(1);
      }
      if (!absl::ConsumePrefix(&rest, "%}")) continue;
      AddData(TextBefore(source_.substr(position_, begin - position_), sign, false));
      Skip(source_.size() - rest.size() - position_);
      EndTag(end_sign);
      return absl::OkStatus();
    }
    return ErrorAt(line_, "`raw` has no `endraw`");
  }

  // The tokens of a tag and its end.
  absl::Status ReadTag(bool is_variable) {
    std::string open;  // the closing brackets that are awaited
    while (true) {
      SkipSpace();
      if (position_ >= source_.size()) {
        return ErrorAt(line_, is_variable ? "`{{` has no end `}}`" : "`{%` has no end `%}`");
      }
      if (open.empty() && TryEnd(is_variable)) return absl::OkStatus();
      KEDGE_RETURN_IF_ERROR(ReadToken(open));
    }
  }

  bool TryEnd(bool is_variable) {
    const absl::string_view end = is_variable ? "}}" : "%}";
    const bool signed_end = At("-") || (!is_variable && At("+"));
    if (!absl::StartsWith(Rest().substr(signed_end ? 1 : 0), end)) return false;
    const char sign = signed_end ? source_[position_] : ' ';
    Add(is_variable ? Token::Kind::kVariableEnd : Token::Kind::kBlockEnd, "");
    Skip(end.size() + (signed_end ? 1 : 0));
    if (!is_variable) {
      EndTag(sign);
    } else {
      if (sign == '-') SkipSpace();
      line_starts_ = source_[position_ - 1] == '\n';
    }
    return true;
  }

  absl::Status ReadToken(std::string& open) {
    const char first = source_[position_];
    if (absl::ascii_isdigit(first)) return ReadNumber();
    if (BeginsName(first)) {
      size_t length = 1;
      while (position_ + length < source_.size() && ContinuesName(source_[position_ + length])) ++length;
      Add(Token::Kind::kName, Rest().substr(0, length));
      Skip(length);
      return absl::OkStatus();
    }
    if (first == '\'' || first == '"') return ReadString(first);
    for (const absl::string_view op : {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                       "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"}) {
      if (At(op)) return AddOperator(op, open);
    }
    const size_t length = CharacterLength(first);
    return ErrorAt(line_, absl::StrCat("unexpected character `", Rest().substr(0, length), "`"));
  }

  absl::Status AddOperator(absl::string_view op, std::string& open) {
    switch (op[0]) {
      case '(':
        open.push_back(')');
        break;
      case '[':
        open.push_back(']');
        break;
      case '{':
        open.push_back('}');
        break;
      case ')':
      case ']':
      case '}':
        if (open.empty()) return ErrorAt(line_, absl::StrCat("unexpected `", op, "`"));
        if (open.back() != op[0]) {
          return ErrorAt(line_, absl::StrCat("unexpected `", op, "`, expected `", open.substr(open.size() - 1), "`"));
        }
        open.pop_back();
        break;
      default:
        break;
    }
    Add(Token::Kind::kOperator, op);
    Skip(op.size());
    return absl::OkStatus();
  }

  absl::Status ReadString(char quote) {
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return ErrorAt(line_, "a string has no end");
    absl::StatusOr<std::string> text = Unescaper(source_.substr(position_ + 1, end - position_ - 1)).Read();
    if (!text.ok()) return ErrorAt(line_, text.status().message());
    Add(Token::Kind::kString, *text);
    Skip(end + 1 - position_);
    return absl::OkStatus();
  }

  // Of digits, with single underscores between them, at the begin of `text`.
  static size_t DigitsLength(absl::string_view text, bool (*is_digit)(unsigned char)) {
    size_t length = 0;
    while (length < text.size() &&
           (is_digit(text[length]) || (length > 0 && text[length] == '_' && text[length - 1] != '_' &&
                                       length + 1 < text.size() && is_digit(text[length + 1])))) {
      ++length;
    }
    return length;
  }

  absl::Status ReadNumber() {
    const absl::string_view rest = Rest();
    if (rest.size() > 2 && rest[0] == '0' && absl::StrContains("xXoObB", rest[1])) return ReadInteger(rest);
    size_t length = DigitsLength(rest, absl::ascii_isdigit);
    bool is_float = false;
    // After a dot digits are an item's number: x.0.1
    const bool behind_dot = position_ > 0 && source_[position_ - 1] == '.';
    if (!behind_dot && length + 1 < rest.size() && rest[length] == '.' && absl::ascii_isdigit(rest[length + 1])) {
      is_float = true;
      length += 1 + DigitsLength(rest.substr(length + 1), absl::ascii_isdigit);
    }
    if (!behind_dot && length < rest.size() && (rest[length] == 'e' || rest[length] == 'E')) {
      size_t digits = length + 1;
      if (digits < rest.size() && (rest[digits] == '+' || rest[digits] == '-')) ++digits;
      const size_t exponent = digits < rest.size() ? DigitsLength(rest.substr(digits), absl::ascii_isdigit) : 0;
      if (exponent > 0) {
        is_float = true;
        length = digits + exponent;
      }
    }
    if (!is_float) return ReadInteger(rest);
    const std::string digits = absl::StrReplaceAll(rest.substr(0, length), {{"_", ""}});
    Token token{Token::Kind::kFloat, line_, digits};
    token.number = std::strtod(digits.c_str(), nullptr);
    tokens_.push_back(std::move(token));
    Skip(length);
    return absl::OkStatus();
  }

  absl::Status ReadInteger(absl::string_view rest) {
    int base = 10;
    size_t prefix = 0;
    if (rest.size() > 2 && rest[0] == '0' && absl::ascii_isalpha(rest[1])) {
      const char kind = absl::ascii_tolower(rest[1]);
      base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
      if (base != 10) prefix = 2;
    }
    size_t length = DigitsLength(rest.substr(prefix), base == 16 ? absl::ascii_isxdigit : absl::ascii_isdigit);
    const std::string digits = absl::StrReplaceAll(rest.substr(prefix, length), {{"_", ""}});
    if (base == 10 && digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != std::string::npos) {
      return ErrorAt(line_, absl::StrCat("`", digits, "` is not a number"));
    }
    Token token{Token::Kind::kInteger, line_, digits};
    const std::from_chars_result read =
        std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
    if (read.ec == std::errc::result_out_of_range) {
      return ErrorAt(line_, absl::StrCat("the integer ", digits, " does not fit 64 bits"));
    }
    if (digits.empty() || read.ptr != digits.data() + digits.size()) {
      return ErrorAt(line_, absl::StrCat("`", rest.substr(0, prefix + length), "` is not a number"));
    }
    tokens_.push_back(std::move(token));
    Skip(prefix + length);
    return absl::OkStatus();
  }

  const absl::string_view source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // a line begins at the position
  std::vector<Token> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source) {
  if (const std::optional<size_t> bad = FindInvalidUtf8(source)) {
    return absl::InvalidArgumentError(absl::StrCat("byte ", *bad, " of the template is not UTF-8"));
  }
  const std::string lines = NormalizeLines(source);
  return Lexer(lines).Run();
}

std::string Describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kData:
      return "text";
    case Token::Kind::kVariableBegin:
      return "`{{`";
    case Token::Kind::kVariableEnd:
      return "`}}`";
    case Token::Kind::kBlockBegin:
      return "`{%`";
    case Token::Kind::kBlockEnd:
      return "`%}`";
    case Token::Kind::kEnd:
      return "the end of the template";
    default:
      return absl::StrCat("`", token.text, "`");
  }
}

}  // namespace kedge::jinja
