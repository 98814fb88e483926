// Facts are put into filler at places drawn from equal parts of it, so that every depth is asked for. Tested by
// recall_cases_test.cc.
#include "eval/recall_cases.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "eval/recall_templates.h"

namespace kedge {
namespace {

constexpr size_t kFactsOfAText = 5;
constexpr size_t kSentencesOfAParagraph = 6;
constexpr size_t kTemplateTokens = 30;        // about what a chat template adds
constexpr char kAnswerBegin[] = "\nAnswer:";  // of a plain text

// SplitMix64: short, and the same everywhere, which the standard library's distributions are not.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t Below(size_t bound) { return Next() % bound; }
  // The numbers 0 .. bound - 1, shuffled.
  std::vector<size_t> Order(size_t bound) {
    std::vector<size_t> order(bound);
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t i = bound; i > 1; --i) std::swap(order[i - 1], order[Below(i)]);
    return order;
  }

 private:
  uint64_t state_;
};

Random RandomOf(const RecallOptions& options, uint64_t purpose) {
  Random mix(options.seed * 8 + purpose);
  return Random(mix.Next() ^ (options.family == RecallFamily::kEvaluation ? 0 : ~uint64_t{0}));
}

// `count` different values of a kind.
std::vector<std::string> DrawValues(const std::vector<std::string>& values, int digits, size_t count, Random* random) {
  std::vector<std::string> drawn;
  if (!values.empty()) {
    const std::vector<size_t> order = random->Order(values.size());
    for (size_t i = 0; i < count; ++i) drawn.push_back(values[order[i]]);
    return drawn;
  }
  uint64_t power = 1;
  for (int i = 1; i < digits; ++i) power *= 10;
  while (drawn.size() < count) {
    std::string number = absl::StrCat(power + random->Below(9 * power));
    if (std::find(drawn.begin(), drawn.end(), number) == drawn.end()) drawn.push_back(std::move(number));
  }
  return drawn;
}

struct Fact {
  std::string text;  // the sentence or the line
  std::string question;
  std::string begun;  // the sentence up to the answer
  std::string answer;
};

std::vector<Fact> DrawFacts(const FactKind& kind, size_t count, Random* random) {
  const std::vector<size_t> subjects = random->Order(kind.subjects.size());
  const std::vector<std::string> values = DrawValues(kind.values, kind.digits, count, random);
  std::vector<Fact> facts;
  for (size_t i = 0; i < count; ++i) {
    const std::string& subject = kind.subjects[subjects[i]];
    const absl::string_view begun =
        absl::StripTrailingAsciiWhitespace(absl::string_view(kind.sentence).substr(0, kind.sentence.find("{v}")));
    facts.push_back({.text = absl::StrReplaceAll(kind.sentence, {{"{s}", subject}, {"{v}", values[i]}}),
                     .question = absl::StrReplaceAll(kind.question, {{"{s}", subject}}),
                     .begun = absl::StrReplaceAll(begun, {{"{s}", subject}}),
                     .answer = values[i]});
  }
  return facts;
}

// What is planted at one place of the filler: a sentence, or a block of several lines.
struct Plant {
  std::string text;
  bool is_block = false;
  std::vector<ByteRange> facts;  // of `text`
};

Plant SentencePlant(const Fact& fact) { return {.text = fact.text, .facts = {{0, fact.text.size()}}}; }

// Five lines, each a fact; appends them to `facts` in the plant's order.
Plant BlockPlant(const BlockKind& kind, Random* random, std::vector<Fact>* facts) {
  const std::vector<size_t> subjects = random->Order(kind.subjects.size());
  const std::vector<size_t> others = random->Order(kind.others.size());
  const std::vector<std::string> values = DrawValues({}, kind.digits, kFactsOfAText, random);
  Plant plant{.text = kind.head, .is_block = true};
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    const std::string& subject = kind.subjects[subjects[i]];
    const std::string& other = kind.others[others[i % others.size()]];
    const std::string line = absl::StrReplaceAll(kind.line, {{"{s}", subject}, {"{v}", values[i]}, {"{o}", other}});
    plant.facts.push_back({plant.text.size(), plant.text.size() + line.size() - 1});  // without the line feed
    absl::StrAppend(&plant.text, line);
    facts->push_back(
        {.text = line, .question = absl::StrReplaceAll(kind.question, {{"{s}", subject}}), .answer = values[i]});
  }
  absl::StrAppend(&plant.text, kind.tail);
  plant.text.pop_back();  // its last line feed: Compose puts empty lines around
  return plant;
}

struct Composed {
  std::string text;
  std::vector<std::vector<ByteRange>> facts;  // of `text`, per plant
};

