// Scores of a sequence, of which the highest counts. Attention is mass summed over whole sequences and not averaged
// over their tokens: averages let sequences of one or two tokens win.
//
// 1. Asking. A prompt's very last rows belong to the chat template, and there the pointer heads look at what is asked:
//    a sequence's share of their mass is its weight. Where the user's questions end with a question mark, these have
//    half of all weight, in equal parts; what opens the last message of the user has some in any case. In a chat only
//    its user asks, in whichever message: what a tool or a document says is no question. What asks is kept for its
//    weight; a long sentence, which may merely stand beside it, for less. In a chat a short question with a sixteenth
//    of all weight is kept like the best answer: a list of questions is answered only as far as it is seen.
// 2. Answering. In the rows of what asks, the retrieval heads look at what answers: the largest mass that one row of a
//    sequence gives, times the weight of that sequence; the mean over the heads.
// 3. Looking back. Where the question stands before the text, none of its rows looks at the answer, but rows of the
//    answer look at the question: the largest mass that one row gives to a sequence, times its weight; the mean over
//    the heads, and a quarter of it, because text looks back for other reasons too.
// 4. Sharing words. Heads of small models pass over a second value of the same key, or one of several things asked:
//    the rare words that a sequence shares with what asks are added to 2. or 3., as much at most as attention gives to
//    any. And what repeats a rare word of a sequence that answers gets up to four fifths of that one's score: the
//    answer may name what is to be found next. In chats alone: a plain text that goes on asks nothing, and lost by it.
// 5. Standing beside. In code, JSON and lists the line that a question names is followed by the line that answers it:
//    what follows a sequence with a score by 2. to 4., as long as all together are few rows, gets two fifths of it, and
//    nine tenths of that for each line further on.
//
// A model without known heads has no pointers: the user's questions ask, or what the user says last, by their words;
// and what the last rows look at answers, by the maximum over all heads.
//
// The weights and row counts were found with prompts of some thirty forms on SmolLM2-135M-Instruct and
// Qwen2.5-Coder-0.5B, those of 4. on Qwen2.5-Coder-1.5B too (docs/fidelity.md tells what they bring on others). Tested
// by salience_test.cc.
#include "common/anchor/salience.h"

#include <algorithm>
#include <numeric>

#include "common/anchor/shared_words.h"
#include "common/base/check.h"

namespace kedge {
namespace {

constexpr uint32_t kOpeningRows = 20;  // of the last turn, in which a question before the text is looked for
constexpr uint32_t kLeastOpening = 4;  // rows of a sequence that asks something
constexpr uint64_t kOpeningWeight = kMassOne / 20;
constexpr uint64_t kMarksWeight = kMassOne / 2;  // of all that question marks close
constexpr uint32_t kAskingRows = 8;     // a longer sequence is kept for so many parts of its rows of its weight
constexpr uint32_t kQuestionRows = 16;  // the same, of one that asks in a chat: of the best answer's score
constexpr uint64_t kLookingBackShare = 4;
constexpr uint32_t kBesideRows = 64;  // of a sequence and those that follow it

uint64_t BestOf(const std::vector<uint64_t>& scores) {
  return scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
}

// What a sequence gets of the score of one that names it.
uint64_t NextFound(uint64_t score) { return score * 4 / 5; }

// What stands behind `i`, and then behind that.
uint64_t FirstBeside(uint64_t score) { return score * 2 / 5; }
uint64_t NextBeside(uint64_t score) { return score * 9 / 10; }

// Neither the first sequence asks, which takes what attention has to spare, nor, in a chat, the open one, which is the
// template's, nor what its user does not say.
std::vector<bool> MayAsk(const Content& content, const std::vector<PositionRange>& sequences) {
  const bool is_chat = content.turn_begin > 0;
  std::vector<bool> may_ask(sequences.size(), true);
  if (!may_ask.empty()) may_ask.front() = false;
  if (is_chat && !may_ask.empty()) may_ask.back() = false;
  if (content.user.empty()) return may_ask;
  for (size_t i = 0; i < sequences.size(); ++i) may_ask[i] = may_ask[i] && Overlaps(sequences[i], content.user);
  return may_ask;
}

// Sequences that a question mark closes, of those that may ask.
std::vector<size_t> Questions(const Content& content, const std::vector<PositionRange>& sequences,
                              const std::vector<bool>& may_ask) {
  std::vector<size_t> questions;
  auto mark = content.question_marks.begin();
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto end = std::lower_bound(mark, content.question_marks.end(), sequences[i].end);
    if (mark != end && may_ask[i]) questions.push_back(i);
    mark = end;
  }
  return questions;
}

}  // namespace

