// Source code: functions that look alike, in two languages.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "eval/forms/frame.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

constexpr absl::string_view kVerbs[] = {"merge", "count", "paint", "fetch", "store", "weigh", "trace", "split"};
constexpr absl::string_view kConstants[] = {"limit", "timeout", "capacity", "weight"};
constexpr absl::string_view kCallees[] = {"read_rows", "open_channel", "find_entries"};

// Lines of a function: `{f}` its name, `{c}` a constant's and `{n}` its value, `{g}` what is called and `{a}` with
// what.
struct Language {
  const char* fence;
  std::vector<std::string> lines;
};
constexpr size_t kConstantLine = 1, kCallLine = 2;

const Language& LanguageOf(size_t number) {
  static const Language* const kLanguages = new Language[3]{
      {"python",
       {"def {f}(path, depth=3):", "    {c} = {n}", "    rows = {g}(path, \"{a}\")",
        "    for row in rows[:{c}]:", "        emit(row, depth)", "    return len(rows)", ""}},
      {"cpp",
       {"int {f}(const Path& path, int depth) {", "  const int {c} = {n};", "  auto rows = {g}(path, \"{a}\");",
        "  if (rows.size() > {c}) rows.resize({c});", "  return emit(rows, depth);", "}", ""}},
      {"javascript",
       {"function {f}(path, depth) {", "  const {c} = {n};", "  const rows = {g}(path, '{a}');",
        "  emit(rows.slice(0, {c}), depth);", "  return rows.length;", "}", ""}}};
  return kLanguages[number % 3];
}

}  // namespace

std::vector<Question> MakeSource(const TextOptions& options) {
  constexpr char kWords[] = "Here is some code.\n\n{t}\n\nAnswer from the code: {q}";
  constexpr size_t kAsked = 4;  // functions, for each of the two forms
  Random random(options.seed);
  const Language& language = LanguageOf(random.Next());
  const size_t per_function = options.count_tokens(absl::StrReplaceAll(
      absl::StrCat(language.lines[0], "\n", language.lines[1], "\n", language.lines[2], "\n", language.lines[3], "\n",
                   language.lines[4], "\n", language.lines[5], "\n"),
      {{"{f}", "merge_lantern"}, {"{c}", "timeout"}, {"{n}", "1234"}, {"{g}", "read_rows"}, {"{a}", "amber-lantern"}}));
  const size_t tokens =
      TokensForText(options, kWords, "Which string does the function `merge_lantern` pass to `read_rows`?");
  const size_t most = std::size(kVerbs) * Nouns().size();
  const size_t count = std::min(most, std::max(2 * kAsked, tokens / per_function));

  struct Function {
    std::string name, constant, value, callee, argument;
  };
  std::vector<Function> functions;
  const std::vector<std::string> values = DrawNumbers(4, count, &random);
  const std::vector<size_t> names = random.Order(most), arguments = random.Order(Adjectives().size() * Nouns().size());
  const size_t nouns = Nouns().size();
  std::vector<std::string> lines = {absl::StrCat("```", language.fence)};
  for (size_t i = 0; i < count; ++i) {
    functions.push_back(
        {.name = absl::StrCat(kVerbs[names[i] / nouns], "_", Nouns()[names[i] % nouns]),
         .constant = std::string(kConstants[random.Below(std::size(kConstants))]),
         .value = values[i],
         .callee = std::string(kCallees[random.Below(std::size(kCallees))]),
         .argument = absl::StrCat(Adjectives()[arguments[i] / nouns], "-", Nouns()[arguments[i] % nouns])});
    const Function& made = functions.back();
    for (const std::string& line : language.lines) {
      lines.push_back(absl::StrReplaceAll(line, {{"{f}", made.name},
                                                 {"{c}", made.constant},
                                                 {"{n}", made.value},
                                                 {"{g}", made.callee},
                                                 {"{a}", made.argument}}));
    }
  }
  lines.back() = "```";
  const Lines text = JoinLines(lines);
  std::vector<Ask> asks;
  const std::vector<size_t> asked = OneOfEachPart(2 * kAsked, count, &random);
  for (size_t i = 0; i < asked.size(); ++i) {
    const Function& function = functions[asked[i]];
    const size_t first = 1 + asked[i] * language.lines.size();  // line, behind the fence
    const bool is_constant = i < kAsked;
    Ask ask{.form = is_constant ? "code-constant" : "code-argument",
            .evidence = {text.lines[first], text.lines[first + (is_constant ? kConstantLine : kCallLine)]}};
    if (is_constant) {
      ask.question =
          absl::StrCat("What is the value of `", function.constant, "` in the function `", function.name, "`?");
      ask.check.answers = {function.value};
      ask.expected = absl::StrCat("`", function.constant, "` is ", function.value, ".");
    } else {
      ask.question =
          absl::StrCat("Which string does the function `", function.name, "` pass to `", function.callee, "`?");
      ask.check.answers = {function.argument};
      ask.expected = absl::StrCat("It passes \"", function.argument, "\".");
    }
    asks.push_back(std::move(ask));
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
