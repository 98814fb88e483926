// The outline of a Jinja template in one canonical form, so that templates which say the same can be compared.
#ifndef KEDGE_COMMON_TOKENIZER_JINJA_OUTLINE_H_
#define KEDGE_COMMON_TOKENIZER_JINJA_OUTLINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// A token of Jinja's expression language.
struct JinjaToken {
  enum class Kind {
    kLiteral,  // a string literal; `text` is its value, escapes resolved
    kWord,     // a name, keyword or number
    kSign,     // one character of anything else
  };
  Kind kind;
  std::string text;

  friend bool operator==(const JinjaToken& a, const JinjaToken& b) { return a.kind == b.kind && a.text == b.text; }
};

// One step of a template. In its tokens a['b'] is a.b, a | trim is a.strip(), and 'x' + 'y' is 'xy'.
struct JinjaItem {
  enum class Kind {
    kStatement,  // {% tokens %}
    kOutput,     // {{ tokens }}, or text between tags as a literal; neighbours are joined by +
  };
  Kind kind;
  std::vector<JinjaToken> tokens;

  friend bool operator==(const JinjaItem& a, const JinjaItem& b) { return a.kind == b.kind && a.tokens == b.tokens; }
};

// Reads the tags of `source` as chat templates are rendered (with trim_blocks and lstrip_blocks) and evaluates
// nothing. kInvalidArgument: a tag or a string literal that does not end.
absl::StatusOr<std::vector<JinjaItem>> OutlineJinja(absl::string_view source);

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_JINJA_OUTLINE_H_
