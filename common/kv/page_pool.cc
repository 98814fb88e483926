// A free list. Tested by page_pool_test.cc.
#include "common/kv/page_pool.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {

PagePool::PagePool(uint32_t num_pages) : num_pages_(num_pages) {
  free_.reserve(num_pages);
  for (PageId page = num_pages; page > 0; --page) free_.push_back(page - 1);
}

absl::StatusOr<PageLease> PagePool::Reserve(uint32_t pages) {
  if (pages > free_.size()) {
    return absl::ResourceExhaustedError(absl::StrCat("KV memory: ", uint64_t{pages} * kPageRows, " rows are needed, ",
                                                     free_.size() * kPageRows, " of ", uint64_t{num_pages_} * kPageRows,
                                                     " are free"));
  }
  std::vector<PageId> taken(free_.end() - pages, free_.end());
  free_.resize(free_.size() - pages);
  return PageLease(this, std::move(taken));
}

PageLease::PageLease(PagePool* pool, std::vector<PageId> pages)
    : pool_(pool), num_pages_(static_cast<uint32_t>(pages.size())), all_(pages), unused_(std::move(pages)) {}

PageLease& PageLease::operator=(PageLease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  pool_ = std::exchange(other.pool_, nullptr);
  num_pages_ = std::exchange(other.num_pages_, 0);
  all_ = std::exchange(other.all_, {});
  unused_ = std::exchange(other.unused_, {});
  return *this;
}

PageId PageLease::Take() {
  KEDGE_CHECK(!unused_.empty());
  const PageId page = unused_.back();
  unused_.pop_back();
  return page;
}

void PageLease::Release() {
  if (pool_ == nullptr) return;
  pool_->free_.insert(pool_->free_.end(), all_.begin(), all_.end());
  pool_ = nullptr;
}

}  // namespace kedge
