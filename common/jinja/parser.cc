// Tested by template_test.cc and jinja2_test.py.
#include "common/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/jinja/expression_parser.h"
#include "common/jinja/lexer.h"
#include "common/jinja/parse_state.h"

namespace kedge::jinja {
namespace {

using Kind = Statement::Kind;
using StatementOwner = std::unique_ptr<Statement>;
using ExpressionOwner = std::unique_ptr<Expression>;

StatementOwner Make(Kind kind, int line) {
  auto statement = std::make_unique<Statement>();
  statement->kind = kind;
  statement->line = line;
  return statement;
}

// The tag whose body is read, and its line.
struct Opening {
  absl::string_view tag;
  int line;
};

// Lives for one call of ParseTemplate.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : state_(std::move(tokens)), expressions_(state_) {}

  absl::StatusOr<Tree> Run() {
    Tree tree;
    KEDGE_ASSIGN_OR_RETURN(tree.body, ParseBlock({}, {"", 0}));
    KEDGE_RETURN_IF_ERROR(state_.CheckCalls());
    state_.TakeNames(&tree);
    return tree;
  }

 private:
  using Parsed = absl::StatusOr<StatementOwner>;

  // Statements up to a tag that is one of `ends`, whose name becomes current; up to the end where there are none.
  absl::StatusOr<Block> ParseBlock(std::initializer_list<absl::string_view> ends, const Opening& opening) {
    const NestingScope scope(state_);
    KEDGE_RETURN_IF_ERROR(scope.status());
    Block block;
    while (true) {
      const Token& token = state_.current();
      switch (token.kind) {
        case Token::Kind::kEnd:
          if (ends.size() == 0) return block;
          return state_.Error(absl::StrCat("`", opening.tag, "` has no `end", opening.tag, "`"), opening.line);
        case Token::Kind::kData: {
          StatementOwner text = Make(Kind::kText, token.line);
          text->text = Text(token.text);
          state_.Next();
          block.push_back(std::move(text));
          break;
        }
        case Token::Kind::kVariableBegin: {
          StatementOwner print = Make(Kind::kPrint, token.line);
          state_.Next();
          KEDGE_ASSIGN_OR_RETURN(print->expression, expressions_.ParseTuple(true));
          KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kVariableEnd, "`}}`"));
          block.push_back(std::move(print));
          break;
        }
        default: {
          KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kBlockBegin, "a tag"));
          for (const absl::string_view end : ends) {
            if (state_.current().IsName(end)) return block;
          }
          KEDGE_ASSIGN_OR_RETURN(StatementOwner statement, ParseStatement(ends, opening));
          KEDGE_RETURN_IF_ERROR(EndOfTag());
          block.push_back(std::move(statement));
        }
      }
    }
  }

  absl::Status EndOfTag() { return state_.Expect(Token::Kind::kBlockEnd, "`%}`"); }

  // The body of a tag, from the end of the tag up to the name of one of `ends`.
  absl::StatusOr<Block> ParseBody(std::initializer_list<absl::string_view> ends, const Opening& opening) {
    state_.SkipOperator(":");  // as Python has it
    KEDGE_RETURN_IF_ERROR(EndOfTag());
    return ParseBlock(ends, opening);
  }
  // The same, and the name of the one end that there is.
  absl::StatusOr<Block> ParseWholeBody(const Opening& opening) {
    const std::string end = absl::StrCat("end", opening.tag);
    KEDGE_ASSIGN_OR_RETURN(Block body, ParseBody({end}, opening));
    state_.Next();
    return body;
  }

  Parsed ParseStatement(std::initializer_list<absl::string_view> ends, const Opening& opening) {
    const Token& token = state_.current();
    if (token.kind != Token::Kind::kName) return state_.Unexpected("the name of a tag");
    const std::string& name = token.text;
    if (name == "if") return ParseIf();
    if (name == "for") return ParseFor();
    if (name == "set") return ParseSet();
    if (name == "macro") return ParseMacro();
    if (name == "call") return ParseCall();
    if (name == "filter") return ParseFilterBlock();
    if (name == "with") return ParseWith();
    if (name == "print") return ParsePrint();
    if (name == "generation") return ParseGeneration();
    if (name == "break" || name == "continue") return ParseLoopControl();
    for (const absl::string_view other :
         {"block", "extends", "include", "import", "from", "do", "trans", "autoescape"}) {
      if (name == other) {
        return absl::UnimplementedError(absl::StrCat("line ", token.line, ": the tag `", name,
                                                     "` is not supported: a chat template has no other files"));
      }
    }
    std::string expected;
    for (const absl::string_view end : ends) absl::StrAppend(&expected, expected.empty() ? "" : " or ", "`", end, "`");
    return state_.Error(expected.empty() ? absl::StrCat("there is no tag `", name, "`")
                                         : absl::StrCat("unexpected tag `", name, "`, expected ", expected, " of the `",
                                                        opening.tag, "` in line ", opening.line));
  }

  Parsed ParseIf() {
    StatementOwner statement = Make(Kind::kIf, state_.Next().line);
    while (true) {
      KEDGE_ASSIGN_OR_RETURN(statement->values.emplace_back(), expressions_.ParseTuple(false));
      KEDGE_ASSIGN_OR_RETURN(statement->bodies.emplace_back(),
                             ParseBody({"elif", "else", "endif"}, {"if", statement->line}));
      const std::string& end = state_.Next().text;
      if (end == "elif") continue;
      if (end == "else") {
        KEDGE_ASSIGN_OR_RETURN(statement->bodies.emplace_back(), ParseWholeBody({"if", statement->line}));
      }
      return statement;
    }
  }

  Parsed ParseFor() {
    StatementOwner statement = Make(Kind::kFor, state_.Next().line);
    KEDGE_ASSIGN_OR_RETURN(statement->targets.emplace_back(), ParseTarget("in", /*with_namespace=*/false));
    if (SetsLoop(statement->targets[0])) {
      return state_.Error("a loop cannot set `loop`", statement->line);
    }
    KEDGE_RETURN_IF_ERROR(state_.ExpectName("in"));
    KEDGE_ASSIGN_OR_RETURN(statement->expression, expressions_.ParseTuple(false, "recursive"));
    if (state_.SkipName("if")) {
      KEDGE_ASSIGN_OR_RETURN(statement->condition, expressions_.Parse());
    }
    statement->recursive = state_.SkipName("recursive");
    ++loops_;
    absl::StatusOr<Block> body = ParseBody({"endfor", "else"}, {"for", statement->line});
    --loops_;
    if (!body.ok()) return body.status();
    statement->bodies.push_back(*std::move(body));
    if (state_.Next().text == "else") {
      KEDGE_ASSIGN_OR_RETURN(statement->bodies.emplace_back(), ParseWholeBody({"for", statement->line}));
    }
    return statement;
  }

  bool SetsLoop(const Target& target) const {
    if (target.is_tuple) {
      return std::any_of(target.targets.begin(), target.targets.end(),
                         [&](const Target& part) { return SetsLoop(part); });
    }
    return state_.NameOf(target.name) == "loop";
  }

  // What an assignment may set, from an expression.
  absl::StatusOr<Target> AsTarget(const Expression& expression) {
    Target target;
    if (expression.kind == Expression::Kind::kName) {
      target.name = expression.name;
      state_.Assigns(expression.attribute);
      return target;
    }
    if (expression.kind != Expression::Kind::kTuple && expression.kind != Expression::Kind::kList) {
      return state_.Error("only names can be assigned to", expression.line);
    }
    if (expression.kind == Expression::Kind::kList)
      return state_.Error("a list cannot be assigned to", expression.line);
    target.is_tuple = true;
    for (const ExpressionPtr& operand : expression.operands) {
      KEDGE_ASSIGN_OR_RETURN(target.targets.emplace_back(), AsTarget(*operand));
    }
    return target;
  }

  absl::StatusOr<Target> ParseTarget(absl::string_view end, bool with_namespace) {
    if (with_namespace && state_.current().kind == Token::Kind::kName && state_.Ahead().IsOperator(".")) {
      Target target;
      target.name = state_.Name(state_.current().text);
      state_.Mentions(state_.Next().text);
      state_.Next();
      target.attribute = state_.current().text;
      KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kName, "a name"));
      return target;
    }
    KEDGE_ASSIGN_OR_RETURN(const ExpressionOwner targets, expressions_.ParseTargets(end));
    return AsTarget(*targets);
  }

  Parsed ParseSet() {
    StatementOwner statement = Make(Kind::kSet, state_.Next().line);
    KEDGE_ASSIGN_OR_RETURN(statement->targets.emplace_back(), ParseTarget("", /*with_namespace=*/true));
    if (state_.SkipOperator("=")) {
      KEDGE_ASSIGN_OR_RETURN(statement->expression, expressions_.ParseTuple(true));
      return statement;
    }
    statement->kind = Kind::kSetBlock;
    KEDGE_ASSIGN_OR_RETURN(statement->expression, expressions_.ParseFilters(nullptr));
    KEDGE_ASSIGN_OR_RETURN(statement->bodies.emplace_back(), ParseWholeBody({"set", statement->line}));
    return statement;
  }

  absl::Status ParseSignature(MacroDefinition& macro) {
    KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("("));
    while (!state_.current().IsOperator(")")) {
      if (!macro.parameters.empty()) KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
      const Token& token = state_.current();
      KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kName, "the name of a parameter"));
      const NameId name = state_.Name(token.text);
      if (std::find(macro.parameters.begin(), macro.parameters.end(), name) != macro.parameters.end()) {
        return state_.Error(absl::StrCat("the parameter `", token.text, "` stands there twice"), token.line);
      }
      state_.Assigns(token.text);
      macro.parameters.push_back(name);
      if (state_.SkipOperator("=")) {
        KEDGE_ASSIGN_OR_RETURN(macro.defaults.emplace_back(), expressions_.Parse());
      } else if (!macro.defaults.empty()) {
        return state_.Error("a parameter without a default stands behind one that has it", token.line);
      }
    }
    return state_.ExpectOperator(")");
  }

  // Loops outside of a macro are not its own.
  absl::StatusOr<std::unique_ptr<MacroDefinition>> ParseMacroBody(std::unique_ptr<MacroDefinition> macro,
                                                                  const Opening& opening) {
    const int loops = std::exchange(loops_, 0);
    state_.BeginMacro();
    absl::StatusOr<Block> body = ParseWholeBody(opening);
    const absl::flat_hash_set<std::string> mentioned = state_.EndMacro();
    loops_ = loops;
    if (!body.ok()) return body.status();
    macro->body = *std::move(body);
    macro->takes_varargs = mentioned.contains("varargs");
    macro->takes_kwargs = mentioned.contains("kwargs");
    macro->takes_caller = mentioned.contains("caller");
    return macro;
  }

  Parsed ParseMacro() {
    StatementOwner statement = Make(Kind::kMacro, state_.Next().line);
    auto macro = std::make_unique<MacroDefinition>();
    macro->name = state_.current().text;
    KEDGE_RETURN_IF_ERROR(state_.Expect(Token::Kind::kName, "the name of a macro"));
    statement->name = state_.Name(macro->name);
    state_.Assigns(macro->name);
    KEDGE_RETURN_IF_ERROR(ParseSignature(*macro));
    KEDGE_ASSIGN_OR_RETURN(statement->macro, ParseMacroBody(std::move(macro), {"macro", statement->line}));
    return statement;
  }

  Parsed ParseCall() {
    StatementOwner statement = Make(Kind::kCall, state_.Next().line);
    auto macro = std::make_unique<MacroDefinition>();
    macro->name = "caller";
    if (state_.current().IsOperator("(")) KEDGE_RETURN_IF_ERROR(ParseSignature(*macro));
    KEDGE_ASSIGN_OR_RETURN(statement->expression, expressions_.Parse());
    if (statement->expression->kind != Expression::Kind::kCall) {
      return state_.Error("`call` needs the call of a macro", statement->line);
    }
    KEDGE_ASSIGN_OR_RETURN(statement->macro, ParseMacroBody(std::move(macro), {"call", statement->line}));
    return statement;
  }

  Parsed ParseFilterBlock() {
    StatementOwner statement = Make(Kind::kFilter, state_.Next().line);
    KEDGE_ASSIGN_OR_RETURN(statement->expression, expressions_.ParseFilters(nullptr, /*without_pipe=*/true));
    KEDGE_ASSIGN_OR_RETURN(statement->bodies.emplace_back(), ParseWholeBody({"filter", statement->line}));
    return statement;
  }

  Parsed ParseWith() {
    StatementOwner statement = Make(Kind::kWith, state_.Next().line);
    while (state_.current().kind != Token::Kind::kBlockEnd) {
      if (!statement->targets.empty()) KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
      KEDGE_ASSIGN_OR_RETURN(statement->targets.emplace_back(), ParseTarget("", /*with_namespace=*/false));
      KEDGE_RETURN_IF_ERROR(state_.ExpectOperator("="));
      KEDGE_ASSIGN_OR_RETURN(statement->values.emplace_back(), expressions_.Parse());
    }
    KEDGE_ASSIGN_OR_RETURN(statement->bodies.emplace_back(), ParseWholeBody({"with", statement->line}));
    return statement;
  }

  // {% print a, b %} prints them one behind the other.
  Parsed ParsePrint() {
    StatementOwner statement = Make(Kind::kScope, state_.Next().line);
    Block& prints = statement->bodies.emplace_back();
    while (state_.current().kind != Token::Kind::kBlockEnd) {
      if (!prints.empty()) KEDGE_RETURN_IF_ERROR(state_.ExpectOperator(","));
      StatementOwner print = Make(Kind::kPrint, state_.line());
      KEDGE_ASSIGN_OR_RETURN(print->expression, expressions_.Parse());
      prints.push_back(std::move(print));
    }
    return statement;
  }

  // What transformers trains on: its body as it is. Like a macro it ends what loops outside of it control.
  Parsed ParseGeneration() {
    StatementOwner statement = Make(Kind::kScope, state_.Next().line);
    const int loops = std::exchange(loops_, 0);
    absl::StatusOr<Block> body = ParseWholeBody({"generation", statement->line});
    loops_ = loops;
    if (!body.ok()) return body.status();
    statement->bodies.push_back(*std::move(body));
    return statement;
  }

  Parsed ParseLoopControl() {
    const Token& token = state_.Next();
    if (loops_ == 0) return state_.Error(absl::StrCat("`", token.text, "` outside of a loop"), token.line);
    return Make(token.text == "break" ? Kind::kBreak : Kind::kContinue, token.line);
  }

  ParseState state_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

}  // namespace

absl::StatusOr<Tree> ParseTemplate(absl::string_view source) {
  KEDGE_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace kedge::jinja
