// jinja2's grammar, a function for each level of precedence. Chains such as a + b + c grow to the left without
// recursion here, but whoever walks the tree recurses: so Finish counts depth as well. Tested by template_test.cc and
// jinja2_test.py.
#include "common/jinja/expression_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace kedge::jinja {
namespace {

using Kind = Expression::Kind;
using ExpressionOwner = std::unique_ptr<Expression>;

ExpressionOwner Make(Kind kind, int line) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExpressionOwner Constant(Value value, int line) {
  ExpressionOwner node = Make(Kind::kConstant, line);
  node->constant = std::move(value);
  return node;
}

std::optional<Operator> ComparisonOf(const Token& token) {
  if (token.kind != Token::Kind::kOperator) return std::nullopt;
  if (token.text == "==") return Operator::kEqual;
  if (token.text == "!=") return Operator::kNotEqual;
  if (token.text == "<") return Operator::kLess;
  if (token.text == "<=") return Operator::kLessOrEqual;
  if (token.text == ">") return Operator::kGreater;
  if (token.text == ">=") return Operator::kGreaterOrEqual;
  return std::nullopt;
}

std::optional<Operator> ProductOf(const Token& token) {
  if (token.kind != Token::Kind::kOperator) return std::nullopt;
  if (token.text == "*") return Operator::kMultiply;
  if (token.text == "/") return Operator::kDivide;
  if (token.text == "//") return Operator::kFloorDivide;
  if (token.text == "%") return Operator::kModulo;
  return std::nullopt;
}

}  // namespace

ExpressionParser::Parsed ExpressionParser::Finish(ExpressionOwner node) const {
  const auto count = [&](const ExpressionPtr& part) {
    if (part != nullptr) node->depth = std::max(node->depth, 1 + part->depth);
  };
  for (const ExpressionPtr& operand : node->operands) count(operand);
  for (const ExpressionPtr& argument : node->arguments.positional) count(argument);
  for (const auto& [name, argument] : node->arguments.named) count(argument);
  count(node->arguments.more_positional);
  count(node->arguments.more_named);
  if (node->depth <= ParseState::kMaxNesting) return node;
  return absl::ResourceExhaustedError(
      absl::StrCat("line ", node->line, ": an expression is nested more than ", ParseState::kMaxNesting, " deep"));
}

ExpressionParser::Parsed ExpressionParser::Binary(Kind kind, Operator op, ExpressionOwner left, ExpressionOwner right,
                                                  int line) {
  ExpressionOwner node = Make(kind, line);
  node->operands.push_back(std::move(left));
  node->operands.push_back(std::move(right));
  node->operators.push_back(op);
  return Finish(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::Parse(bool with_condition) {
  const NestingScope scope(state_);
  KEDGE_RETURN_IF_ERROR(scope.status());
  return with_condition ? ParseCondition() : ParseOr();
}

ExpressionParser::Parsed ExpressionParser::ParseCondition() {
  const NestingScope scope(state_);
  KEDGE_RETURN_IF_ERROR(scope.status());
  int line = state_.line();
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner value, ParseOr());
  while (state_.SkipName("if")) {
    ExpressionOwner node = Make(Kind::kConditional, line);
    node->operands.push_back(std::move(value));
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), ParseOr());
    node->operands.emplace_back();
    if (state_.SkipName("else")) {
      KEDGE_ASSIGN_OR_RETURN(node->operands.back(), ParseCondition());
    }
    KEDGE_ASSIGN_OR_RETURN(value, Finish(std::move(node)));
    line = state_.line();
  }
  return value;
}

ExpressionParser::Parsed ExpressionParser::ParseOr() {
  const int line = state_.line();
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner left, ParseAnd());
  while (state_.SkipName("or")) {
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner right, ParseAnd());
    KEDGE_ASSIGN_OR_RETURN(left, Binary(Kind::kOr, Operator::kEqual, std::move(left), std::move(right), line));
  }
  return left;
}

