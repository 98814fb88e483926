// Which heads of a model retrieve and which point: ranked by where they looked in prompts whose answers are known.
#ifndef KEDGE_EVAL_HEAD_RANKING_H_
#define KEDGE_EVAL_HEAD_RANKING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/salience.h"
#include "common/kernels/head_ref.h"

namespace kedge {

// What the sequences of a prompt (PromptOutline) are to its question, by their numbers.
struct KnownSequences {
  size_t count = 0;
  bool last_may_ask = false;     // no chat, whose last sequence is the template's
  std::vector<size_t> question;  // they ask
  std::vector<size_t> facts;     // right: each holds an answer, or a part of one
  std::vector<size_t> rivals;    // wrong: what could be chosen instead
};

// Where the heads looked in one prompt, as sums over whole sequences in parts of kMassOne.
struct ObservedPrompt {
  std::string form;
  KnownSequences known;
  std::vector<uint32_t> from_question;  // [heads][sequences]: the most that a row of the question gives to it
  // [heads][sequences]: what the prompt's end gives to it: the sum of its two last rows but one
  std::vector<uint32_t> from_end;
};

struct HeadRank {
  HeadRef head;
  // Mean reciprocal rank of what is right, 1 at best: over the prompts of a form, then over the forms.
  double rank = 0;
  // What it gives to what is right, averaged in the same way; 1: a whole row's attention.
  double attention = 0;
};

// Each has all heads, the best rank first; of equal ones the one with more attention, then the earlier.
struct HeadRanking {
  // Rank of each fact among the rivals, by what the question gives to it. Prompts without facts do not count.
  std::vector<HeadRank> retrieval;
  // Rank of the question's best sequence among those that may ask, by what the end gives to it: all but the prompt's
  // first and, of a chat, its last. Prompts whose question lies in those alone do not count.
  std::vector<HeadRank> pointers;
};

// Pure. `heads`: in the order of the prompts' sums.
HeadRanking RankHeads(absl::Span<const HeadRef> heads, absl::Span<const ObservedPrompt> prompts);

// The best pointer and the four best retrieval heads, of those that ever found what is right.
SalienceHeads BestHeads(const HeadRanking& ranking);

}  // namespace kedge

#endif  // KEDGE_EVAL_HEAD_RANKING_H_
