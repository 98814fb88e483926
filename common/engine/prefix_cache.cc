// Tested by prefix_cache_test.cc and, inside whole clusters, by tests/simulation_test.cc.
#include "common/engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "common/anchor/shared_rows.h"

namespace kedge {

PrefixComputation::PrefixComputation(PrefixCache* cache, Sequence* sequence, Content shared)
    : cache_(cache), sequence_(sequence), shared_(std::move(shared)) {
  self_ = cache_->computations_.insert(cache_->computations_.end(), this);
}

PrefixComputation::~PrefixComputation() {
  const bool awaited = std::any_of(waits_.begin(), waits_.end(), [](const auto& wait) { return !wait.expired(); });
  if (awaited) StoreHere();
  Abandon();
}

void PrefixComputation::AddCheckpoints(const std::vector<uint32_t>& ends) {
  const std::vector<ChainKey> names = cache_->Names(shared_, ends);
  for (size_t i = 0; i < ends.size(); ++i) {
    const auto at = std::lower_bound(checkpoints_.begin(), checkpoints_.end(), ends[i],
                                     [](const Checkpoint& checkpoint, uint32_t end) { return checkpoint.end < end; });
    if (at != checkpoints_.end() && at->end == ends[i]) continue;
    checkpoints_.insert(at, {.end = ends[i], .name = names[i]});
  }
}

uint32_t PrefixComputation::ready() const {
  const uint32_t ready = sequence_->ready();
  return checkpoints_.empty() ? ready : std::min(ready, checkpoints_.front().end - sequence_->position());
}

uint32_t PrefixComputation::left() const {
  uint32_t left = sequence_->pending();
  for (const std::weak_ptr<PrefixWait>& weak : waits_) {
    if (const auto wait = weak.lock()) left = std::min(left, wait->end_ - sequence_->position());
  }
  return left;
}

void PrefixComputation::Settle() {
  const uint32_t position = sequence_->computed();
  while (!checkpoints_.empty() && checkpoints_.front().end <= position) {
    const Checkpoint checkpoint = checkpoints_.front();
    checkpoints_.erase(checkpoints_.begin());
    if (checkpoint.end == position) Store(checkpoint);
  }
  EndWaits(position);
}

void PrefixComputation::StoreHere() {
  const uint32_t position = sequence_->position();
  const Content& content = sequence_->content();
  if (!cache_->enabled() || position == 0 || sequence_->is_under_way()) return;
  if (position > SharedEnd(content, cache_->device_->roles_agree())) return;
  Checkpoint here{.end = position};
  here.name = cache_->Names(SharedContent(content, cache_->device_->roles_agree()), {position}).front();
  Store(here);
}

void PrefixComputation::Store(const Checkpoint& checkpoint) {
  std::optional<StoredRows> rows = sequence_->Stored();
  if (!rows.has_value()) return;
  CachedPrefix prefix{.name = checkpoint.name, .rows = *std::move(rows)};
  if (sequence_->salience() != nullptr) {
    prefix.gathered = std::make_shared<EarlierSalience>(sequence_->salience()->Before(checkpoint.end));
  }
  cache_->store_.Add(std::move(prefix), last_);
  last_ = checkpoint.name;
}

void PrefixComputation::EndWaits(uint32_t end) {
  std::erase_if(waits_, [end](const std::weak_ptr<PrefixWait>& weak) {
    const auto wait = weak.lock();
    if (wait == nullptr) return true;
    if (wait->end_ <= end) wait->over_ = true;
    return wait->over_;
  });
}

void PrefixComputation::set_paused(bool paused) {
  paused_ = paused;
  if (paused) EndWaits(UINT32_MAX);
}

void PrefixComputation::Abandon() {
  EndWaits(UINT32_MAX);
  checkpoints_.clear();
  if (self_ == cache_->computations_.end()) return;
  cache_->computations_.erase(self_);
  self_ = cache_->computations_.end();
}

PrefixCache::PrefixCache(PrefixCacheOptions options, const SalienceHeads* heads, StepDevice* device, PagePool* pool)
    : options_(std::move(options)), heads_(heads), device_(device), store_(pool, options_.max_pages) {}

std::vector<ChainKey> PrefixCache::Names(const Content& content, absl::Span<const uint32_t> ends) const {
  return NamePrefixes(content,
                      {.fingerprint = options_.fingerprint,
                       .kv_type = KvTypeName(device_->row_shape().type),
                       .numerics_class = device_->numerics_class()},
                      ends);
}

// A reduction, and the choice before it, come from steps of the request's own.
uint32_t PrefixCache::LatestResume(const Content& content, uint32_t most) const {
  most = std::min(most, SharedEnd(content, device_->roles_agree()));
  if (!content.policy.prefill_full) return most;
  most = std::min(most, std::max(content.prompt_length, 2u) - 2);
  return content.NeedsChoice() ? std::min(most, Salience::LatestEnd(content, *heads_)) : most;
}

std::optional<CachedPrefix> PrefixCache::Find(const Content& content, uint32_t most) {
  const std::vector<uint32_t> ends = store_.Ends(LatestResume(content, most));
  if (ends.empty()) return std::nullopt;
  const std::vector<ChainKey> names = Names(SharedContent(content, device_->roles_agree()), ends);
  std::optional<Salience> salience;
  if (content.NeedsChoice()) salience.emplace(content, *heads_);
  for (size_t i = ends.size(); i-- > 0;) {
    const CachedPrefix* found = store_.Find(names[i]);
    if (found == nullptr) continue;
    CachedPrefix hit = *found;
    const auto gathered = std::exchange(hit.gathered, nullptr);
    // Without a choice, or where rows are not looked at so early, the rows are all.
    if (!salience.has_value() || salience->CanTake({.end = ends[i]})) return hit;
    if (gathered == nullptr || !salience->CanTake(*gathered)) continue;
    hit.gathered = gathered;
    return hit;
  }
  return std::nullopt;
}

std::shared_ptr<const PrefixWait> PrefixCache::Await(const Content& content, uint32_t most, uint32_t have) {
  if (computations_.empty() || !enabled()) return nullptr;
  const Content shared = SharedContent(content, device_->roles_agree());
  most = LatestResume(content, most);
  PrefixComputation* best = nullptr;
  uint32_t best_end = 0;
  for (PrefixComputation* computation : computations_) {
    const uint32_t position = computation->sequence_->position();
    if (computation->paused_ || position < have) continue;  // it has more to compute than who waits
    const uint32_t end = std::min(most, CommonRows(shared, computation->shared_));
    if (end <= position || end < have + kWorthWaiting || end <= best_end) continue;
    best = computation;
    best_end = end;
  }
  if (best == nullptr) return nullptr;
  best->AddCheckpoints({best_end});
  std::shared_ptr<PrefixWait> wait(new PrefixWait(best_end));
  best->waits_.push_back(wait);
  return wait;
}

std::unique_ptr<PrefixComputation> PrefixCache::Start(Sequence* sequence, const std::optional<CachedPrefix>& hit) {
  std::unique_ptr<PrefixComputation> computation(
      new PrefixComputation(this, sequence, SharedContent(sequence->content(), device_->roles_agree())));
  if (hit.has_value()) {
    sequence->Resume(hit->rows, device_);
    if (hit->gathered != nullptr) sequence->TakeSalience(*hit->gathered);
    computation->last_ = hit->name;
  }
  if (!enabled()) return computation;
  const uint32_t end = static_cast<uint32_t>(computation->shared_.ids.size());
  const Content& content = sequence->content();
  // A whole page: whoever goes on there copies nothing, and the rows behind it are enough for a step of their own.
  const uint32_t choice_begin =
      content.NeedsChoice() ? Salience::LatestEnd(content, *heads_) / kPageRows * kPageRows : 0;
  std::vector<uint32_t> ends;
  for (uint32_t at = sequence->position() + 1; at <= end; ++at) {
    const bool begins = at >= kLeastBegin && (at == content.turn_begin || at == choice_begin);
    if (begins || at % kCheckpointTokens == 0 || at == end) ends.push_back(at);
  }
  computation->AddCheckpoints(ends);
  return computation;
}

}  // namespace kedge