// Filler with `plants` in it, of about `tokens` tokens in all.
Composed Compose(const std::vector<Plant>& plants, size_t tokens, const RecallOptions& options, Random* random) {
  KEDGE_CHECK(!options.filler.empty());
  for (const Plant& plant : plants) tokens -= std::min(tokens, options.count_tokens(plant.text));
  std::vector<absl::string_view> sentences;
  size_t next = random->Below(options.filler.size());
  for (size_t have = 0; have < tokens;) {
    sentences.push_back(options.filler[next]);
    have += std::max<size_t>(1, options.count_tokens(absl::StrCat(" ", options.filler[next])));
    next = (next + 1) % options.filler.size();
  }

  // Plant i of a shuffled order comes before sentence place[i], which lies in the i-th of equal parts.
  const std::vector<size_t> order = random->Order(plants.size());
  std::vector<size_t> places;
  for (size_t i = 0; i < plants.size(); ++i) {
    const size_t begin = i * sentences.size() / plants.size(), end = (i + 1) * sentences.size() / plants.size();
    places.push_back(begin + (end > begin ? random->Below(end - begin) : 0));
  }
  Composed composed{.facts = std::vector<std::vector<ByteRange>>(plants.size())};
  std::string& text = composed.text;
  size_t in_paragraph = 0;
  auto separate = [&](bool new_paragraph) {
    if (new_paragraph || in_paragraph == kSentencesOfAParagraph) in_paragraph = 0;
    if (!text.empty()) absl::StrAppend(&text, in_paragraph == 0 ? "\n\n" : " ");
    ++in_paragraph;
  };
  for (size_t sentence = 0, i = 0; sentence < sentences.size() || i < plants.size(); ++sentence) {
    for (; i < plants.size() && (places[i] <= sentence || sentence >= sentences.size()); ++i) {
      const Plant& plant = plants[order[i]];
      separate(plant.is_block);
      for (const ByteRange& fact : plant.facts) {
        composed.facts[order[i]].push_back({text.size() + fact.begin, text.size() + fact.end});
      }
      absl::StrAppend(&text, plant.text);
      if (plant.is_block) in_paragraph = kSentencesOfAParagraph;  // what follows begins a paragraph
    }
    if (sentence < sentences.size()) {
      separate(false);
      absl::StrAppend(&text, sentences[sentence]);
    }
  }
  return composed;
}

// The message made of `frame`, and where its parts came to lie. `facts` are of `text`.
RecallCase MakeCase(RecallForm form, absl::string_view frame, absl::string_view text, std::string question,
                    std::vector<ByteRange> facts, std::vector<std::string> answers) {
  RecallCase made{.form = form, .facts = std::move(facts), .answers = std::move(answers)};
  size_t text_begin = 0;
  while (!frame.empty()) {
    const size_t mark = std::min(frame.find('{'), frame.size());
    absl::StrAppend(&made.message, frame.substr(0, mark));
    frame.remove_prefix(mark);
    if (frame.empty()) break;
    if (frame[1] == 't') {
      text_begin = made.message.size();
      absl::StrAppend(&made.message, text);
    } else {
      made.question = {made.message.size(), made.message.size() + question.size()};
      absl::StrAppend(&made.message, question);
    }
    frame.remove_prefix(3);  // {t} or {q}
  }
  for (ByteRange& fact : made.facts) fact = {fact.begin + text_begin, fact.end + text_begin};
  return made;
}

std::string FrameOf(const std::string& frame, const RecallOptions& options) {
  return options.plain ? absl::StrCat(frame, kAnswerBegin) : frame;
}

// Tokens left for the text of a message.
size_t TextTokens(const RecallOptions& options, absl::string_view frame, absl::string_view question) {
  const size_t around = options.count_tokens(frame) + options.count_tokens(question) + kTemplateTokens;
  return options.tokens - std::min(options.tokens, around);
}

}  // namespace

const char* RecallFormName(RecallForm form) {
  switch (form) {
    case RecallForm::kSingle:
      return "single";
    case RecallForm::kPair:
      return "pair";
    case RecallForm::kAlike:
      return "alike";
    case RecallForm::kTable:
      return "table";
    case RecallForm::kCode:
      return "code";
    case RecallForm::kQuestionFirst:
      return "question-first";
    case RecallForm::kBegun:
      return "begun";
  }
  return "";
}

bool ContainsAnswer(absl::string_view reply, absl::string_view answer) {
  auto is_digit = [&](size_t i) { return i < reply.size() && absl::ascii_isdigit(reply[i]); };
  std::string plain;
  for (size_t i = 0; i < reply.size(); ++i) {
    if (reply[i] == ',' && i > 0 && is_digit(i - 1) && is_digit(i + 1)) continue;
    plain += absl::ascii_tolower(reply[i]);
  }
  const std::string wanted = absl::AsciiStrToLower(answer);
  auto in_word = [&](size_t i) { return i < plain.size() && absl::ascii_isalnum(plain[i]); };
  for (size_t at = plain.find(wanted); at != std::string::npos; at = plain.find(wanted, at + 1)) {
    if ((at == 0 || !in_word(at - 1)) && !in_word(at + wanted.size())) return true;
  }
  return false;
}

