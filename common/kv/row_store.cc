// Page tables that grow at the end and, for R, shrink at the front; the front of both may be shared. Tested by
// row_store_test.cc.
#include "common/kv/row_store.h"

#include <algorithm>

#include "common/base/check.h"

namespace kedge {

uint32_t PagesNeeded(const RowNeeds& needs) {
  // R of c rows that begins in the last row of a page touches ceil((c + 31) / 32) pages.
  const uint64_t recent = needs.recent == 0 ? 0 : (needs.recent + 2 * kPageRows - 2) / kPageRows;
  const uint64_t kept = (needs.kept + kPageRows - 1) / kPageRows;
  return static_cast<uint32_t>(recent + kept);
}

namespace {

// The part of R[recent_begin, end) in a page that is not full.
uint32_t OpenRecentBegin(const StoredRows& rows) {
  return std::max(rows.recent_begin, rows.end - rows.end % kPageRows);
}

}  // namespace

std::vector<RowRef> RowsOfOpenPages(const StoredRows& rows) {
  std::vector<RowRef> refs;
  for (uint32_t i = OpenRecentBegin(rows); i < rows.end; ++i) {
    refs.push_back({rows.pages.recent.back(), i % kPageRows});
  }
  for (uint32_t i = rows.kept - rows.kept % kPageRows; i < rows.kept; ++i) {
    refs.push_back({rows.pages.kept.back(), i % kPageRows});
  }
  return refs;
}

void RowStore::AddRecent(uint32_t position) {
  const uint32_t page = position / kPageRows;
  if (tables_.recent.empty()) {
    tables_.first_recent_page = page;
    first_recent_ = position;
  }
  const uint32_t index = page - tables_.first_recent_page;
  KEDGE_CHECK(index <= tables_.recent.size());
  if (index == tables_.recent.size()) tables_.recent.push_back(lease_.Take());
}

void RowStore::AddKept(uint32_t index) {
  const uint32_t page = index / kPageRows;
  KEDGE_CHECK(page <= tables_.kept.size());
  if (page == tables_.kept.size()) tables_.kept.push_back(lease_.Take());
}

void RowStore::DropBefore(uint32_t recent_begin) {
  const uint32_t first_page = recent_begin / kPageRows;
  uint32_t drop = 0;
  while (drop < tables_.recent.size() && tables_.first_recent_page + drop < first_page) {
    lease_.GiveBack(tables_.recent[drop++]);
  }
  tables_.recent.erase(tables_.recent.begin(), tables_.recent.begin() + drop);
  tables_.first_recent_page += drop;
}

void RowStore::Clear() {
  for (PageId page : tables_.recent) lease_.GiveBack(page);
  for (PageId page : tables_.kept) lease_.GiveBack(page);
  tables_ = PageTables();
}

std::optional<StoredRows> RowStore::Stored(uint32_t end, uint32_t recent_begin, uint32_t kept) const {
  StoredRows rows{.end = end, .recent_begin = recent_begin, .kept = kept};
  if (recent_begin < end) {
    const uint32_t first = recent_begin / kPageRows, last = (end - 1) / kPageRows;
    if (tables_.recent.empty() || first < tables_.first_recent_page || recent_begin < first_recent_) {
      return std::nullopt;
    }
    KEDGE_CHECK(last - tables_.first_recent_page < tables_.recent.size());
    rows.pages.first_recent_page = first;
    const auto begin = tables_.recent.begin() + (first - tables_.first_recent_page);
    rows.pages.recent.assign(begin, begin + (last - first + 1));
  }
  const uint32_t kept_pages = (kept + kPageRows - 1) / kPageRows;
  KEDGE_CHECK(kept_pages <= tables_.kept.size());
  rows.pages.kept.assign(tables_.kept.begin(), tables_.kept.begin() + kept_pages);
  return rows;
}

std::vector<RowRef> RowStore::Adopt(const StoredRows& rows) {
  KEDGE_CHECK(tables_.recent.empty() && tables_.kept.empty());
  const uint32_t open_begin = OpenRecentBegin(rows);
  tables_ = rows.pages;
  if (open_begin < rows.end) tables_.recent.pop_back();
  if (rows.kept % kPageRows != 0) tables_.kept.pop_back();
  first_recent_ = rows.recent_begin;
  // All that is shared is held before a page is taken, which may cost the cache the rest.
  for (PageId page : tables_.recent) lease_.Share(page);
  for (PageId page : tables_.kept) lease_.Share(page);
  std::vector<RowRef> refs;
  for (uint32_t i = open_begin; i < rows.end; ++i) {
    AddRecent(i);
    refs.push_back(RecentRow(i));
  }
  for (uint32_t i = rows.kept - rows.kept % kPageRows; i < rows.kept; ++i) {
    AddKept(i);
    refs.push_back(KeptRow(i));
  }
  return refs;
}

RowRef RowStore::RecentRow(uint32_t position) const {
  const uint32_t index = position / kPageRows - tables_.first_recent_page;
  KEDGE_CHECK(index < tables_.recent.size());
  return {tables_.recent[index], position % kPageRows};
}

RowRef RowStore::KeptRow(uint32_t index) const {
  KEDGE_CHECK(index / kPageRows < tables_.kept.size());
  return {tables_.kept[index / kPageRows], index % kPageRows};
}

}  // namespace kedge
