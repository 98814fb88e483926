// Few-shot: examples show which mark belongs to what, and say it nowhere.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "eval/forms/frame.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

constexpr size_t kClasses = 4;
constexpr absl::string_view kItems[kClasses][12] = {{"goat", "rabbit", "donkey", "hamster", "turtle", "parrot",
                                                     "lizard", "beaver", "camel", "panther", "hedgehog", "ferret"},
                                                    {"saw", "spanner", "screwdriver", "sickle", "crowbar", "trowel",
                                                     "hatchet", "rake", "scythe", "pickaxe", "hoe", "clamp"},
                                                    {"bread", "doughnut", "dumpling", "sausage", "noodle", "porridge",
                                                     "pretzel", "biscotti", "lasagne", "waffle", "muffin", "kebab"},
                                                    {"tractor", "moped", "lorry", "tram", "scooter", "minibus", "canoe",
                                                     "helicopter", "sledge", "rickshaw", "taxi", "submarine"}};
constexpr absl::string_view kSentences[] = {
    "There was a {s} behind the house.",       "She had never seen such a {s} before.",
    "The picture shows a {s} in the rain.",    "He wrote a short letter about the {s}.",
    "They found a {s} on the way home.",       "My uncle dreams of a {s} of his own.",
    "The museum bought an old {s} last year.", "Nobody knew to whom the {s} belonged.",
    "In the story a {s} plays the main part.", "The child drew a {s} on the wall."};
constexpr absl::string_view kMarks[] = {"zorb", "plim", "quat", "drev", "mosk", "trin", "yalp", "vond"};

}  // namespace

std::vector<Question> MakeFewShot(const TextOptions& options) {
  constexpr char kWords[] =
      "Every line ends with a mark. The marks follow a rule.\n\n{t}\n\nWrite the mark of this line, and nothing else: "
      "{q}";
  Random random(options.seed);
  const std::vector<std::string> marks = Draw(kMarks, kClasses, &random);
  const auto sentence = [](size_t number, absl::string_view item) {
    return absl::StrReplaceAll(kSentences[number], {{"{s}", item}});
  };
  std::vector<std::vector<std::string>> items;  // the last of each class is asked for
  for (const auto& of_class : kItems) items.push_back(Draw(of_class, std::size(of_class), &random));
  const size_t examples = std::size(kItems[0]) - 1;

  const size_t tokens = TokensForText(options, kWords, sentence(0, items[0].back()));
  const size_t of_one = examples * std::size(kSentences);  // different lines of a class
  std::string sample;                                      // a line of each kind
  for (size_t i = 0; i < std::size(kSentences); ++i) {
    absl::StrAppend(&sample, sentence(i, items[i % kClasses][i]), " => ", marks[i % kClasses], "\n");
  }
  const size_t count = std::clamp(std::size(kSentences) * tokens / std::max<size_t>(1, options.count_tokens(sample)),
                                  2 * kClasses, kClasses * of_one);
  std::vector<std::vector<size_t>> orders;
  for (size_t of_class = 0; of_class < kClasses; ++of_class) orders.push_back(random.Order(of_one));
  std::vector<std::string> lines;
  std::vector<size_t> class_of;
  for (size_t i : random.Order(count)) {  // line i is of class i % kClasses: each has as many
    const size_t of_class = i % kClasses, example = orders[of_class][i / kClasses];
    lines.push_back(
        absl::StrCat(sentence(example / examples, items[of_class][example % examples]), " => ", marks[of_class]));
    class_of.push_back(of_class);
  }
  const Lines text = JoinLines(lines);
  std::vector<Ask> asks;
  for (size_t of_class = 0; of_class < kClasses; ++of_class) {
    Ask ask{.form = "few-shot",
            .question = absl::StrCat(sentence(random.Below(std::size(kSentences)), items[of_class].back()), " =>"),
            .check = {.answers = {marks[of_class]}},
            .expected = marks[of_class]};
    for (size_t i = 0; i < count; ++i) {
      if (class_of[i] == of_class) ask.evidence.push_back(text.lines[i]);
    }
    asks.push_back(std::move(ask));
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
