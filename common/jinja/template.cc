// Tested by template_test.cc, and against jinja2 by jinja2_test.py.
#include "common/jinja/template.h"

#include <utility>

#include "common/base/utf8.h"
#include "common/jinja/evaluator.h"
#include "common/jinja/parser.h"

namespace kedge::jinja {
namespace {

// What a source or a message says may stand in an error.
absl::Status OneLine(absl::StatusCode code, const absl::Status& status) {
  return absl::Status(code, Printable(status.message()));
}

}  // namespace

absl::StatusOr<Template> Template::Parse(absl::string_view source) {
  absl::StatusOr<Tree> tree = ParseTemplate(source);
  if (!tree.ok()) return OneLine(tree.status().code(), tree.status());
  return Template(std::make_shared<const Tree>(*std::move(tree)));
}

absl::StatusOr<std::vector<Piece>> Template::Render(const Value& variables, absl::Time now, const Limits& limits,
                                                    int64_t* steps_taken) const {
  Evaluator evaluator(*tree_, limits, now);
  const absl::StatusOr<Text> text = evaluator.Render(variables);
  if (steps_taken != nullptr) *steps_taken += evaluator.account()->steps();
  if (!text.ok()) {
    // The codes of what is evaluated tell kinds of faults; to who renders they are faults all alike, but for limits.
    const bool is_limit = absl::IsResourceExhausted(text.status());
    return OneLine(is_limit ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInvalidArgument, text.status());
  }
  std::vector<Piece> pieces;
  size_t begin = 0;
  for (const Text::Run& run : text->runs()) {
    pieces.push_back({std::string(text->bytes().substr(begin, run.end - begin)), run.origin});
    begin = run.end;
  }
  return pieces;
}

}  // namespace kedge::jinja
