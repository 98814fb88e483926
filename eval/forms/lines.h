// Texts that are all of a kind: rows, log lines, needles, as many as there is room for.
#ifndef KEDGE_EVAL_FORMS_LINES_H_
#define KEDGE_EVAL_FORMS_LINES_H_

#include <functional>
#include <string>
#include <vector>

#include "eval/forms/question.h"
#include "eval/forms/random.h"

namespace kedge {

struct Lines {
  std::string text;
  std::vector<ByteRange> lines;  // without their line breaks
};

// How many lines like `line` fill `tokens`, about; at least `least`.
size_t LinesFor(const std::string& line, size_t tokens, size_t least, const TextOptions& options);

Lines JoinLines(const std::vector<std::string>& lines, absl::string_view line_break = "\n");

// `count` of the numbers 0 .. size - 1, one of each of as many equal parts, in any order: so every depth is asked for.
// REQUIRES: count <= size.
std::vector<size_t> OneOfEachPart(size_t count, size_t size, Random* random);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_LINES_H_
