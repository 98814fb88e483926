// JSON from outside, with where it is wrong.
#ifndef KEDGE_COMMON_BASE_JSON_TEXT_H_
#define KEDGE_COMMON_BASE_JSON_TEXT_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace kedge {

// Lists and objects within each other: whoever walks them may do so by recursion.
inline constexpr int kMaxJsonDepth = 64;

// The value of `text`; members keep their order, and the last of those with one name holds. kInvalidArgument says what
// is wrong, for a message that begins with the field's name: "is not JSON at byte 17", from 0.
// `values`, unless null: how many values there may be in it, lists and objects among them, which are taken from it. A
// value takes some hundred times the memory of the byte or two that may spell it.
absl::StatusOr<nlohmann::ordered_json> ParseJson(absl::string_view text, size_t* values = nullptr);
// The same; kInvalidArgument also if it is no object.
absl::StatusOr<nlohmann::ordered_json> ParseJsonObject(absl::string_view text, size_t* values = nullptr);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_JSON_TEXT_H_
