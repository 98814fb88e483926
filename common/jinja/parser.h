// Templates from their source.
#ifndef KEDGE_COMMON_JINJA_PARSER_H_
#define KEDGE_COMMON_JINJA_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/ast.h"

namespace kedge::jinja {

// kInvalidArgument, kUnimplemented or kResourceExhausted: "line 3: ..." names the construct, or the filter, test, tag
// or function that there is not.
absl::StatusOr<Tree> ParseTemplate(absl::string_view source);

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_PARSER_H_
