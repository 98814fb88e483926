// Rows of beginnings that were computed once, by name.
#ifndef KEDGE_COMMON_KV_CONTENT_CACHE_H_
#define KEDGE_COMMON_KV_CONTENT_CACHE_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/anchor/chain.h"
#include "common/anchor/salience.h"
#include "common/kv/page_pool.h"
#include "common/kv/row_store.h"

namespace kedge {

// A checkpoint: all that a request needs to go on behind the first rows.end tokens of its content.
struct CachedPrefix {
  ChainKey name{};
  StoredRows rows;
  // Where a choice of salient sequences is to be made from rows on both sides of the checkpoint: what was gathered
  // before it, for contents with the same sequences. May be null.
  std::shared_ptr<const EarlierSalience> gathered;
};

// Checkpoints as a tree: one goes on from another if it was computed from there, and then it shares its pages. The
// least recently used leaf goes first; using a checkpoint uses all that it goes on from. Pages are the pool's:
// reservations come before the cache, which gives up what is needed (PagePool). Owned by one thread.
class ContentCache {
 public:
  static constexpr size_t kMaxCheckpoints = 4096;  // those that share all their pages cost none

  // Holds at most `max_pages` of `pool`, which must outlive this.
  ContentCache(PagePool* pool, uint32_t max_pages);
  ~ContentCache();
  ContentCache(const ContentCache&) = delete;
  ContentCache& operator=(const ContentCache&) = delete;

  // Where checkpoints end, ascending, up to `most`: a search needs no other names.
  std::vector<uint32_t> Ends(uint32_t most) const;
  // Uses a checkpoint; null if there is none of this name. Valid until a checkpoint is added or a page of the pool is
  // taken.
  const CachedPrefix* Find(const ChainKey& name);
  // Holds the pages of a checkpoint, computed from the one named `from`, if that is still here; not if they alone are
  // more than the budget. Of one that is here already, the gathered salience is taken over. REQUIRES: the pages have
  // holders.
  void Add(CachedPrefix prefix, const std::optional<ChainKey>& from);

  uint32_t num_pages() const { return num_pages_; }
  size_t size() const { return by_name_.size(); }

 private:
  struct Node {
    CachedPrefix prefix;
    Node* from;
    uint32_t followers = 0;
    std::list<Node>::iterator self;
  };

  void Use(Node* node);
  bool EvictOne();
  void Hold(const std::vector<PageId>& pages);
  void Release(const std::vector<PageId>& pages);

  PagePool* const pool_;
  const uint32_t max_pages_;
  std::list<Node> nodes_;  // most recently used first; each stands behind the one it goes on from
  std::map<ChainKey, Node*> by_name_;
  std::map<uint32_t, uint32_t> ends_;  // how many checkpoints end there
  std::vector<uint32_t> checkpoints_;  // [pages of the pool] that lie there
  uint32_t num_pages_ = 0;             // with at least one
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KV_CONTENT_CACHE_H_
