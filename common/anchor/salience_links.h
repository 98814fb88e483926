// Which sequences the rows of each sequence look at most.
#ifndef KEDGE_COMMON_ANCHOR_SALIENCE_LINKS_H_
#define KEDGE_COMMON_ANCHOR_SALIENCE_LINKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace kedge {

struct SalienceLink {
  uint32_t to = 0;    // a sequence
  uint32_t mass = 0;  // the most that one row gives to it, in parts of kMassOne (head_ref.h)
  friend bool operator==(const SalienceLink&, const SalienceLink&) = default;
};

// For each sequence and head the kMost other sequences to which its rows give most, in order; of equal ones the
// earlier. What is kept does not depend on the order in which rows are added, nor on which of them another one has
// gathered: so memory is bounded, and a choice is the same wherever a prompt was cut. Not thread-safe.
class SalienceLinks {
 public:
  static constexpr size_t kMost = 16;

  SalienceLinks(size_t sequences, size_t heads) : heads_(heads), links_(sequences * heads) {}

  // A row of sequence `from`: `mass`, [from + 1], is what it gives to each sequence. What it gives to its own is passed
  // over.
  void Add(size_t from, size_t head, absl::Span<const uint32_t> mass);
  void Merge(size_t from, size_t head, const std::vector<SalienceLink>& links);
  const std::vector<SalienceLink>& Of(size_t from, size_t head) const { return links_[from * heads_ + head]; }

 private:
  static void Offer(SalienceLink offered, std::vector<SalienceLink>* links);

  size_t heads_;
  std::vector<std::vector<SalienceLink>> links_;  // [sequences][heads]
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_SALIENCE_LINKS_H_