RecallText MakeSeparateFacts(const RecallOptions& options) {
  const RecallTemplates& templates = TemplatesOf(options.family);
  Random random = RandomOf(options, 1);
  const std::vector<size_t> kinds = random.Order(templates.facts.size());
  std::vector<Fact> facts;
  std::vector<Plant> plants;
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    facts.push_back(DrawFacts(templates.facts[kinds[i]], 1, &random).front());
    plants.push_back(SentencePlant(facts.back()));
  }
  const std::string frame = FrameOf(templates.question_last, options);
  const Composed text = Compose(plants, TextTokens(options, frame, facts[0].question), options, &random);
  RecallText cases;
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    cases.push_back(
        MakeCase(RecallForm::kSingle, frame, text.text, facts[i].question, text.facts[i], {facts[i].answer}));
  }
  for (size_t i = 0; i < kFactsOfAText; ++i) {
    const size_t j = (i + 1) % kFactsOfAText;
    std::vector<ByteRange> both = text.facts[i];
    both.insert(both.end(), text.facts[j].begin(), text.facts[j].end());
    cases.push_back(
        MakeCase(RecallForm::kPair, frame, text.text,
                 absl::StrReplaceAll(templates.pair, {{"{a}", facts[i].question}, {"{b}", facts[j].question}}),
                 std::move(both), {facts[i].answer, facts[j].answer}));
  }
  for (size_t i = 0; options.plain && i < kFactsOfAText; ++i) {
    cases.push_back(
        MakeCase(RecallForm::kBegun, templates.begun, text.text, facts[i].begun, text.facts[i], {facts[i].answer}));
  }
  return cases;
}

RecallText MakeCrowdedFacts(const RecallOptions& options) {
  const RecallTemplates& templates = TemplatesOf(options.family);
  Random random = RandomOf(options, 2);
  std::vector<Fact> alike = DrawFacts(templates.facts[random.Below(templates.facts.size())], kFactsOfAText, &random);
  std::vector<Plant> plants;
  for (const Fact& fact : alike) plants.push_back(SentencePlant(fact));
  std::vector<Fact> rows, lines;
  plants.push_back(BlockPlant(templates.tables[random.Below(templates.tables.size())], &random, &rows));
  plants.push_back(BlockPlant(templates.codes[random.Below(templates.codes.size())], &random, &lines));
  const std::string frame = FrameOf(templates.question_last, options);
  const Composed text = Compose(plants, TextTokens(options, frame, alike[0].question), options, &random);
  RecallText cases;
  auto add = [&](RecallForm form, const Fact& fact, const ByteRange& range) {
    cases.push_back(MakeCase(form, frame, text.text, fact.question, {range}, {fact.answer}));
  };
  for (size_t i = 0; i < kFactsOfAText; ++i) add(RecallForm::kAlike, alike[i], text.facts[i][0]);
  for (size_t i = 0; i < kFactsOfAText; ++i) add(RecallForm::kTable, rows[i], text.facts[kFactsOfAText][i]);
  for (size_t i = 0; i < kFactsOfAText; ++i) add(RecallForm::kCode, lines[i], text.facts[kFactsOfAText + 1][i]);
  return cases;
}

RecallText MakeQuestionFirst(const RecallOptions& options) {
  const RecallTemplates& templates = TemplatesOf(options.family);
  Random random = RandomOf(options, 3);
  const Fact fact = DrawFacts(templates.facts[random.Below(templates.facts.size())], 1, &random).front();
  const std::string frame = FrameOf(templates.question_first, options);
  const Composed text = Compose({SentencePlant(fact)}, TextTokens(options, frame, fact.question), options, &random);
  return {MakeCase(RecallForm::kQuestionFirst, frame, text.text, fact.question, text.facts[0], {fact.answer})};
}

std::vector<std::string> FillerSentences(absl::string_view text) {
  constexpr size_t kShortest = 20, kLongest = 400;
  std::vector<std::string> sentences;
  auto take = [&](absl::string_view sentence) {
    const bool whole = !sentence.empty() && absl::ascii_isupper(sentence.front()) &&
                       absl::StrContains(".?!", sentence.substr(sentence.size() - 1));
    if (whole && sentence.size() >= kShortest && sentence.size() <= kLongest) sentences.emplace_back(sentence);
  };
  for (absl::string_view paragraph : absl::StrSplit(text, "\n\n")) {
    if (absl::StartsWith(paragraph, " ") || absl::StrContains(paragraph, ">>>")) continue;  // code
    std::string line(paragraph);
    absl::RemoveExtraAsciiWhitespace(&line);
    size_t begin = 0;
    for (size_t i = 0; i + 2 < line.size(); ++i) {
      if (absl::StrContains(".?!", line.substr(i, 1)) && line[i + 1] == ' ' && absl::ascii_isupper(line[i + 2])) {
        take(absl::string_view(line).substr(begin, i + 1 - begin));
        begin = i + 2;
      }
    }
    take(absl::string_view(line).substr(begin));
  }
  return sentences;
}

}  // namespace kedge
