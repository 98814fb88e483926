// JSON from outside, with where it is wrong.
#ifndef KEDGE_COMMON_BASE_JSON_TEXT_H_
#define KEDGE_COMMON_BASE_JSON_TEXT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace kedge {

// Lists and objects within each other: whoever walks them may do so by recursion.
inline constexpr int kMaxJsonDepth = 64;

// The value of `text`; members keep their order, and the last of those with one name holds. kInvalidArgument says what is
// wrong, for a message that begins with the field's name: "is not JSON at byte 17", from 0.
absl::StatusOr<nlohmann::ordered_json> ParseJson(absl::string_view text);
// The same; kInvalidArgument also if it is no object.
absl::StatusOr<nlohmann::ordered_json> ParseJsonObject(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_JSON_TEXT_H_
