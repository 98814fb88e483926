// The rows of one request: R, the recent ones, and K, the kept ones, as lists of pages.
#ifndef KEDGE_COMMON_KV_ROW_STORE_H_
#define KEDGE_COMMON_KV_ROW_STORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/anchor/tracker.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"

namespace kedge {

// Pages that hold at most `needs` at any time, wherever R begins within a page.
uint32_t PagesNeeded(const RowNeeds& needs);

// State(end), and every row of K before it, in the pages that hold them.
struct StoredRows {
  uint32_t end = 0;
  uint32_t recent_begin = 0;  // R[recent_begin, end)
  uint32_t kept = 0;          // K[0, kept)
  PageTables pages;
};

// Rows of the last page of R and of K where that page is not full: what RowStore::Adopt makes room for.
std::vector<RowRef> RowsOfOpenPages(const StoredRows& rows);

// R drops whole pages from its front as rows go out of sight; K only grows. A row stays as it was written until its
// page is free, so others may share pages of which rows are still to come: they go on in a copy. Owned by one thread.
class RowStore {
 public:
  // `lease` covers PagesNeeded of the request.
  explicit RowStore(PageLease lease) : lease_(std::move(lease)) {}
  RowStore(const RowStore&) = delete;
  RowStore& operator=(const RowStore&) = delete;
  ~RowStore() { Clear(); }

  // Makes room for a row in R. Rows come in ascending order of position; the first one may have any (a state that was
  // received begins at its recent span).
  void AddRecent(uint32_t position);
  // Makes room for a row in K. Rows come in ascending order of index, from 0.
  void AddKept(uint32_t index);

  // No row before `recent_begin` will be read in R again: gives its whole pages back to the lease.
  void DropBefore(uint32_t recent_begin);
  // Gives all rows up; the lease stays.
  void Clear();
  // Makes the lease cover so many pages more (PageLease::Grow).
  void Grow(uint32_t pages) { lease_.Grow(pages); }

  // The pages of R[recent_begin, end) and K[0, kept); nullopt if rows of R were dropped, or never came. REQUIRES: those
  // from the first that came up to `end`, and of K all, came.
  std::optional<StoredRows> Stored(uint32_t end, uint32_t recent_begin, uint32_t kept) const;
  // Goes on behind rows that somebody holds: shares their full pages, and takes pages for the rows of those that are
  // not full. Returns where these are to be copied, in the order of RowsOfOpenPages. Pages that only the cache holds
  // may be free afterwards, or taken by this: copy out of them before anything else is written. REQUIRES: there are no
  // rows yet.
  std::vector<RowRef> Adopt(const StoredRows& rows);

  // REQUIRES: the row is there.
  RowRef RecentRow(uint32_t position) const;
  RowRef KeptRow(uint32_t index) const;

  const PageTables& tables() const { return tables_; }
  size_t num_pages() const { return tables_.recent.size() + tables_.kept.size(); }

 private:
  PageLease lease_;
  PageTables tables_;
  uint32_t first_recent_ = 0;  // the first row of R that came, dropped or not
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KV_ROW_STORE_H_