ExpressionParser::Parsed ExpressionParser::ParseAnd() {
  const int line = state_.line();
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner left, ParseNot());
  while (state_.SkipName("and")) {
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner right, ParseNot());
    KEDGE_ASSIGN_OR_RETURN(left, Binary(Kind::kAnd, Operator::kEqual, std::move(left), std::move(right), line));
  }
  return left;
}

ExpressionParser::Parsed ExpressionParser::ParseNot() {
  const int line = state_.line();
  if (!state_.SkipName("not")) return ParseCompare();
  const NestingScope scope(state_);
  KEDGE_RETURN_IF_ERROR(scope.status());
  ExpressionOwner node = Make(Kind::kNot, line);
  KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), ParseNot());
  return Finish(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::ParseCompare() {
  ExpressionOwner node = Make(Kind::kCompare, state_.line());
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner first, ParseSum());
  while (true) {
    if (const std::optional<Operator> op = ComparisonOf(state_.current())) {
      state_.Next();
      node->operators.push_back(*op);
    } else if (state_.SkipName("in")) {
      node->operators.push_back(Operator::kIn);
    } else if (state_.current().IsName("not") && state_.Ahead().IsName("in")) {
      state_.Next();
      state_.Next();
      node->operators.push_back(Operator::kNotIn);
    } else {
      break;
    }
    if (first != nullptr) node->operands.push_back(std::move(first));
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), ParseSum());
  }
  if (node->operators.empty()) return first;
  return Finish(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::ParseSum() {
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner left, ParseConcat());
  while (state_.current().IsOperator("+") || state_.current().IsOperator("-")) {
    const int line = state_.line();
    const Operator op = state_.Next().text == "+" ? Operator::kAdd : Operator::kSubtract;
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner right, ParseConcat());
    KEDGE_ASSIGN_OR_RETURN(left, Binary(Kind::kArithmetic, op, std::move(left), std::move(right), line));
  }
  return left;
}

ExpressionParser::Parsed ExpressionParser::ParseConcat() {
  ExpressionOwner node = Make(Kind::kConcat, state_.line());
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner first, ParseProduct());
  if (!state_.current().IsOperator("~")) return first;
  node->operands.push_back(std::move(first));
  while (state_.SkipOperator("~")) {
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), ParseProduct());
  }
  return Finish(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::ParseProduct() {
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner left, ParsePower());
  while (const std::optional<Operator> op = ProductOf(state_.current())) {
    const int line = state_.Next().line;
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner right, ParsePower());
    KEDGE_ASSIGN_OR_RETURN(left, Binary(Kind::kArithmetic, *op, std::move(left), std::move(right), line));
  }
  return left;
}

ExpressionParser::Parsed ExpressionParser::ParsePower() {
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner left, ParseUnary());
  while (state_.current().IsOperator("**")) {
    const int line = state_.Next().line;
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner right, ParseUnary());
    KEDGE_ASSIGN_OR_RETURN(left, Binary(Kind::kArithmetic, Operator::kPower, std::move(left), std::move(right), line));
  }
  return left;
}

