// Salient sequences: which whole sequences of a prompt are kept because its end attends to them.
//
// A few heads of a model *retrieve*: what they attend to from the prompt's last rows is what the answer will need.
// Their attention is gathered while the prompt is computed, and once it ends, sequences are taken in order of it and of
// the words that they share with the question (shared_words.h). One choice serves all layers and heads, so rows stay
// uniform.
#ifndef KEDGE_COMMON_ANCHOR_SALIENCE_H_
#define KEDGE_COMMON_ANCHOR_SALIENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/outline.h"
#include "common/anchor/salience_links.h"
#include "common/kernels/head_ref.h"

namespace kedge {

// Raised with every change by which other rows are chosen, and kProtocolVersion with it: figures of an older choice say
// nothing of this one, and nodes of two choices must not be taken for alike.
inline constexpr uint32_t kSalienceVersion = 5;

// The heads of a model that show where a prompt's end looks.
struct SalienceHeads {
  std::vector<HeadRef> pointers;   // look from the prompt's last rows at what is asked; may be none
  std::vector<HeadRef> retrieval;  // look from what is asked at what answers it
  bool empty() const { return retrieval.empty(); }
  // Pointers, then retrieval heads.
  std::vector<HeadRef> All() const;
  friend bool operator==(const SalienceHeads&, const SalienceHeads&) = default;
};

// "14.2": layer.head.
std::string HeadText(const HeadRef& head);
// "pointers=14.2,retrieval=8.0+17.4": each list joined by +. `pointers` may be absent.
std::string SalienceHeadsText(const SalienceHeads& heads);
// kInvalidArgument names what is wrong: no such form, a head that the model does not have, or twice.
absl::StatusOr<SalienceHeads> ParseSalienceHeads(absl::string_view text, uint32_t num_layers, uint32_t num_heads);

// kFailedPrecondition unless these heads can choose what the content leaves to be chosen.
absl::Status CheckChoosable(const Content& content, const SalienceHeads& heads);

// What the rows of a prompt before `end` have told, as far as it counts in every prompt that begins alike.
struct EarlierSalience {
  uint32_t end = 0;
  std::vector<PositionRange> sequences;  // that begin before `end`, as far as these rows go
  std::vector<std::vector<SalienceLink>> links;  // [sequences][retrieval heads]: Salience::links_
};

// Gathers attention mass of one prompt and chooses. Pure arithmetic in whole numbers; ties go to the earlier sequence.
// Owned by one thread. Copyable.
class Salience {
 public:
  // The last rows before row n-1: the template's, where pointers look at the question.
  static constexpr uint32_t kPointerRows = 2;
  // The last rows before row n-1, which ask where the heads that retrieve are not known.
  static constexpr uint32_t kLastRows = 32;

  // `content`: its prompt is all that is looked at.
  Salience(const Content& content, const SalienceHeads& heads);

  // Rows whose mass is to be added: all, or, where the heads that retrieve are not known, the last; and the ranges by
  // which it is to be summed (StepPlan::mass_ends).
  const PositionRange& observed() const { return observed_; }
  std::vector<uint32_t> SequenceEnds() const;

  // Adds the mass that head number `head` of SalienceHeads::All() in row `position` gives to the sequences that begin
  // at or before it (StepFuture::Mass). REQUIRES: position is observed.
  void Add(uint32_t position, size_t head, absl::Span<const uint32_t> mass);

  // What was added so far. REQUIRES: observed rows before `end` were added, and none from there on.
  EarlierSalience Before(uint32_t end) const;
  // Whether a choice here is the same if `earlier` is taken and its rows, which are those of this prompt, are not
  // added: they are of the same sequences, and none is of those that have their turn at the end.
  bool CanTake(const EarlierSalience& earlier) const;
  // REQUIRES: CanTake.
  void Take(const EarlierSalience& earlier);
  // No state at a later end can be taken (CanTake).
  static uint32_t LatestEnd(const Content& content, const SalienceHeads& heads);

  // The score of each of outline().sequences, in parts of kMassOne. `ids`: the content's.
  std::vector<uint64_t> Scores(absl::Span<const uint32_t> ids) const;
  const PromptOutline& outline() const { return outline_; }

 private:
  bool knows_heads() const { return num_pointers_ > 0; }
  size_t num_retrieval() const { return num_heads_ - num_pointers_; }
  std::vector<uint64_t> Asking() const;
  // By what answers what asks, before or behind it: attention, and in a chat words.
  std::vector<uint64_t> Evidence(absl::Span<const uint32_t> ids, const std::vector<uint64_t>& asking) const;
  // By attention alone.
  std::vector<uint64_t> Looked(const std::vector<uint64_t>& asking) const;
  std::vector<PositionRange> SequencesBefore(uint32_t end) const;

  bool has_user_;
  PromptOutline outline_;
  size_t num_pointers_;
  size_t num_heads_;               // pointers included
  std::vector<bool> may_ask_;      // [sequences]
  std::vector<size_t> questions_;  // of these, those that a question mark closes
  std::vector<size_t> opening_;    // of these, those at the last turn's begin
  uint32_t latest_end_;
  PositionRange observed_;
  std::vector<uint64_t> pointed_;  // [sequences]: what the pointers give in their rows; without any: the most of all
  SalienceLinks links_;            // of the retrieval heads
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_SALIENCE_H_
