// Tables: the cell of a row and a column, in Markdown, and in CSV with the line breaks of RFC 4180 (CR LF).
//
// Tested by forms_test.cc.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "eval/forms/frame.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

struct Style {
  const char* form;
  const char* begin;
  const char* between;
  const char* end;
  const char* rule;  // a line below the head; "": none
  const char* line_break;
};
constexpr Style kMarkdown = {"cells", "| ", " | ", " |", "|---|---|---|---|---|", "\n"};
constexpr Style kCsv = {"csv", "", ",", "", "", "\r\n"};

std::vector<Question> Make(const Style& style, const TextOptions& options) {
  constexpr char kWords[] = "Here is a table.\n\n{t}\n\nAnswer from the table: {q}";
  constexpr size_t kAsked = 4;
  const std::vector<std::string> columns = {"name", "mileage", "deposit", "rating", "surcharge"};
  const auto line = [&](const std::vector<std::string>& cells) {
    return absl::StrCat(style.begin, absl::StrJoin(cells, style.between), style.end);
  };
  Random random(options.seed);
  const size_t head = options.count_tokens(absl::StrCat(line(columns), style.rule));
  const size_t tokens = TokensForText(options, kWords, "What is the surcharge of Clara Brandt?", head);
  const size_t most = FirstNames().size() * FamilyNames().size();
  const size_t rows =
      std::min(most, LinesFor(line({"Wilhelm Achterberg", "1234", "1234", "1234", "1234"}), tokens, kAsked, options));
  const std::vector<size_t> names = random.Order(most);
  const size_t values = columns.size() - 1;
  const std::vector<std::string> numbers = DrawNumbers(4, rows * values, &random);

  std::vector<std::string> lines = {line(columns)};
  if (*style.rule != '\0') lines.push_back(style.rule);
  const size_t first = lines.size();
  std::vector<std::string> people;
  for (size_t i = 0; i < rows; ++i) {
    people.push_back(absl::StrCat(FirstNames()[names[i] / FamilyNames().size()], " ",
                                  FamilyNames()[names[i] % FamilyNames().size()]));
    std::vector<std::string> cells = {people.back()};
    cells.insert(cells.end(), numbers.begin() + i * values, numbers.begin() + (i + 1) * values);
    lines.push_back(line(cells));
  }
  const Lines text = JoinLines(lines, style.line_break);
  std::vector<Ask> asks;
  for (size_t row : OneOfEachPart(kAsked, rows, &random)) {
    const size_t column = random.Below(values);
    const std::string& value = numbers[row * values + column];
    asks.push_back({.form = style.form,
                    .question = absl::StrCat("What is the ", columns[1 + column], " of ", people[row], "?"),
                    .evidence = {text.lines[0], text.lines[first + row]},
                    .check = {.answers = {value}},
                    .expected = absl::StrCat("The ", columns[1 + column], " of ", people[row], " is ", value, ".")});
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace

std::vector<Question> MakeMarkdownTable(const TextOptions& options) { return Make(kMarkdown, options); }
std::vector<Question> MakeCsv(const TextOptions& options) { return Make(kCsv, options); }

}  // namespace kedge
