// Who holds which pages of KV memory: counting and ids alone, the memory belongs to the device.
#ifndef KEDGE_COMMON_KV_PAGE_POOL_H_
#define KEDGE_COMMON_KV_PAGE_POOL_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/kernels/step.h"  // PageId

namespace kedge {

class PageLease;

// All pages of one device. Owned by one thread; must outlive its leases.
class PagePool {
 public:
  explicit PagePool(uint32_t num_pages);
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Sets `pages` pages apart. kResourceExhausted, with none taken, while fewer are free; the message says how many.
  absl::StatusOr<PageLease> Reserve(uint32_t pages);

  uint32_t num_pages() const { return num_pages_; }
  uint32_t num_free() const { return static_cast<uint32_t>(free_.size()); }

 private:
  friend class PageLease;
  const uint32_t num_pages_;
  std::vector<PageId> free_;
};

// Pages set apart for one request, given back when it dies. Steps run in order, so a page may be handed out again at
// once: whoever writes it next does so after the last step that read it. Owned by one thread. Move-only.
class PageLease {
 public:
  PageLease() = default;
  PageLease(PageLease&& other) noexcept { *this = std::move(other); }
  PageLease& operator=(PageLease&& other) noexcept;
  ~PageLease() { Release(); }

  // A page out of the lease. REQUIRES: num_unused() > 0 (reservations are upper bounds).
  PageId Take();
  // Puts a page back into the lease, not into the pool. REQUIRES: taken from this lease.
  void GiveBack(PageId page) { unused_.push_back(page); }

  uint32_t num_pages() const { return num_pages_; }
  uint32_t num_unused() const { return static_cast<uint32_t>(unused_.size()); }

 private:
  friend class PagePool;
  PageLease(PagePool* pool, std::vector<PageId> pages);
  void Release();

  PagePool* pool_ = nullptr;
  uint32_t num_pages_ = 0;
  std::vector<PageId> all_;
  std::vector<PageId> unused_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KV_PAGE_POOL_H_
