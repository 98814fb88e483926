// Who holds which pages of KV memory: counting and ids alone, the memory belongs to the device.
//
// Requests reserve before rows come, so what they will hold is a number of pages first and becomes pages as they come.
// A page may have several holders: requests that share the rows of a beginning, and the cache. Reservations count as
// if nothing were shared, and the cache takes none: it lives in what is not reserved or not used yet, and gives pages
// up when a request takes one and none is free.
#ifndef KEDGE_COMMON_KV_PAGE_POOL_H_
#define KEDGE_COMMON_KV_PAGE_POOL_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/kernels/step.h"  // PageId

namespace kedge {

class PageLease;

// All pages of one device. Owned by one thread; must outlive its leases and whoever holds pages.
class PagePool {
 public:
  explicit PagePool(uint32_t num_pages);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Sets `pages` pages apart. kResourceExhausted, with none taken, while fewer are free; the message says how many.
  absl::StatusOr<PageLease> Reserve(uint32_t pages);

  uint32_t num_pages() const { return num_pages_; }
  // Pages that are not reserved.
  uint32_t num_free() const { return num_pages_ - reserved_; }

  // --- For the cache ---
  // One more holder of a page. REQUIRES: it has one.
  void Hold(PageId page);
  // One holder less; without any, the page is free.
  void Release(PageId page);
  // Called when a page is to be taken and none is free: gives some hold up, and returns false if there is none left.
  void set_reclaim(std::function<bool()> reclaim) { reclaim_ = std::move(reclaim); }

 private:
  friend class PageLease;
  PageId TakeFree();

  const uint32_t num_pages_;
  uint32_t reserved_ = 0;
  std::vector<PageId> free_;       // nobody holds them
  std::vector<uint32_t> holders_;  // [num_pages]
  std::function<bool()> reclaim_;
};

// Pages set apart for one request, given back when it dies. Steps run in order, so a page may be handed out again at
// once: whoever writes it next does so after the last step that read it. Owned by one thread. Move-only.
class PageLease {
 public:
  PageLease() = default;
  PageLease(PageLease&& other) noexcept { *this = std::move(other); }
  PageLease& operator=(PageLease&& other) noexcept;
  // REQUIRES: every page was given back.
  ~PageLease() { End(); }

  // A page that nobody holds. REQUIRES: num_unused() > 0 (reservations are upper bounds).
  PageId Take();
  // Holds a page that somebody holds already. REQUIRES: num_unused() > 0.
  void Share(PageId page);
  // Ends the hold on a page; the lease may take another one for it. REQUIRES: taken or shared by this lease.
  void GiveBack(PageId page);

  // Sets `pages` more apart. REQUIRES: the lease is of a pool, and so many are free there.
  void Grow(uint32_t pages);

  uint32_t num_pages() const { return num_pages_; }
  uint32_t num_unused() const { return num_pages_ - held_; }

 private:
  friend class PagePool;
  PageLease(PagePool* pool, uint32_t pages) : pool_(pool), num_pages_(pages) {}
  void End();

  PagePool* pool_ = nullptr;
  uint32_t num_pages_ = 0;
  uint32_t held_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KV_PAGE_POOL_H_
