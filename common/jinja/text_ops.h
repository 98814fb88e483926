// What Python's methods of strings do, on texts: each keeps the origin of every byte.
#ifndef KEDGE_COMMON_JINJA_TEXT_OPS_H_
#define KEDGE_COMMON_JINJA_TEXT_OPS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/account.h"
#include "common/jinja/text.h"

namespace kedge::jinja {

enum class Side { kLeft, kRight, kBoth };
// Without characters of `set` at its ends; nullopt: without white space.
absl::StatusOr<Text> Strip(Account* account, const Text& text, Side side, std::optional<absl::string_view> set);

// At most `count` times (all: negative), from the left.
absl::StatusOr<Text> Replace(Account* account, const Text& text, const Text& from, const Text& to, int64_t count = -1);

// At most `count` cuts (all: negative). nullopt: between runs of white space. REQUIRES: the separator is not empty.
absl::StatusOr<std::vector<Text>> Split(Account* account, const Text& text, std::optional<absl::string_view> separator,
                                        int64_t count, bool from_right);
absl::StatusOr<std::vector<Text>> SplitLines(Account* account, const Text& text, bool keep_ends);

absl::StatusOr<Text> Upper(Account* account, const Text& text);
absl::StatusOr<Text> Lower(Account* account, const Text& text);
// str.title: a capital behind every character that has no case.
absl::StatusOr<Text> Title(Account* account, const Text& text);
absl::StatusOr<Text> Capitalize(Account* account, const Text& text);
absl::StatusOr<Text> SwapCase(Account* account, const Text& text);

// `left` and `right` copies of `fill` around it. REQUIRES: fill is one character.
absl::StatusOr<Text> Pad(Account* account, const Text& text, int64_t left, int64_t right, const Text& fill);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_TEXT_OPS_H_
