// What binds stronger than what, and where an expression ends.
#include "common/jinja/expression_parser.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/jinja/lexer.h"
#include "gtest/gtest.h"

namespace kedge::jinja {
namespace {

using Kind = Expression::Kind;

// As a Lisp would write it, with the names of jinja2's nodes.
std::string Show(const ParseState& state, const Expression* node) {
  if (node == nullptr) return "-";
  const auto all = [&](absl::string_view name) {
    std::string shown = absl::StrCat("(", name);
    for (const ExpressionPtr& operand : node->operands) absl::StrAppend(&shown, " ", Show(state, operand.get()));
    for (const ExpressionPtr& argument : node->arguments.positional) {
      absl::StrAppend(&shown, " ", Show(state, argument.get()));
    }
    return shown + ")";
  };
  switch (node->kind) {
    case Kind::kConstant:
      return node->constant.is(Value::Kind::kInt) ? absl::StrCat(node->constant.as_int()) : "constant";
    case Kind::kName:
      return state.NameOf(node->name);
    case Kind::kArithmetic:
      switch (node->operators[0]) {
        case Operator::kAdd:
          return all("+");
        case Operator::kMultiply:
          return all("*");
        case Operator::kPower:
          return all("**");
        default:
          return all("arithmetic");
      }
    case Kind::kNegate:
      return all("neg");
    case Kind::kNot:
      return all("not");
    case Kind::kAnd:
      return all("and");
    case Kind::kOr:
      return all("or");
    case Kind::kConcat:
      return all("~");
    case Kind::kCompare:
      return all("compare");
    case Kind::kConditional:
      return all("if");
    case Kind::kAttribute:
      return all(absl::StrCat(".", node->attribute));
    case Kind::kItem:
      return all("item");
    case Kind::kSlice:
      return all("slice");
    case Kind::kCall:
      return all("call");
    case Kind::kFilter:
      return all(absl::StrCat("|", node->filter->name));
    case Kind::kTest:
      return all(absl::StrCat("is-", node->test->name));
    case Kind::kTuple:
      return all("tuple");
    case Kind::kList:
      return all("list");
    case Kind::kDict:
      return all("dict");
    default:
      return "?";
  }
}

// The tree, and behind it the token where reading has ended, if that is not the end of the tag.
std::string Read(absl::string_view text) {
  auto tokens = Tokenize(absl::StrCat("{{ ", text, " }}"));
  if (!tokens.ok()) return std::string(tokens.status().message());
  ParseState state(*std::move(tokens));
  state.Next();
  const auto tree = ExpressionParser(state).ParseTuple(/*with_condition=*/true);
  if (!tree.ok()) return std::string(tree.status().message());
  const bool ended = state.current().kind == Token::Kind::kVariableEnd;
  return Show(state, tree->get()) + (ended ? "" : " then " + Describe(state.current()));
}

TEST(ExpressionParser, BindsAsJinja2Does) {
  EXPECT_EQ(Read("a or b and not c"), "(or a (and b (not c)))");
  EXPECT_EQ(Read("not a == b"), "(not (compare a b))");
  EXPECT_EQ(Read("a < b < c"), "(compare a b c)");
  EXPECT_EQ(Read("a not in b"), Read("a in b"));  // the operator differs
  EXPECT_EQ(Read("a + b ~ c + d"), "(+ (+ a (~ b c)) d)");
  EXPECT_EQ(Read("a ~ b ~ c"), "(~ a b c)");
  EXPECT_EQ(Read("a + b * c ** d"), "(+ a (* b (** c d)))");
  EXPECT_EQ(Read("a ** b ** c"), "(** (** a b) c)");  // from the left, unlike Python
  EXPECT_EQ(Read("-a ** 2"), "(** (neg a) 2)");       // likewise
  EXPECT_EQ(Read("-a | abs"), "(|abs (neg a))");
  EXPECT_EQ(Read("a + b | abs"), "(+ a (|abs b))");
  EXPECT_EQ(Read("a | first is defined and b"), "(and (is-defined (|first a)) b)");
  EXPECT_EQ(Read("a is not defined"), "(not (is-defined a))");
  EXPECT_EQ(Read("a is divisibleby 3 + 1"), "(+ (is-divisibleby a 3) 1)");
  EXPECT_EQ(Read("a if b else c if d"), "(if a b (if c d -))");
  EXPECT_EQ(Read("a.b[c](d).e"), "(.e (call (item (.b a) c) d))");
  EXPECT_EQ(Read("a[::b]"), "(slice a - - b)");
  EXPECT_EQ(Read("a, b,"), "(tuple a b)");
  EXPECT_EQ(Read("(a)"), "a");
  EXPECT_EQ(Read("(a,)"), "(tuple a)");
  EXPECT_EQ(Read("[a, b,]"), "(list a b)");
  EXPECT_EQ(Read("{1: a, b: 2,}"), "(dict 1 a b 2)");
}

TEST(ExpressionParser, EndsBeforeWhatIsNotItsOwn) {
  EXPECT_EQ(Read("a b"), "a then `b`");
  EXPECT_EQ(Read("a = b"), "a then `=`");
}

TEST(ExpressionParser, ErrorsNameWhatIsExpected) {
  EXPECT_EQ(Read("a +"), "line 1: expected an expression, found `}}`");
  EXPECT_EQ(Read("f(a b)"), "line 1: expected `,`, found `b`");
  EXPECT_EQ(Read("{1 2}"), "line 1: expected `:`, found `2`");
  EXPECT_EQ(Read("a."), "line 1: expected a name or number behind `.`, found `}}`");
}

}  // namespace
}  // namespace kedge::jinja
