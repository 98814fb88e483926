// Words that texts are made of: of the evaluation alone (recall_templates.h has those that settings are fitted on).
#ifndef KEDGE_EVAL_FORMS_WORDS_H_
#define KEDGE_EVAL_FORMS_WORDS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "eval/forms/random.h"

namespace kedge {

// No list has a word of another one.
absl::Span<const absl::string_view> Adjectives();
absl::Span<const absl::string_view> Nouns();      // common things
absl::Span<const absl::string_view> RareNouns();  // that filler seldom has: values
absl::Span<const absl::string_view> FirstNames();
absl::Span<const absl::string_view> FamilyNames();
absl::Span<const absl::string_view> Towns();  // invented

// `count` different ones. REQUIRES: there are so many.
std::vector<std::string> Draw(absl::Span<const absl::string_view> words, size_t count, Random* random);

// `count` different numbers of `digits` digits, without a zero in front.
std::vector<std::string> DrawNumbers(int digits, size_t count, Random* random);

// Letters or digits of `alphabet`.
std::string DrawLetters(absl::string_view alphabet, size_t count, Random* random);

// As RFC 9562 writes them, version 4.
std::string DrawUuid(Random* random);

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_WORDS_H_
