// Salient sequences: which whole sequences of a prompt are kept because its end attends to them.
//
// A few heads of a model *retrieve*: what they attend to from the prompt's last rows is what the answer will need. Their
// attention is gathered while the prompt is computed, and once it ends, sequences are taken in order of it. One choice
// serves all layers and heads, so rows stay uniform.
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
#include "common/kernels/head_ref.h"

namespace kedge {

// The heads of a model that show where a prompt's end looks.
struct SalienceHeads {
  std::vector<HeadRef> pointers;   // look from the prompt's last rows at what is asked; may be none
  std::vector<HeadRef> retrieval;  // look from what is asked at what answers it
  bool empty() const { return retrieval.empty(); }
  // Pointers, then retrieval heads.
  std::vector<HeadRef> All() const;
  friend bool operator==(const SalienceHeads&, const SalienceHeads&) = default;
};

// "pointers=14.2,retrieval=8.0+17.4": layer.head, each list joined by +. `pointers` may be absent.
std::string SalienceHeadsText(const SalienceHeads& heads);
// kInvalidArgument names what is wrong: no such form, a head that the model does not have, or twice.
absl::StatusOr<SalienceHeads> ParseSalienceHeads(absl::string_view text, uint32_t num_layers, uint32_t num_heads);

// kFailedPrecondition unless these heads can choose what the content leaves to be chosen.
absl::Status CheckChoosable(const Content& content, const SalienceHeads& heads);

// Gathers attention mass of one prompt and chooses. Pure arithmetic in whole numbers; ties go to the earlier sequence.
// Owned by one thread. Copyable.
class Salience {
 public:
  // How many of the prompt's last rows before row n-1 are observed, at most, and how many of these the pointers see.
  static constexpr uint32_t kObservedRows = 128;
  static constexpr uint32_t kPointerRows = 2;

  // `content`: its prompt is all that is looked at.
  Salience(const Content& content, const SalienceHeads& heads);

  // Rows whose mass is to be added.
  const PositionRange& observed() const { return observed_; }

  // Adds the mass that head number `head` of SalienceHeads::All() in row `position` gives to rows 0..position
  // (StepFuture::Mass). REQUIRES: position is observed, mass.size() == position + 1.
  void Add(uint32_t position, size_t head, absl::Span<const uint32_t> mass);

  // Whole sequences, ascending, that charge at most the policy's budget (outline.h); neighbours are joined.
  std::vector<PositionRange> Choose() const;

  // The score of each of outline().sequences: higher goes first.
  std::vector<uint64_t> Scores() const;
  const PromptOutline& outline() const { return outline_; }

 private:
  // Mass of one head in one observed row, by sequence.
  absl::Span<const uint32_t> Sums(uint32_t row, size_t head) const;
  std::vector<uint64_t> PointerShares() const;

  PromptOutline outline_;
  uint32_t budget_;
  PositionRange observed_;
  size_t num_pointers_;
  size_t num_heads_;            // pointers included
  std::vector<uint32_t> sums_;  // [observed rows][heads][sequences]
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_SALIENCE_H_
