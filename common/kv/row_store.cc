// Page tables that grow at the end and, for R, shrink at the front. Tested by row_store_test.cc.
#include "common/kv/row_store.h"

#include "common/base/check.h"

namespace kedge {

uint32_t PagesNeeded(const RowNeeds& needs) {
  // R of c rows that begins in the last row of a page touches ceil((c + 31) / 32) pages.
  const uint64_t recent = needs.recent == 0 ? 0 : (needs.recent + 2 * kPageRows - 2) / kPageRows;
  const uint64_t kept = (needs.kept + kPageRows - 1) / kPageRows;
  return static_cast<uint32_t>(recent + kept);
}

void RowStore::AddRecent(uint32_t position) {
  const uint32_t page = position / kPageRows;
  if (tables_.recent.empty()) tables_.first_recent_page = page;
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
