// Questions whose answers stand in the prompt: facts planted in filler text, asked for exactly.
//
// A pure generator: the same arguments give the same bytes on every machine (its random numbers are its own). The
// subjects, values and sentences of the two families are disjoint, so that what is fitted on one can be measured on
// the other.
#ifndef KEDGE_EVAL_RECALL_CASES_H_
#define KEDGE_EVAL_RECALL_CASES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kedge {

enum class RecallFamily {
  kCalibration,  // to fit settings on
  kEvaluation,   // to report
};

enum class RecallForm {
  kSingle,         // one fact of its kind
  kPair,           // two facts, of two kinds, asked for in one question
  kAlike,          // a fact among five of one kind
  kTable,          // a row of a table
  kCode,           // a line of code
  kQuestionFirst,  // a fact of its kind; the question stands before the text
  kBegun,          // a fact of its kind; no question: a sentence that says it again has begun
};
inline constexpr RecallForm kRecallForms[] = {RecallForm::kSingle, RecallForm::kPair, RecallForm::kAlike,
                                              RecallForm::kTable,  RecallForm::kCode, RecallForm::kQuestionFirst,
                                              RecallForm::kBegun};
// "single", "pair", "alike", "table", "code", "question-first", "begun".
const char* RecallFormName(RecallForm form);

// Bytes [begin, end) of a message.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct RecallCase {
  RecallForm form = RecallForm::kSingle;
  std::string message;               // what the user says: the text with the facts, and the question
  ByteRange question;                // of `message`; of kBegun the beginning of the sentence
  std::vector<ByteRange> facts;      // of `message`: the sentences, rows or lines that hold the answers
  std::vector<std::string> answers;  // a right reply contains all of them (ContainsAnswer)
};

// Cases on one text. Their messages are equal up to the question, but for kQuestionFirst, where each stands alone.
using RecallText = std::vector<RecallCase>;

// Whether `reply` contains `answer` as a whole word or number; letter case and commas within numbers do not count.
bool ContainsAnswer(absl::string_view reply, absl::string_view answer);

struct RecallOptions {
  RecallFamily family = RecallFamily::kEvaluation;
  uint64_t seed = 1;
  // A message has about so many tokens: the filler is cut at the sentence that reaches them.
  size_t tokens = 1000;
  std::function<size_t(absl::string_view)> count_tokens;
  // Messages are texts to go on with, and no messages of a chat: they end where the answer begins.
  bool plain = false;
  // Sentences of ordinary text, in order. REQUIRES: not empty.
  absl::Span<const std::string> filler;
};

// Five facts, each alone of its kind, in one text: five cases of kSingle, five of kPair and, of plain texts, of kBegun.
RecallText MakeSeparateFacts(const RecallOptions& options);
// Five facts of one kind, a table of five rows and five lines of code in one text: five cases of each of the three.
RecallText MakeCrowdedFacts(const RecallOptions& options);
// One case of kQuestionFirst.
RecallText MakeQuestionFirst(const RecallOptions& options);

// Cuts a text into sentences of 20 to 400 bytes, for `filler`: white space becomes one space, and what looks like code
// or a heading is left out.
std::vector<std::string> FillerSentences(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_EVAL_RECALL_CASES_H_
