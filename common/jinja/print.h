// Values as text, as Python's str(), repr() and json.dumps() write them, with the origin of every byte.
#ifndef KEDGE_COMMON_JINJA_PRINT_H_
#define KEDGE_COMMON_JINJA_PRINT_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/jinja/account.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// A float as repr() writes it: the shortest that reads back the same.
std::string FloatToString(double number);

// str(value): strings as they are, nothing for what is undefined. kUnimplemented: values without a text of their own
// (generators, functions), which Python shows by their address.
absl::StatusOr<Text> ToText(Account* account, const Value& value);
absl::Status AppendText(const Value& value, TextBuilder& to);

// repr(value): strings in quotes.
absl::Status AppendRepr(const Value& value, TextBuilder& to);

struct JsonStyle {
  // With it, every item has its own line.
  std::optional<Text> indent;
  std::optional<Text> item_separator;  // ", ", or "," with an indent
  std::optional<Text> key_separator;   // ": "
  bool sort_keys = false;
  bool ensure_ascii = false;
};

// json.dumps(value). kInvalidArgument: what JSON does not have, such as an undefined value.
absl::StatusOr<Text> ToJson(Account* account, const Value& value, const JsonStyle& style = {});

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_PRINT_H_