ExpressionParser::Parsed ExpressionParser::ParseUnary(bool with_filter) {
  const NestingScope scope(state_);
  KEDGE_RETURN_IF_ERROR(scope.status());
  ExpressionOwner node;
  if (state_.current().IsOperator("-") || state_.current().IsOperator("+")) {
    node = Make(state_.current().text == "-" ? Kind::kNegate : Kind::kPlus, state_.line());
    state_.Next();
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), ParseUnary(false));
    KEDGE_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  } else {
    KEDGE_ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  KEDGE_ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
  if (!with_filter) return node;
  return ParseFiltersAndTests(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::ParsePrimary() {
  const Token& token = state_.current();
  const int line = token.line;
  switch (token.kind) {
    case Token::Kind::kName: {
      state_.Next();
      const std::string& name = token.text;
      if (name == "true" || name == "True") return Constant(Value::Bool(true), line);
      if (name == "false" || name == "False") return Constant(Value::Bool(false), line);
      if (name == "none" || name == "None") return Constant(Value::None(), line);
      ExpressionOwner node = Make(Kind::kName, line);
      node->name = state_.Name(name);
      node->attribute = name;
      state_.Mentions(name);
      return node;
    }
    case Token::Kind::kString: {
      std::string text = token.text;
      state_.Next();
      while (state_.current().kind == Token::Kind::kString) text += state_.Next().text;
      return Constant(Value::Text(text), line);
    }
    case Token::Kind::kInteger:
      state_.Next();
      return Constant(Value::Int(token.integer), line);
    case Token::Kind::kFloat:
      state_.Next();
      return Constant(Value::Float(token.number), line);
    default:
      break;
  }
  if (state_.SkipOperator("(")) {
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner node, ParseTuple(true, "", /*in_parentheses=*/true));
    KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(")"));
    return node;
  }
  if (token.IsOperator("[")) return ParseList();
  if (token.IsOperator("{")) return ParseDict();
  return state_.Unexpected("an expression");
}

ExpressionParser::Parsed ExpressionParser::ParseList() {
  ExpressionOwner node = Make(Kind::kList, state_.Next().line);
  while (!state_.current().IsOperator("]")) {
    if (!node->operands.empty()) KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
    if (state_.current().IsOperator("]")) break;
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), Parse());
  }
  KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("]"));
  return Finish(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::ParseDict() {
  ExpressionOwner node = Make(Kind::kDict, state_.Next().line);
  while (!state_.current().IsOperator("}")) {
    if (!node->operands.empty()) KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
    if (state_.current().IsOperator("}")) break;
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), Parse());
    KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(":"));
    KEDGE_ASSIGN_OR_RETURN(node->operands.emplace_back(), Parse());
  }
  KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("}"));
  return Finish(std::move(node));
}

bool ExpressionParser::IsTupleEnd(absl::string_view end) const {
  const Token& token = state_.current();
  return token.kind == Token::Kind::kVariableEnd || token.kind == Token::Kind::kBlockEnd || token.IsOperator(")") ||
         (!end.empty() && token.IsName(end));
}

template <typename Sub>
ExpressionParser::Parsed ExpressionParser::ParseTupleOf(Sub sub, absl::string_view end, bool in_parentheses) {
  ExpressionOwner node = Make(Kind::kTuple, state_.line());
  bool is_tuple = false;
  while (true) {
    if (!node->operands.empty()) KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
    if (IsTupleEnd(end)) break;
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner item, sub());
    if (!state_.current().IsOperator(",")) {
      if (!is_tuple) return item;
      node->operands.push_back(std::move(item));
      break;
    }
    is_tuple = true;
    node->operands.push_back(std::move(item));
  }
  if (!is_tuple && !in_parentheses) return state_.Unexpected("an expression");
  return Finish(std::move(node));
}

ExpressionParser::Parsed ExpressionParser::ParseTuple(bool with_condition, absl::string_view end, bool in_parentheses) {
  return ParseTupleOf([&] { return Parse(with_condition); }, end, in_parentheses);
}

ExpressionParser::Parsed ExpressionParser::ParseTargets(absl::string_view end) {
  return ParseTupleOf([&] { return ParsePrimary(); }, end, false);
}

