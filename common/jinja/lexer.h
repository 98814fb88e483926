// A template's source as tokens.
#ifndef KEDGE_COMMON_JINJA_LEXER_H_
#define KEDGE_COMMON_JINJA_LEXER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge::jinja {

struct Token {
  enum class Kind {
    kData,  // text outside of tags, white space already taken away
    kVariableBegin,
    kVariableEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind;
  int line;
  std::string text;  // data, a name, what a string says, an operator
  int64_t integer = 0;
  double number = 0;

  bool IsName(absl::string_view name) const { return kind == Kind::kName && text == name; }
  bool IsOperator(absl::string_view op) const { return kind == Kind::kOperator && text == op; }
};

// The tokens, kEnd behind them, with trim_blocks and lstrip_blocks: a line feed behind a block or a comment goes, and
// so does white space from a line's begin to one. kInvalidArgument: "line 3: ..." says what is wrong.
absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source);

// A token as errors show it.
std::string Describe(const Token& token);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_LEXER_H_
