// Small parsers of what the user hands over besides flags.
//
// Tested by token_list_test.cc.
#include "cli/token_list.h"

#include <errno.h>
#include <string.h>

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kedge {

absl::StatusOr<std::vector<uint32_t>> ParseTokenList(absl::string_view text) {
  std::vector<uint32_t> ids;
  for (absl::string_view piece : absl::StrSplit(text, absl::ByAnyChar(", \t\r\n\f\v"), absl::SkipEmpty())) {
    uint32_t id;
    if (!absl::SimpleAtoi(piece, &id)) {
      return absl::InvalidArgumentError(absl::StrCat("`", piece.substr(0, 40), "` is no token id"));
    }
    ids.push_back(id);
  }
  return ids;
}

absl::StatusOr<std::string> ReadFileOrStdin(const std::string& path) {
  bool is_stdin = path == "-";
  FILE* file = is_stdin ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  std::string content;
  char buffer[65536];
  while (size_t count = std::fread(buffer, 1, sizeof(buffer), file)) content.append(buffer, count);
  bool failed = std::ferror(file) != 0;
  if (!is_stdin) std::fclose(file);
  if (failed) return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  return content;
}

}  // namespace kedge
