// Tested by lines_test.cc.
#include "eval/forms/lines.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {

size_t LinesFor(const std::string& line, size_t tokens, size_t least, const TextOptions& options) {
  return std::max(least, tokens / std::max<size_t>(1, options.count_tokens(absl::StrCat(line, "\n"))));
}

Lines JoinLines(const std::vector<std::string>& lines, absl::string_view line_break) {
  Lines joined;
  for (const std::string& line : lines) {
    if (!joined.text.empty()) absl::StrAppend(&joined.text, line_break);
    joined.lines.push_back({joined.text.size(), joined.text.size() + line.size()});
    absl::StrAppend(&joined.text, line);
  }
  return joined;
}

std::vector<size_t> OneOfEachPart(size_t count, size_t size, Random* random) {
  KEDGE_CHECK(count <= size);
  std::vector<size_t> chosen;
  for (size_t part : random->Order(count)) {
    const size_t begin = part * size / count, end = (part + 1) * size / count;
    chosen.push_back(begin + random->Below(end - begin));
  }
  return chosen;
}

}  // namespace kedge
