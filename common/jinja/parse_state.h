// Where a parser is in a template.
#ifndef KEDGE_COMMON_JINJA_PARSE_STATE_H_
#define KEDGE_COMMON_JINJA_PARSE_STATE_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/jinja/ast.h"
#include "common/jinja/lexer.h"

namespace kedge::jinja {

// The tokens, the names that were met, and how deep the parser is. Lives for one parse; shared by the parsers of
// statements and of expressions.
class ParseState {
 public:
  explicit ParseState(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& Ahead() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  // The token that was current.
  const Token& Next() { return tokens_[position_ + 1 < tokens_.size() ? position_++ : position_]; }
  bool SkipName(absl::string_view name) { return current().IsName(name) && (Next(), true); }
  bool SkipOperator(absl::string_view op) { return current().IsOperator(op) && (Next(), true); }
  absl::Status Expect(Token::Kind kind, absl::string_view what);
  absl::Status ExpectName(absl::string_view name);
  absl::Status ExpectOperator(absl::string_view op);
  // "line 3: ..."
  absl::Status Error(absl::string_view what, int line) const;
  absl::Status Error(absl::string_view what) const { return Error(what, line()); }
  absl::Status Unexpected(absl::string_view expected) const;

  NameId Name(const std::string& name);
  const std::string& NameOf(NameId name) const { return names_[static_cast<size_t>(name)]; }
  // Into the tree. The last call.
  void TakeNames(Tree* tree) {
    tree->names = std::move(names_);
    tree->ids = std::move(ids_);
  }

  // Names that the template itself gives a value, and those whose existence it asks for: a call of another name is of a
  // function that there is not.
  void Assigns(absl::string_view name) { assigned_.insert(std::string(name)); }
  void AsksFor(absl::string_view name) { assigned_.insert(std::string(name)); }
  void Calls(absl::string_view name, int line) { calls_.emplace_back(name, line); }
  absl::Status CheckCalls() const;

  // What macros mention of the names that a call fills in: a stack, the innermost macro last.
  void Mentions(absl::string_view name);
  void BeginMacro() { macros_.emplace_back(); }
  absl::flat_hash_set<std::string> EndMacro();

  // Counts nesting; kResourceExhausted beyond kMaxNesting, so that no template overflows the stack.
  static constexpr int kMaxNesting = 200;
  absl::Status Enter();
  void Leave() { --depth_; }

 private:
  std::vector<Token> tokens_;
  size_t position_ = 0;
  int depth_ = 0;
  std::vector<std::string> names_;
  absl::flat_hash_map<std::string, NameId> ids_;
  absl::flat_hash_set<std::string> assigned_;
  std::vector<std::pair<std::string, int>> calls_;
  std::vector<absl::flat_hash_set<std::string>> macros_;
};

// One level deeper for as long as it lives.
class NestingScope {
 public:
  explicit NestingScope(ParseState& state) : state_(state), status_(state.Enter()) {}
  ~NestingScope() { state_.Leave(); }
  const absl::Status& status() const { return status_; }

 private:
  ParseState& state_;
  const absl::Status status_;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_PARSE_STATE_H_