Salience::Salience(const Content& content, const SalienceHeads& heads)
    : has_user_(!content.user.empty()),
      outline_(OutlinePrompt(content)),
      num_pointers_(heads.pointers.size()),
      num_heads_(heads.pointers.size() + heads.retrieval.size()),
      may_ask_(MayAsk(content, outline_.sequences)),
      questions_(Questions(content, outline_.sequences, may_ask_)),
      latest_end_(LatestEnd(content, heads)),
      links_(num_pointers_ > 0 ? outline_.sequences.size() : 0, heads.retrieval.size()) {
  const uint32_t end = content.prompt_length - 1;
  observed_ = {knows_heads() ? 0 : latest_end_, end};
  const size_t count = outline_.sequences.size();
  for (size_t i = 0; i + 1 < count; ++i) {  // the last one may not have ended yet
    const PositionRange& sequence = outline_.sequences[i];
    if (may_ask_[i] && sequence.begin >= content.turn_begin && sequence.end <= content.turn_begin + kOpeningRows &&
        sequence.end - sequence.begin >= kLeastOpening) {
      opening_.push_back(i);
    }
  }
  pointed_.resize(count);
}

uint32_t Salience::LatestEnd(const Content& content, const SalienceHeads& heads) {
  const uint32_t end = content.prompt_length - 1;
  return end - std::min(end, heads.pointers.empty() ? kLastRows : kPointerRows);
}

std::vector<uint32_t> Salience::SequenceEnds() const {
  std::vector<uint32_t> ends;
  for (const PositionRange& sequence : outline_.sequences) ends.push_back(sequence.end);
  return ends;
}

void Salience::Add(uint32_t position, size_t head, absl::Span<const uint32_t> mass) {
  const std::vector<PositionRange>& sequences = outline_.sequences;
  KEDGE_CHECK(position >= observed_.begin && position < observed_.end && head < num_heads_ && !mass.empty() &&
              mass.size() <= sequences.size());
  const size_t own = mass.size() - 1;
  KEDGE_CHECK(sequences[own].begin <= position && position < sequences[own].end);
  if (!knows_heads()) {
    for (size_t i = 0; i < mass.size(); ++i) pointed_[i] = std::max<uint64_t>(pointed_[i], mass[i]);
    return;
  }
  if (head < num_pointers_) {
    if (position < latest_end_) return;
    for (size_t i = 0; i < mass.size(); ++i) pointed_[i] += mass[i];
    return;
  }
  links_.Add(own, head - num_pointers_, mass);
}

std::vector<PositionRange> Salience::SequencesBefore(uint32_t end) const {
  std::vector<PositionRange> before;
  for (const PositionRange& sequence : outline_.sequences) {
    if (sequence.begin >= end) break;
    before.push_back({sequence.begin, std::min(sequence.end, end)});
  }
  return before;
}

EarlierSalience Salience::Before(uint32_t end) const {
  EarlierSalience earlier{.end = end};
  if (!knows_heads()) return earlier;
  earlier.sequences = SequencesBefore(end);
  for (size_t from = 0; from < earlier.sequences.size(); ++from) {
    for (size_t head = 0; head < num_retrieval(); ++head) earlier.links.push_back(links_.Of(from, head));
  }
  return earlier;
}

bool Salience::CanTake(const EarlierSalience& earlier) const {
  if (earlier.end > latest_end_) return false;
  return !knows_heads() || earlier.end == 0 || earlier.sequences == SequencesBefore(earlier.end);
}

void Salience::Take(const EarlierSalience& earlier) {
  KEDGE_CHECK(CanTake(earlier));
  if (!knows_heads()) return;
  // The last sequence before `end` may go on in this prompt: its rows so far count all the same.
  const size_t before = earlier.sequences.size();
  KEDGE_CHECK(earlier.links.size() == num_retrieval() * before);
  for (size_t from = 0; from < before; ++from) {
    for (size_t head = 0; head < num_retrieval(); ++head) {
      links_.Merge(from, head, earlier.links[from * num_retrieval() + head]);
    }
  }
}

