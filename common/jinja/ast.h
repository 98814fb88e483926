// What a template says: its expressions and statements as trees.
#ifndef KEDGE_COMMON_JINJA_AST_H_
#define KEDGE_COMMON_JINJA_AST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "common/jinja/filters.h"
#include "common/jinja/operators.h"
#include "common/jinja/tests.h"
#include "common/jinja/text.h"
#include "common/jinja/value.h"

namespace kedge::jinja {

// A variable's number: its place in Tree::names.
using NameId = int;

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

// What stands in the parentheses of a call.
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // *args
  ExpressionPtr more_named;       // **kwargs
};

struct Expression {
  enum class Kind {
    kConstant,     // constant
    kName,         // name
    kList,         // operands
    kTuple,        // operands
    kDict,         // operands: key, value, key, value
    kNegate,       // operands[0]
    kPlus,         // operands[0]
    kNot,          // operands[0]
    kAnd,          // operands[0], operands[1]
    kOr,           // operands[0], operands[1]
    kArithmetic,   // operands[0] operators[0] operands[1]
    kConcat,       // operands, all of them
    kCompare,      // operands[0] operators[0] operands[1] operators[1] operands[2] ...
    kConditional,  // operands[0] if operands[1] else operands[2], which may be null
    kAttribute,    // operands[0].attribute
    kItem,         // operands[0][operands[1]]
    kSlice,        // operands[0][operands[1]:operands[2]:operands[3]], the last three may be null
    kCall,         // operands[0](arguments)
    kFilter,       // operands[0] | filter(arguments); operands[0] is null for the body of a block
    kTest,         // operands[0] is test(arguments)
  };
  Kind kind;
  int line;
  Value constant;
  NameId name = -1;
  std::string attribute;
  std::vector<ExpressionPtr> operands;
  std::vector<Operator> operators;
  CallArguments arguments;
  const Filter* filter = nullptr;
  const Test* test = nullptr;
  int depth = 1;  // how deep expressions are nested in it
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

// What an assignment sets: a name, an attribute of a namespace, or several of them.
struct Target {
  NameId name = -1;
  std::string attribute;        // not empty: that of the namespace `name`
  std::vector<Target> targets;  // not empty, or is_tuple: a tuple is taken apart
  bool is_tuple = false;
};

// A macro, or the body of a `call`.
struct MacroDefinition {
  std::string name;
  std::vector<NameId> parameters;
  std::vector<ExpressionPtr> defaults;  // of the last parameters
  Block body;
  bool takes_varargs = false;  // it mentions varargs, kwargs, caller
  bool takes_kwargs = false;
  bool takes_caller = false;
};

struct Statement {
  enum class Kind {
    kText,      // text
    kPrint,     // expression
    kIf,        // conditions with bodies, and the last body without a condition
    kFor,       // targets[0] in expression, if condition: bodies[0], else bodies[1]
    kSet,       // targets[0] = expression
    kSetBlock,  // targets[0] = bodies[0] | expression, which may be null
    kWith,      // targets = values: bodies[0]
    kFilter,    // bodies[0] | expression
    kMacro,     // name = macro
    kCall,      // expression, a call that gets macro as its caller
    kScope,     // bodies[0], whose assignments end with it
    kBreak,
    kContinue,
  };
  Kind kind;
  int line;
  jinja::Text text;
  ExpressionPtr expression;
  ExpressionPtr condition;
  bool recursive = false;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> values;
  std::vector<Block> bodies;
  NameId name = -1;
  std::unique_ptr<const MacroDefinition> macro;
};

// A whole template.
struct Tree {
  Block body;
  std::vector<std::string> names;
  absl::flat_hash_map<std::string, NameId> ids;  // where each of them stands

  // -1: the template has no such name.
  NameId Find(absl::string_view name) const {
    const auto found = ids.find(name);
    return found == ids.end() ? -1 : found->second;
  }
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_AST_H_
