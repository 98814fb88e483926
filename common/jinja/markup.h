// Strings that `safe` and `escape` have marked as HTML.
#ifndef KEDGE_COMMON_JINJA_MARKUP_H_
#define KEDGE_COMMON_JINJA_MARKUP_H_

#include "absl/status/statusor.h"
#include "common/jinja/account.h"
#include "common/jinja/object.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// `text` with HTML's special characters as entities.
absl::StatusOr<Text> EscapeHtml(Account* account, const Text& text);

// Nothing escapes what a template prints, but a marked string escapes what is added to it, and templates of models do
// add to one. So a marked string is marked in what is made of it, and what it meets is escaped.

// A marked string with the text of `value`, escaped unless it is marked already.
absl::StatusOr<Value> Escaped(Account* account, const Value& value);
// Strings among the arguments, escaped.
absl::StatusOr<Arguments> EscapedArguments(Account* account, const Arguments& arguments);
// Strings in `value` (itself, or the items of a list or tuple), marked.
absl::StatusOr<Value> Marked(Account* account, absl::StatusOr<Value> value);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_MARKUP_H_
