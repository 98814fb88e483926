// One list in order of use. Whoever is used moves to the front, then what it goes on from, and so on: so a checkpoint
// always stands before those that go on from it, and the last of the list is a leaf. Tested by content_cache_test.cc.
#include "common/kv/content_cache.h"

#include <utility>

#include "common/base/check.h"

namespace kedge {

ContentCache::ContentCache(PagePool* pool, uint32_t max_pages)
    : pool_(pool), max_pages_(max_pages), checkpoints_(pool->num_pages()) {
  pool_->set_reclaim([this] { return EvictOne(); });
}

ContentCache::~ContentCache() {
  while (EvictOne()) {
  }
  pool_->set_reclaim(nullptr);
}

std::vector<uint32_t> ContentCache::Ends(uint32_t most) const {
  std::vector<uint32_t> ends;
  for (auto it = ends_.begin(); it != ends_.end() && it->first <= most; ++it) ends.push_back(it->first);
  return ends;
}

void ContentCache::Use(Node* node) {
  for (; node != nullptr; node = node->from) nodes_.splice(nodes_.begin(), nodes_, node->self);
}

const CachedPrefix* ContentCache::Find(const ChainKey& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return nullptr;
  Use(found->second);
  return &found->second->prefix;
}

void ContentCache::Add(CachedPrefix prefix, const std::optional<ChainKey>& from) {
  if (const auto found = by_name_.find(prefix.name); found != by_name_.end()) {
    if (prefix.gathered != nullptr) found->second->prefix.gathered = std::move(prefix.gathered);
    return Use(found->second);
  }
  const PageTables& pages = prefix.rows.pages;
  if (pages.recent.size() + pages.kept.size() > max_pages_) return;
  const auto earlier = from.has_value() ? by_name_.find(*from) : by_name_.end();
  Node* const parent = earlier != by_name_.end() ? earlier->second : nullptr;
  Hold(pages.recent);
  Hold(pages.kept);
  Node& node = nodes_.emplace_front(Node{.prefix = std::move(prefix), .from = parent});
  node.self = nodes_.begin();
  if (parent != nullptr) ++parent->followers;
  by_name_.emplace(node.prefix.name, &node);
  ++ends_[node.prefix.rows.end];
  Use(&node);
  while (num_pages_ > max_pages_ || nodes_.size() > kMaxCheckpoints) EvictOne();
}

bool ContentCache::EvictOne() {
  if (nodes_.empty()) return false;
  Node& node = nodes_.back();
  KEDGE_CHECK(node.followers == 0);
  if (node.from != nullptr) --node.from->followers;
  Release(node.prefix.rows.pages.recent);
  Release(node.prefix.rows.pages.kept);
  const auto end = ends_.find(node.prefix.rows.end);
  if (--end->second == 0) ends_.erase(end);
  by_name_.erase(node.prefix.name);
  nodes_.pop_back();
  return true;
}

void ContentCache::Hold(const std::vector<PageId>& pages) {
  for (PageId page : pages) {
    if (checkpoints_[page]++ > 0) continue;
    pool_->Hold(page);
    ++num_pages_;
  }
}

void ContentCache::Release(const std::vector<PageId>& pages) {
  for (PageId page : pages) {
    if (--checkpoints_[page] > 0) continue;
    pool_->Release(page);
    --num_pages_;
  }
}

}  // namespace kedge
