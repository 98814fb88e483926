// Token ids on the command line and in files: "1,2,3".
#ifndef KEDGE_CLI_TOKEN_LIST_H_
#define KEDGE_CLI_TOKEN_LIST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Integers separated by commas or white space (or both). kInvalidArgument names the first piece that is no token id.
// An empty list is valid here: whether a prompt may be empty is for the server to say.
absl::StatusOr<std::vector<uint32_t>> ParseTokenList(absl::string_view text);

// The whole content of a file; "-" is stdin. kNotFound, or kUnavailable with the reason.
absl::StatusOr<std::string> ReadFileOrStdin(const std::string& path);

}  // namespace kedge

#endif  // KEDGE_CLI_TOKEN_LIST_H_
