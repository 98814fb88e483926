// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/parse_state.h"

#include "absl/strings/str_cat.h"
#include "common/jinja/functions.h"

namespace kedge::jinja {

absl::Status ParseState::Error(absl::string_view what, int line) const {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

absl::Status ParseState::Unexpected(absl::string_view expected) const {
  return Error(absl::StrCat("expected ", expected, ", found ", Describe(current())));
}

absl::Status ParseState::Expect(Token::Kind kind, absl::string_view what) {
  if (current().kind != kind) return Unexpected(what);
  Next();
  return absl::OkStatus();
}

absl::Status ParseState::ExpectName(absl::string_view name) {
  return SkipName(name) ? absl::OkStatus() : Unexpected(absl::StrCat("`", name, "`"));
}

absl::Status ParseState::ExpectOperator(absl::string_view op) {
  return SkipOperator(op) ? absl::OkStatus() : Unexpected(absl::StrCat("`", op, "`"));
}

NameId ParseState::Name(const std::string& name) {
  const auto [place, added] = ids_.emplace(name, static_cast<NameId>(names_.size()));
  if (added) names_.push_back(name);
  return place->second;
}

absl::Status ParseState::CheckCalls() const {
  for (const auto& [name, line] : calls_) {
    bool known = assigned_.contains(name) || name == "caller" || name == "loop";
    std::string functions;
    for (const Function& function : Functions()) {
      known = known || function.name == name;
      absl::StrAppend(&functions, functions.empty() ? "" : ", ", function.name);
    }
    if (!known) {
      return Error(
          absl::StrCat("there is no function `", name, "` (there are ", functions, ", and the template's macros)"),
          line);
    }
  }
  return absl::OkStatus();
}

void ParseState::Mentions(absl::string_view name) {
  if (macros_.empty()) return;
  macros_.back().insert(std::string(name));
}

absl::flat_hash_set<std::string> ParseState::EndMacro() {
  absl::flat_hash_set<std::string> mentioned = std::move(macros_.back());
  macros_.pop_back();
  if (!macros_.empty()) macros_.back().insert(mentioned.begin(), mentioned.end());
  return mentioned;
}

absl::Status ParseState::Enter() {
  ++depth_;
  if (depth_ <= kMaxNesting) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("line ", line(), ": expressions and blocks are nested more than ", kMaxNesting, " deep"));
}

}  // namespace kedge::jinja
