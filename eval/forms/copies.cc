// Facts that stand more than once: copies that contradict each other, and copies that crowd out another fact.
//
// Tested by forms_test.cc.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eval/forms/frame.h"
#include "eval/forms/haystack.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {

std::vector<Question> MakeCopies(const TextOptions& options) {
  constexpr char kWords[] = "Here is a text.\n\n{t}\n\nAnswer from the text: {q}";
  constexpr const char* kReminders[] = {"Remember:",        "Once more:",   "As was said before,",
                                        "To say it again,", "Please note:", "Do not forget:"};
  constexpr size_t kBridges = 2, kRooms = 3;
  Random random(options.seed);
  const std::vector<std::string> towns = Draw(Towns(), kBridges, &random);
  const std::vector<std::string> tolls = DrawNumbers(3, 2 * kBridges, &random);
  const std::vector<std::string> rooms = Draw(Nouns(), kRooms, &random);
  const std::vector<std::string> codes = DrawNumbers(5, kRooms, &random);

  std::vector<Plant> plants;
  const char* const kDates[] = {"3 March 2026", "21 September 2026"};
  for (size_t i = 0; i < 2 * kBridges; ++i) {
    plants.push_back(SentencePlant(absl::StrCat("Notice of ", kDates[i % 2], ": the toll of the ", towns[i / 2],
                                                " bridge is ", tolls[i], " pence.")));
  }
  // The first room's code stands as often as there are reminders, the others' once.
  const auto code = [&](size_t room) {
    return absl::StrCat(" the code of the ", rooms[room], " room is ", codes[room], ".");
  };
  const size_t first_of_rooms = plants.size();
  for (const char* reminder : kReminders) plants.push_back(SentencePlant(absl::StrCat(reminder, code(0))));
  const size_t others = plants.size();
  for (size_t room = 1; room < kRooms; ++room) plants.push_back(SentencePlant(absl::StrCat("By the way,", code(room))));

  const std::string longest =
      absl::StrCat("What is the code of the ", rooms[0], " room, and what is that of the ", rooms[1], " room?");
  const size_t tokens = TokensForText(options, kWords, longest);
  const Haystack text = HideInFiller(plants, {.tokens = tokens, .avoid = tolls}, options, &random);
  std::vector<Ask> asks;
  for (size_t i = 0; i < kBridges; ++i) {
    const std::string &older = tolls[2 * i], &newer = tolls[2 * i + 1];
    const std::vector<ByteRange> evidence = {text.facts[2 * i][0], text.facts[2 * i + 1][0]};
    asks.push_back({.form = "newest",
                    .question = absl::StrCat("What is the toll of the ", towns[i],
                                             " bridge by the newest notice? Write that number alone."),
                    .evidence = evidence,
                    .check = {.answers = {newer}, .forbidden = {older}},
                    .expected = newer});
    asks.push_back({.form = "both-copies",
                    .question = absl::StrCat("The notices give two tolls for the ", towns[i],
                                             " bridge. Which two numbers are they?"),
                    .evidence = evidence,
                    .check = {.answers = {older, newer}},
                    .expected = absl::StrCat("The tolls are ", older, " and ", newer, " pence.")});
  }
  for (size_t room = 1; room < kRooms; ++room) {
    Ask ask{.form = "repeated",
            .question = absl::StrCat("What is the code of the ", rooms[0], " room, and what is that of the ",
                                     rooms[room], " room?"),
            .check = {.answers = {codes[0], codes[room]}},
            .expected = absl::StrCat("The codes are ", codes[0], " and ", codes[room], ".")};
    for (size_t plant = first_of_rooms; plant < others; ++plant) ask.evidence.push_back(text.facts[plant][0]);
    ask.evidence.push_back(text.facts[others + room - 1][0]);
    asks.push_back(ask);
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
