// The rows of one request: R, the recent ones, and K, the kept ones, as lists of pages.
#ifndef KEDGE_COMMON_KV_ROW_STORE_H_
#define KEDGE_COMMON_KV_ROW_STORE_H_

#include <cstdint>
#include <vector>

#include "common/anchor/tracker.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"

namespace kedge {

// Pages that hold at most `needs` at any time, wherever R begins within a page.
uint32_t PagesNeeded(const RowNeeds& needs);

// R drops whole pages from its front as rows go out of sight; K only grows. Owned by one thread.
class RowStore {
 public:
  // `lease` covers PagesNeeded of the request.
  explicit RowStore(PageLease lease) : lease_(std::move(lease)) {}

  // Makes room for a row in R. Rows come in ascending order of position; the first one may have any (a state that was
  // received begins at its recent span).
  void AddRecent(uint32_t position);
  // Makes room for a row in K. Rows come in ascending order of index, from 0.
  void AddKept(uint32_t index);

  // No row before `recent_begin` will be read in R again: gives its whole pages back to the lease.
  void DropBefore(uint32_t recent_begin);
  // Gives all rows up; the lease stays.
  void Clear();

  // REQUIRES: the row is there.
  RowRef RecentRow(uint32_t position) const;
  RowRef KeptRow(uint32_t index) const;

  const PageTables& tables() const { return tables_; }

 private:
  PageLease lease_;
  PageTables tables_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KV_ROW_STORE_H_
