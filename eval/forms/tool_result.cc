// A tool's result is the chat's last message; the question stands before the call.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eval/forms/frame.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {

std::vector<Question> MakeToolResult(const TextOptions& options) {
  constexpr char kSystem[] = "You help the staff of a warehouse, with tools.";
  constexpr char kParameters[] =
      R"({"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]})";
  constexpr size_t kLeast = 4, kToolTokens = 120;  // what templates say of tools and calls, about
  Random random(options.seed);
  const auto record = [](const std::string& customer, absl::string_view town, const std::string& tracking,
                         const std::string& weight) {
    return absl::StrCat(R"({"customer": ")", customer, R"(", "town": ")", town, R"(", "weight": )", weight,
                        R"(, "tracking": ")", tracking, R"("})");
  };
  const size_t tokens = TokensForText(options, kSystem, "What is the tracking number of the parcel?", kToolTokens);
  const size_t most = FirstNames().size() * FamilyNames().size();
  const size_t count =
      std::min(most, LinesFor(record("Clara Brandt", "Arnvik", "1234567", "123"), tokens, kLeast, options));
  const std::vector<size_t> names = random.Order(most);
  const std::vector<std::string> numbers = DrawNumbers(7, count, &random);
  std::vector<std::string> customers, lines;
  for (size_t i = 0; i < count; ++i) {
    customers.push_back(absl::StrCat(FirstNames()[names[i] / FamilyNames().size()], " ",
                                     FamilyNames()[names[i] % FamilyNames().size()]));
    lines.push_back(absl::StrCat(i == 0 ? "[" : " ",
                                 record(customers.back(), Towns()[random.Below(Towns().size())], numbers[i],
                                        absl::StrCat(100 + random.Below(900))),
                                 i + 1 == count ? "]" : ","));
  }
  const Lines result = JoinLines(lines);
  const size_t asked = random.Below(count);
  const std::string sentence = absl::StrCat("What is the tracking number of the parcel for ", customers[asked], "?");

  Question question{.form = "tool-result",
                    .asked = {.message = 1, .bytes = {0, sentence.size()}},
                    .evidence = {{.message = 3, .bytes = result.lines[asked]}},
                    .check = {.answers = {numbers[asked]}},
                    .expected = absl::StrCat("The tracking number of the parcel for ", customers[asked], " is ",
                                             numbers[asked], ".")};
  question.chat.tools = {{.name = "list_parcels", .description = "Lists parcels.", .parameters = kParameters}};
  question.chat.messages = {
      {.role = "system", .content = kSystem},
      {.role = "user", .content = sentence},
      {.role = "assistant",
       .tool_calls = {{.id = "call_1", .name = "list_parcels", .arguments = R"({"status": "open"})"}}},
      {.role = "tool", .content = result.text, .tool_call_id = "call_1", .name = "list_parcels"}};
  return {question};
}

}  // namespace kedge
