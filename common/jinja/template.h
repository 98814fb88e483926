// Templates in the Jinja that chat templates are written in.
#ifndef KEDGE_COMMON_JINJA_TEMPLATE_H_
#define KEDGE_COMMON_JINJA_TEMPLATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/jinja/account.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

struct Tree;

// A stretch of rendered text that came from one place. Neighbours differ in origin; none is empty.
struct Piece {
  std::string text;
  Origin origin = kTemplate;
};

// A parsed template, rendered as `transformers` does: jinja2's immutable sandbox with trim_blocks, lstrip_blocks and
// loop controls, the functions raise_exception and strftime_now, a tojson without escapes for HTML, and {% generation
// %}. Thread-safe (immutable); cheap to copy.
class Template {
 public:
  // "line 12: ..." names what is wrong or not supported: names of tags, filters, tests and functions are checked here.
  // Errors are one line of text, whatever the source says (Printable of common/base/utf8.h).
  static absl::StatusOr<Template> Parse(absl::string_view source);

  // `variables`: a dict. `now`: what strftime_now tells, in the machine's time zone. What the rendering took, also one
  // that fails, is added to *steps_taken.
  // kInvalidArgument: the message that the template gives to raise_exception, or "line 12: ..." says what is wrong;
  // kResourceExhausted: a limit, named. One line of text, as above.
  absl::StatusOr<std::vector<Piece>> Render(const Value& variables, absl::Time now, const Limits& limits = {},
                                            int64_t* steps_taken = nullptr) const;

 private:
  explicit Template(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}

  std::shared_ptr<const Tree> tree_;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_TEMPLATE_H_
