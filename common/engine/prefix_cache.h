// A cache that can compute: beginnings of contents, those that are stored and those under way.
#ifndef KEDGE_COMMON_ENGINE_PREFIX_CACHE_H_
#define KEDGE_COMMON_ENGINE_PREFIX_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/anchor/chain.h"
#include "common/anchor/content.h"
#include "common/engine/sequence.h"
#include "common/kernels/step.h"
#include "common/kv/content_cache.h"
#include "common/kv/page_pool.h"

namespace kedge {

struct PrefixCacheOptions {
  std::string fingerprint;  // of the model
  uint32_t max_pages = 0;   // 0: nothing is stored, and nobody waits
};

class PrefixCache;

// Waiting for a computation of another request to reach the end of what both have in common. Over when it has, and when
// it never will or pauses: then look again. Held by who waits; the computation goes on while somebody does.
class PrefixWait {
 public:
  bool over() const { return over_; }
  uint32_t end() const { return end_; }

 private:
  friend class PrefixCache;
  friend class PrefixComputation;
  explicit PrefixWait(uint32_t end) : end_(end) {}
  const uint32_t end_;
  bool over_ = false;
};

// The rows of one sequence as they come. Steps end at checkpoints: every kCheckpointTokens, where the prompt's last
// turn begins (what is before it many prompts share), at the last place from which a choice of salient sequences can
// still be made, at the end of what the sequence was started with, and where somebody waits. If it ends earlier while
// somebody waits, it leaves a checkpoint where it stands, so nothing that is still wanted is computed twice. Held by
// the request beside its sequence, which outlives it. Owned by one thread.
class PrefixComputation {
 public:
  ~PrefixComputation();
  PrefixComputation(const PrefixComputation&) = delete;
  PrefixComputation& operator=(const PrefixComputation&) = delete;

  // Of the pending rows, those that the next step may take (Sequence::ready): none goes beyond a checkpoint.
  uint32_t ready() const;
  // Whether nothing is left to be stored where the planned rows end: others may be planned before these are there.
  bool may_go_on() const { return checkpoints_.empty() || checkpoints_.front().end > sequence_->position(); }
  // Rows until somebody has what he waits for.
  uint32_t left() const;
  // Call it after each step (Sequence::Settle) and before Sequence::DropUnseen.
  void Settle();
  // Stores a checkpoint where the sequence stands: the end of a turn. Nothing, if it has a step under way.
  void StoreHere();
  // Whether it goes on for now. Nobody waits for one that pauses.
  void set_paused(bool paused);
  // Its rows are not to be trusted: a step failed. Nothing is stored any more.
  void Abandon();

 private:
  friend class PrefixCache;
  struct Checkpoint {
    uint32_t end = 0;
    ChainKey name{};
  };

  PrefixComputation(PrefixCache* cache, Sequence* sequence, Content shared);
  void AddCheckpoints(const std::vector<uint32_t>& ends);
  void Store(const Checkpoint& checkpoint);
  void EndWaits(uint32_t end);

  PrefixCache* const cache_;
  Sequence* const sequence_;
  Content shared_;                                // SharedContent, at the start
  std::vector<Checkpoint> checkpoints_;           // to come, ascending
  std::optional<ChainKey> last_;                  // stored or resumed from
  std::vector<std::weak_ptr<PrefixWait>> waits_;  // that are not over
  bool paused_ = false;
  std::list<PrefixComputation*>::iterator self_;
};

// Joins the content cache to sequences: names, which rows may be shared, where a request goes on. With or without a hit
// a request gets the same bits. Owned by one thread; must outlive its computations.
class PrefixCache {
 public:
  static constexpr uint32_t kCheckpointTokens = 512;
  static constexpr uint32_t kLeastBegin = 64;           // a step of its own for fewer tokens costs more than they do
  static constexpr uint32_t kWorthWaiting = kPageRows;  // tokens more than what is stored

  // Both must outlive this. `heads`: by which the node chooses salient sequences.
  PrefixCache(PrefixCacheOptions options, const SalienceHeads* heads, StepDevice* device, PagePool* pool);

  // The latest checkpoint of the content that ends at `most` or before and at which it can go on. Its pages are valid
  // until a page is taken or a checkpoint is stored.
  std::optional<CachedPrefix> Find(const Content& content, uint32_t most);

  // Whether a computation under way will soon have more of the content's first `most` rows than the `have` rows that
  // are stored; null if it is not worth waiting. REQUIRES: `have` as Find says.
  std::shared_ptr<const PrefixWait> Await(const Content& content, uint32_t most, uint32_t have);

  // Follows a sequence, which goes on behind `hit` if there is one. REQUIRES: with a hit, sequence->position() == 0.
  std::unique_ptr<PrefixComputation> Start(Sequence* sequence, const std::optional<CachedPrefix>& hit);

  uint64_t num_rows() const { return uint64_t{store_.num_pages()} * kPageRows; }

 private:
  friend class PrefixComputation;

  bool enabled() const { return options_.max_pages > 0; }
  std::vector<ChainKey> Names(const Content& content, absl::Span<const uint32_t> ends) const;
  uint32_t LatestResume(const Content& content, uint32_t most) const;

  const PrefixCacheOptions options_;
  const SalienceHeads* const heads_;
  StepDevice* const device_;
  ContentCache store_;
  std::list<PrefixComputation*> computations_;  // in order of their start
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_PREFIX_CACHE_H_
