// A free list, a count of holders for each page, and one sum: what leases hold is at most what they reserved, and that
// is at most all pages. So whoever may still take a page finds one that is free or held by the cache alone.
// Tested by page_pool_test.cc.
#include "common/kv/page_pool.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {

PagePool::PagePool(uint32_t num_pages) : num_pages_(num_pages), holders_(num_pages) {
  free_.reserve(num_pages);
  for (PageId page = num_pages; page > 0; --page) free_.push_back(page - 1);
}

PagePool::~PagePool() { KEDGE_CHECK(free_.size() == num_pages_ && reserved_ == 0); }

absl::StatusOr<PageLease> PagePool::Reserve(uint32_t pages) {
  if (pages > num_free()) {
    return absl::ResourceExhaustedError(absl::StrCat("KV memory: ", uint64_t{pages} * kPageRows, " rows are needed, ",
                                                     uint64_t{num_free()} * kPageRows, " of ",
                                                     uint64_t{num_pages_} * kPageRows, " are free"));
  }
  reserved_ += pages;
  return PageLease(this, pages);
}

PageId PagePool::TakeFree() {
  while (free_.empty()) KEDGE_CHECK(reclaim_ != nullptr && reclaim_());
  const PageId page = free_.back();
  free_.pop_back();
  holders_[page] = 1;
  return page;
}

void PagePool::Hold(PageId page) {
  KEDGE_CHECK(holders_[page] > 0);
  ++holders_[page];
}

void PagePool::Release(PageId page) {
  KEDGE_CHECK(holders_[page] > 0);
  if (--holders_[page] == 0) free_.push_back(page);
}

PageLease& PageLease::operator=(PageLease&& other) noexcept {
  if (this == &other) return *this;
  End();
  pool_ = std::exchange(other.pool_, nullptr);
  num_pages_ = std::exchange(other.num_pages_, 0);
  held_ = std::exchange(other.held_, 0);
  return *this;
}

PageId PageLease::Take() {
  KEDGE_CHECK(num_unused() > 0);
  ++held_;
  return pool_->TakeFree();
}

void PageLease::Share(PageId page) {
  KEDGE_CHECK(num_unused() > 0);
  ++held_;
  pool_->Hold(page);
}

void PageLease::GiveBack(PageId page) {
  KEDGE_CHECK(held_ > 0);
  --held_;
  pool_->Release(page);
}

void PageLease::Grow(uint32_t pages) {
  KEDGE_CHECK(pages <= pool_->num_free());
  pool_->reserved_ += pages;
  num_pages_ += pages;
}

void PageLease::End() {
  KEDGE_CHECK(held_ == 0);
  if (pool_ != nullptr) pool_->reserved_ -= num_pages_;
  pool_ = nullptr;
}

}  // namespace kedge