// Weights in parts of kMassOne.
std::vector<uint64_t> Salience::Asking() const {
  std::vector<uint64_t> asking(may_ask_.size());
  for (size_t i = 0; knows_heads() && i < asking.size(); ++i) asking[i] = may_ask_[i] ? pointed_[i] : 0;
  const uint64_t sum = std::accumulate(asking.begin(), asking.end(), uint64_t{0});
  for (uint64_t& weight : asking) weight = sum == 0 ? 0 : weight * kMassOne / sum;
  if (const uint64_t count = questions_.size(); count > 0) {
    // More marks than may be questions are of a text, and have less of the weight.
    const uint64_t share = kMarksWeight * kMostAsked / std::max<uint64_t>(kMostAsked, count);
    for (uint64_t& weight : asking) weight = weight * (kMassOne - share) / kMassOne;
    for (const size_t i : questions_) asking[i] += share / count;
  }
  for (const size_t i : opening_) asking[i] = std::max(asking[i], kOpeningWeight);
  if (!knows_heads() && questions_.empty()) {
    const auto last = std::find(may_ask_.rbegin(), may_ask_.rend(), true);
    if (last != may_ask_.rend()) asking[static_cast<size_t>(may_ask_.rend() - last) - 1] = kMarksWeight;
  }
  return asking;
}

std::vector<uint64_t> Salience::Looked(const std::vector<uint64_t>& asking) const {
  if (!knows_heads()) return pointed_;
  const size_t count = outline_.sequences.size();
  std::vector<uint64_t> answering(count), looking_back(count);
  for (size_t head = 0; head < num_retrieval(); ++head) {
    std::vector<uint64_t> answers(count), looks(count);  // the largest
    for (size_t from = 0; from < count; ++from) {
      for (const SalienceLink& link : links_.Of(from, head)) {
        answers[link.to] = std::max(answers[link.to], asking[from] * link.mass / kMassOne);
        looks[from] = std::max(looks[from], asking[link.to] * link.mass / kMassOne);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      answering[i] += answers[i];
      looking_back[i] += looks[i];
    }
  }
  std::vector<uint64_t> looked(count);
  for (size_t i = 0; i < count; ++i) {
    looked[i] = std::max(answering[i], looking_back[i] / kLookingBackShare) / num_retrieval();
  }
  return looked;
}

std::vector<uint64_t> Salience::Evidence(absl::Span<const uint32_t> ids, const std::vector<uint64_t>& asking) const {
  std::vector<uint64_t> evidence = Looked(asking);
  if (!has_user_) return evidence;
  const SharedWords words(ids, outline_.sequences, asking);
  const uint64_t most_looked = BestOf(evidence);
  const std::vector<uint64_t> shared = words.WithWhatAsks();
  for (size_t i = 0; i < evidence.size(); ++i) evidence[i] += most_looked * shared[i] / kMassOne;
  const std::vector<uint64_t> next = words.WithWhatAnswers(evidence);
  for (size_t i = 0; i < evidence.size(); ++i) evidence[i] = std::max(evidence[i], NextFound(next[i]));
  return evidence;
}

std::vector<uint64_t> Salience::Scores(absl::Span<const uint32_t> ids) const {
  const std::vector<PositionRange>& sequences = outline_.sequences;
  const size_t count = sequences.size();
  const std::vector<uint64_t> asking = Asking(), evidence = Evidence(ids, asking);
  const auto rows = [&](size_t i) { return sequences[i].end - sequences[i].begin; };
  const uint64_t best = BestOf(evidence);
  std::vector<uint64_t> scores = evidence;
  for (size_t i = 0; i < count; ++i) {
    scores[i] = std::max(scores[i], asking[i] * kAskingRows / std::max(kAskingRows, rows(i)));
    if (has_user_ && asking[i] >= kLeastAsking) {
      scores[i] = std::max(scores[i], best * kQuestionRows / std::max(kQuestionRows, rows(i)));
    }
    uint64_t beside = FirstBeside(evidence[i]);
    uint32_t together = rows(i);
    for (size_t next = i + 1; next < count && (together += rows(next)) <= kBesideRows; ++next) {
      scores[next] = std::max(scores[next], beside);
      beside = NextBeside(beside);
    }
  }
  return scores;
}

}  // namespace kedge
