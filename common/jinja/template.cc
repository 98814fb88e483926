// Tested by template_test.cc, and against jinja2 by jinja2_test.py.
#include "common/jinja/template.h"

#include <utility>

#include "common/base/status.h"
#include "common/jinja/evaluator.h"
#include "common/jinja/parser.h"

namespace kedge::jinja {

absl::StatusOr<Template> Template::Parse(absl::string_view source) {
  KEDGE_ASSIGN_OR_RETURN(Tree tree, ParseTemplate(source));
  return Template(std::make_shared<const Tree>(std::move(tree)));
}

absl::StatusOr<std::vector<Piece>> Template::Render(const Value& variables, absl::Time now,
                                                    const Limits& limits) const {
  Evaluator evaluator(*tree_, limits, now);
  KEDGE_ASSIGN_OR_RETURN(const Text text, evaluator.Render(variables));
  std::vector<Piece> pieces;
  size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    pieces.push_back({std::string(text.bytes().substr(begin, run.end - begin)), run.origin});
    begin = run.end;
  }
  return pieces;
}

}  // namespace kedge::jinja
