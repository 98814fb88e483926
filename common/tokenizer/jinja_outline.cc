// A template is text and tags in turn. Text next to a tag loses white space by Jinja's rules: all of it at a tag's
// minus sign; otherwise the line feed right after a {% %} or {# #} tag (trim_blocks), and the blanks of a line before
// such a tag (lstrip_blocks); and one line feed at the template's end. What is left is output like any literal.
// Tested by jinja_outline_test.cc.
#include "common/tokenizer/jinja_outline.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kedge {
namespace {

using TokenKind = JinjaToken::Kind;

bool IsWordCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Reads a literal whose opening quote is the first character of `rest`, and removes it from `rest`.
absl::StatusOr<std::string> ReadLiteral(absl::string_view* rest) {
  const char quote = rest->front();
  std::string value;
  for (size_t i = 1; i < rest->size(); ++i) {
    char c = (*rest)[i];
    if (c == quote) {
      rest->remove_prefix(i + 1);
      return value;
    }
    if (c == '\\' && i + 1 < rest->size()) {
      c = (*rest)[++i];
      if (c == 'n') {
        c = '\n';
      } else if (c == 't') {
        c = '\t';
      } else if (c == 'r') {
        c = '\r';
      } else if (c != '\\' && c != '\'' && c != '"') {
        value.push_back('\\');  // no escape that templates use: keep it as it stands
      }
    }
    value.push_back(c);
  }
  return absl::InvalidArgumentError("a string literal does not end");
}

// Reads tokens up to and with `closing` and removes them from `rest`. A minus sign before it stays, as the last token.
absl::StatusOr<std::vector<JinjaToken>> ReadTokens(absl::string_view closing, absl::string_view* rest) {
  std::vector<JinjaToken> tokens;
  while (!rest->empty()) {
    if (absl::ConsumePrefix(rest, closing)) return tokens;
    const char c = rest->front();
    if (c == '\'' || c == '"') {
      auto value = ReadLiteral(rest);
      if (!value.ok()) return value.status();
      tokens.push_back({TokenKind::kLiteral, *std::move(value)});
    } else if (IsWordCharacter(c)) {
      size_t length = 1;
      while (length < rest->size() && IsWordCharacter((*rest)[length])) ++length;
      tokens.push_back({TokenKind::kWord, std::string(rest->substr(0, length))});
      rest->remove_prefix(length);
    } else {
      if (!absl::ascii_isspace(static_cast<unsigned char>(c))) tokens.push_back({TokenKind::kSign, std::string(1, c)});
      rest->remove_prefix(1);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("a tag is not closed by ", closing));
}

bool IsSign(const JinjaToken& token, absl::string_view sign) {
  return token.kind == TokenKind::kSign && token.text == sign;
}

// Appends `token`, and rewrites the end of `tokens` into canonical form if that is possible now.
void AppendCanonical(JinjaToken token, std::vector<JinjaToken>* tokens) {
  const size_t size = tokens->size();
  // 'x' + 'y'  ->  'xy'
  if (token.kind == TokenKind::kLiteral && size >= 2 && IsSign((*tokens)[size - 1], "+") &&
      (*tokens)[size - 2].kind == TokenKind::kLiteral) {
    tokens->pop_back();
    tokens->back().text += token.text;
    return;
  }
  // a['b']  ->  a.b, where a is a name or a subscript (after anything else it is a list)
  if (IsSign(token, "]") && size >= 3 && (*tokens)[size - 1].kind == TokenKind::kLiteral &&
      IsSign((*tokens)[size - 2], "[") &&
      ((*tokens)[size - 3].kind == TokenKind::kWord || IsSign((*tokens)[size - 3], "]"))) {
    (*tokens)[size - 2].text = ".";
    (*tokens)[size - 1].kind = TokenKind::kWord;
    return;
  }
  // a | trim  ->  a.strip()
  if (token.kind == TokenKind::kWord && token.text == "trim" && size >= 1 && IsSign((*tokens)[size - 1], "|")) {
    (*tokens)[size - 1].text = ".";
    tokens->push_back({TokenKind::kWord, "strip"});
    tokens->push_back({TokenKind::kSign, "("});
    tokens->push_back({TokenKind::kSign, ")"});
    return;
  }
  tokens->push_back(std::move(token));
}

void AppendOutput(std::vector<JinjaToken> tokens, std::vector<JinjaItem>* items) {
  if (items->empty() || items->back().kind != JinjaItem::Kind::kOutput) {
    items->push_back({JinjaItem::Kind::kOutput, {}});
  } else {
    AppendCanonical({TokenKind::kSign, "+"}, &items->back().tokens);
  }
  for (JinjaToken& token : tokens) AppendCanonical(std::move(token), &items->back().tokens);
}

// Removes the blanks at the end of `text` if they begin a line. `at_start`: `text` begins the template, or follows a
// line feed that was taken away.
absl::string_view StripLastLine(absl::string_view text, bool at_start) {
  size_t end = text.size();
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
  const bool begins_line = end == 0 ? at_start : text[end - 1] == '\n';
  return begins_line ? text.substr(0, end) : text;
}

}  // namespace

absl::StatusOr<std::vector<JinjaItem>> OutlineJinja(absl::string_view source) {
  std::vector<JinjaItem> items;
  absl::string_view rest = source;
  absl::ConsumeSuffix(&rest, "\n");
  bool at_line_start = true;  // of the text that follows
  bool strip_left = false;    // the tag before the text ended with a minus sign
  while (true) {
    size_t open = 0;
    while (open < rest.size() && !(rest[open] == '{' && open + 1 < rest.size() &&
                                   (rest[open + 1] == '{' || rest[open + 1] == '%' || rest[open + 1] == '#'))) {
      ++open;
    }
    absl::string_view text = rest.substr(0, open);
    rest.remove_prefix(open);
    const char tag = rest.empty() ? '\0' : rest[1];
    if (!rest.empty()) rest.remove_prefix(2);
    if (strip_left) text = absl::StripLeadingAsciiWhitespace(text);
    if (absl::ConsumePrefix(&rest, "-")) {
      text = absl::StripTrailingAsciiWhitespace(text);
    } else if (tag == '%' || tag == '#') {
      // A plus sign at a tag keeps the blanks.
      if (!absl::ConsumePrefix(&rest, "+")) text = StripLastLine(text, at_line_start);
    }
    if (!text.empty()) AppendOutput({{TokenKind::kLiteral, std::string(text)}}, &items);
    if (tag == '\0') return items;

    if (tag == '#') {
      const size_t end = rest.find("#}");
      if (end == absl::string_view::npos) return absl::InvalidArgumentError("a comment is not closed by #}");
      strip_left = absl::EndsWith(rest.substr(0, end), "-");
      rest.remove_prefix(end + 2);
    } else {
      auto tokens = ReadTokens(tag == '%' ? "%}" : "}}", &rest);
      if (!tokens.ok()) return tokens.status();
      strip_left = !tokens->empty() && IsSign(tokens->back(), "-");
      if (strip_left) tokens->pop_back();
      if (tag == '{') {
        AppendOutput(*std::move(tokens), &items);
      } else {
        items.push_back({JinjaItem::Kind::kStatement, {}});
        for (JinjaToken& token : *tokens) AppendCanonical(std::move(token), &items.back().tokens);
      }
    }
    at_line_start = tag != '{' && absl::ConsumePrefix(&rest, "\n");
  }
}

}  // namespace kedge