ExpressionParser::Parsed ExpressionParser::ParsePostfix(ExpressionOwner node) {
  while (true) {
    if (state_.current().IsOperator(".") || state_.current().IsOperator("[")) {
      KEDGE_ASSIGN_OR_RETURN(node, ParseSubscript(std::move(node)));
    } else if (state_.current().IsOperator("(")) {
      KEDGE_ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

ExpressionParser::Parsed ExpressionParser::ParseFiltersAndTests(ExpressionOwner node) {
  while (true) {
    if (state_.current().IsOperator("|")) {
      KEDGE_ASSIGN_OR_RETURN(node, ParseFilters(std::move(node)));
    } else if (state_.current().IsName("is")) {
      KEDGE_ASSIGN_OR_RETURN(node, ParseTest(std::move(node)));
    } else if (state_.current().IsOperator("(")) {
      KEDGE_ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

ExpressionParser::Parsed ExpressionParser::ParseSubscript(ExpressionOwner node) {
  const int line = state_.line();
  if (state_.SkipOperator(".")) {
    const Token& token = state_.Next();
    if (token.kind == Token::Kind::kName) {
      ExpressionOwner attribute = Make(Kind::kAttribute, line);
      attribute->attribute = token.text;
      attribute->operands.push_back(std::move(node));
      return Finish(std::move(attribute));
    }
    if (token.kind != Token::Kind::kInteger) {
      return state_.Error(absl::StrCat("expected a name or number behind `.`, found ", Describe(token)), token.line);
    }
    return Binary(Kind::kItem, Operator::kEqual, std::move(node), Constant(Value::Int(token.integer), line), line);
  }
  state_.Next();  // [
  ExpressionOwner slice;
  KEDGE_ASSIGN_OR_RETURN(ExpressionOwner key, ParseSubscribed(node.get(), slice));
  if (slice != nullptr) {
    if (state_.current().IsOperator(",")) return state_.Error("a slice with more than one part is not supported");
    KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("]"));
    slice->operands.insert(slice->operands.begin(), std::move(node));
    return Finish(std::move(slice));
  }
  if (state_.current().IsOperator(",")) {
    ExpressionOwner tuple = Make(Kind::kTuple, line);
    tuple->operands.push_back(std::move(key));
    while (!state_.current().IsOperator("]")) {
      KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
      KEDGE_ASSIGN_OR_RETURN(tuple->operands.emplace_back(), Parse());
    }
    KEDGE_ASSIGN_OR_RETURN(key, Finish(std::move(tuple)));
  }
  KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("]"));
  return Binary(Kind::kItem, Operator::kEqual, std::move(node), std::move(key), line);
}

// A key, or the three parts of a slice in `slice`.
ExpressionParser::Parsed ExpressionParser::ParseSubscribed(const Expression* subject, ExpressionOwner& slice) {
  const int line = state_.line();
  if (state_.current().IsOperator("]")) return state_.Unexpected("an expression");
  ExpressionOwner begin;
  if (!state_.current().IsOperator(":")) {
    KEDGE_ASSIGN_OR_RETURN(begin, Parse());
    if (!state_.current().IsOperator(":")) return begin;
  }
  slice = Make(Kind::kSlice, line);
  slice->operands.push_back(std::move(begin));
  for (int i = 0; i < 2; ++i) {
    slice->operands.emplace_back();
    if (!state_.SkipOperator(":")) continue;
    const Token& token = state_.current();
    if (token.IsOperator(":") || token.IsOperator("]") || token.IsOperator(",")) continue;
    KEDGE_ASSIGN_OR_RETURN(slice->operands.back(), Parse());
  }
  return ExpressionOwner();
}

ExpressionParser::Parsed ExpressionParser::ParseCall(ExpressionOwner node) {
  ExpressionOwner call = Make(Kind::kCall, state_.line());
  if (node->kind == Kind::kName) state_.Calls(node->attribute, node->line);
  call->operands.push_back(std::move(node));
  KEDGE_RETURN_IF_ERROR(ParseArguments(*call));
  return Finish(std::move(call));
}

absl::Status ExpressionParser::ParseArguments(Expression& call) {
  const int line = state_.line();
  KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("("));
  CallArguments& arguments = call.arguments;
  const absl::Status wrong = state_.Error("an argument of a call stands where it may not", line);
  bool first = true;
  absl::flat_hash_set<std::string> names;
  while (!state_.current().IsOperator(")")) {
    if (!first) {
      KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
      if (state_.current().IsOperator(")")) break;
    }
    first = false;
    if (state_.SkipOperator("*")) {
      if (arguments.more_positional != nullptr || arguments.more_named != nullptr) return wrong;
      KEDGE_ASSIGN_OR_RETURN(arguments.more_positional, Parse());
    } else if (state_.SkipOperator("**")) {
      if (arguments.more_named != nullptr) return wrong;
      KEDGE_ASSIGN_OR_RETURN(arguments.more_named, Parse());
    } else if (state_.current().kind == Token::Kind::kName && state_.Ahead().IsOperator("=")) {
      if (arguments.more_named != nullptr) return wrong;
      const std::string name = state_.Next().text;
      state_.Next();
      if (!names.insert(name).second) {
        return state_.Error(absl::StrCat("the argument `", name, "` is given twice"), line);
      }
      KEDGE_ASSIGN_OR_RETURN(ExpressionPtr value, Parse());
      arguments.named.emplace_back(name, std::move(value));
    } else {
      if (arguments.more_positional != nullptr || arguments.more_named != nullptr || !arguments.named.empty()) {
        return wrong;
      }
      KEDGE_ASSIGN_OR_RETURN(arguments.positional.emplace_back(), Parse());
    }
  }
  return state_.ExpectOperator(")");
}

ExpressionParser::Parsed ExpressionParser::ParseFilters(ExpressionOwner subject, bool without_pipe) {
  while (without_pipe || state_.SkipOperator("|")) {
    without_pipe = false;
    ExpressionOwner node = Make(Kind::kFilter, state_.line());
    std::string name = state_.current().text;
    KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kName, "the name of a filter"));
    node->filter = FindFilter(name);
    if (node->filter == nullptr) return state_.Error(absl::StrCat("there is no filter `", name, "`"), node->line);
    node->operands.push_back(std::move(subject));
    if (state_.current().IsOperator("(")) KEDGE_RETURN_IF_ERROR(ParseArguments(*node));
    KEDGE_ASSIGN_OR_RETURN(subject, Finish(std::move(node)));
  }
  return subject;
}

ExpressionParser::Parsed ExpressionParser::ParseTest(ExpressionOwner subject) {
  ExpressionOwner node = Make(Kind::kTest, state_.Next().line);
  const bool negated = state_.SkipName("not");
  const std::string name = state_.current().text;
  KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kName, "the name of a test"));
  node->test = FindTest(name);
  if (node->test == nullptr) return state_.Error(absl::StrCat("there is no test `", name, "`"), node->line);
  if ((name == "defined" || name == "undefined") && subject->kind == Kind::kName) state_.AsksFor(subject->attribute);
  node->operands.push_back(std::move(subject));
  const Token& token = state_.current();
  const bool begins_argument = token.kind == Token::Kind::kName || token.kind == Token::Kind::kString ||
                               token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kFloat ||
                               token.IsOperator("[") || token.IsOperator("{");
  if (token.IsOperator("(")) {
    KEDGE_RETURN_IF_ERROR(ParseArguments(*node));
  } else if (begins_argument && !token.IsName("else") && !token.IsName("or") && !token.IsName("and")) {
    if (token.IsName("is")) return state_.Error("tests with `is` cannot be chained");
    KEDGE_ASSIGN_OR_RETURN(ExpressionOwner argument, ParsePrimary());
    KEDGE_ASSIGN_OR_RETURN(node->arguments.positional.emplace_back(), ParsePostfix(std::move(argument)));
  }
  KEDGE_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  if (!negated) return node;
  ExpressionOwner inverse = Make(Kind::kNot, node->line);
  inverse->operands.push_back(std::move(node));
  return Finish(std::move(inverse));
}

}  // namespace kedge::jinja
