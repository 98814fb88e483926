// Ordinary text with facts planted in it.
#ifndef KEDGE_EVAL_FORMS_HAYSTACK_H_
#define KEDGE_EVAL_FORMS_HAYSTACK_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "eval/forms/question.h"
#include "eval/forms/random.h"

namespace kedge {

// What is planted at one place of the filler: a sentence, or a block of several lines.
struct Plant {
  std::string text;
  bool is_block = false;
  std::vector<ByteRange> facts;  // of `text`
};
Plant SentencePlant(std::string sentence);  // the sentence is its fact

struct Haystack {
  std::string text;
  std::vector<std::vector<ByteRange>> facts;  // of `text`, per plant
};

struct HaystackOptions {
  size_t tokens = 1000;     // of the text, plants included
  bool keep_order = false;  // the plants stand in their order; else in any
  // No sentence of the filler that has one of these words is taken: what is asked has one answer.
  std::vector<std::string> avoid;
  absl::string_view gap = " ";  // between sentences of a paragraph
};

// Filler of `text.filler`, from a place drawn, with `plants` in it, each in its own of as many equal parts: so every
// depth is asked for.
Haystack HideInFiller(const std::vector<Plant>& plants, const HaystackOptions& options, const TextOptions& text,
                      Random* random);

// Cuts a text into sentences of 20 to 400 bytes, for `filler`: white space becomes one space, and what looks like code
// or a heading is left out.
std::vector<std::string> FillerSentences(absl::string_view text);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_HAYSTACK_H_
