// Expressions from tokens.
#ifndef KEDGE_COMMON_JINJA_EXPRESSION_PARSER_H_
#define KEDGE_COMMON_JINJA_EXPRESSION_PARSER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/jinja/ast.h"
#include "common/jinja/parse_state.h"

namespace kedge::jinja {

// Reads one expression from where `state` is, and leaves it behind. Lives for one parse.
class ExpressionParser {
 public:
  explicit ExpressionParser(ParseState& state) : state_(state) {}

  using Parsed = absl::StatusOr<std::unique_ptr<Expression>>;
  Parsed Parse(bool with_condition = true);
  // One expression, or a tuple of several with commas between them. `end`: a name that ends it.
  Parsed ParseTuple(bool with_condition, absl::string_view end = "", bool in_parentheses = false);
  // A name, literal or tuple of them, as what stands before `in` or `=`.
  Parsed ParseTargets(absl::string_view end);
  // `| a | b(c)` behind `subject`, which may be null.
  Parsed ParseFilters(std::unique_ptr<Expression> subject, bool without_pipe = false);

 private:
  Parsed ParseCondition();
  Parsed ParseOr();
  Parsed ParseAnd();
  Parsed ParseNot();
  Parsed ParseCompare();
  Parsed ParseSum();
  Parsed ParseConcat();
  Parsed ParseProduct();
  Parsed ParsePower();
  Parsed ParseUnary(bool with_filter = true);
  Parsed ParsePrimary();
  Parsed ParseList();
  Parsed ParseDict();
  Parsed ParsePostfix(std::unique_ptr<Expression> node);
  Parsed ParseFiltersAndTests(std::unique_ptr<Expression> node);
  Parsed ParseSubscript(std::unique_ptr<Expression> node);
  Parsed ParseSubscribed(const Expression* subject, std::unique_ptr<Expression>& slice);
  Parsed ParseCall(std::unique_ptr<Expression> node);
  Parsed ParseTest(std::unique_ptr<Expression> node);
  absl::Status ParseArguments(Expression& call);
  bool IsTupleEnd(absl::string_view end) const;

  template <typename Sub>
  Parsed ParseTupleOf(Sub sub, absl::string_view end, bool in_parentheses);
  Parsed Binary(Expression::Kind kind, Operator op, std::unique_ptr<Expression> left, std::unique_ptr<Expression> right,
                int line);
  // The depth of `node` from its operands; kResourceExhausted: too deep.
  Parsed Finish(std::unique_ptr<Expression> node) const;

  ParseState& state_;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_EXPRESSION_PARSER_H_
