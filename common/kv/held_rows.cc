// Tested by held_rows_test.cc, with states by common/engine/state_exchange_test.cc.
#include "common/kv/held_rows.h"

#include <algorithm>
#include <iterator>

#include "common/anchor/shared_rows.h"
#include "common/base/check.h"

namespace kedge {

HeldRows::HeldRows(ChainRoot root, uint64_t max_bytes) : root_(std::move(root)), max_bytes_(max_bytes) {}

std::vector<ChainKey> HeldRows::Names(const Content& content) const {
  if (max_bytes_ == 0 || !content.policy.prefill_full) return {};
  const Content shared = SharedContent(content, /*roles_agree=*/false);
  std::vector<uint32_t> ends;
  for (uint32_t end = kNameTokens; end <= shared.ids.size(); end += kNameTokens) ends.push_back(end);
  return NamePrefixes(shared, root_, ends);
}

std::vector<HeldRows::Row> HeldRows::Find(absl::Span<const ChainKey> names) const {
  std::vector<Row> found;
  for (const ChainKey& name : names) {
    for (auto row = rows_.lower_bound({name, 0}); row != rows_.end() && row->first.first == name; ++row) {
      const Place& place = row->second;
      found.push_back({row->first.second, by_frame_.at(place.frame)->frame, place.index});
    }
  }
  return found;
}

void HeldRows::Add(absl::Span<const ChainKey> names, absl::Span<const uint32_t> positions,
                   absl::Span<const uint8_t> rows) {
  std::vector<std::pair<RowName, uint32_t>> added;  // and index
  for (uint32_t i = 0; i < positions.size(); ++i) {
    const uint32_t block = positions[i] / kNameTokens;
    if (block >= names.size()) break;
    RowName name{names[block], positions[i]};
    if (!rows_.contains(name)) added.push_back({std::move(name), i});
  }
  if (added.empty() || rows.size() > max_bytes_) return;
  while (bytes_ + rows.size() > max_bytes_) {
    if (!EvictOne()) return;
  }
  auto frame = std::make_shared<const Frame>(Frame{.bytes = std::vector<uint8_t>(rows.begin(), rows.end()),
                                                   .num_rows = static_cast<uint32_t>(positions.size())});
  bytes_ += rows.size();
  Held& held = frames_.emplace_front(Held{.frame = frame});
  by_frame_[frame.get()] = frames_.begin();
  for (auto& [name, index] : added) {
    held.rows.push_back(rows_.emplace(std::move(name), Place{.frame = frame.get(), .index = index}).first);
  }
}

void HeldRows::Use(const Frame* frame) {
  frames_.splice(frames_.begin(), frames_, by_frame_.at(frame));
}

bool HeldRows::EvictOne() {
  for (auto held = frames_.end(); held != frames_.begin();) {
    --held;
    if (held->frame.use_count() > 1) continue;  // somebody has said that he holds it
    for (const auto& row : held->rows) rows_.erase(row);
    bytes_ -= held->frame->bytes.size();
    by_frame_.erase(held->frame.get());
    frames_.erase(held);
    return true;
  }
  return false;
}

}  // namespace kedge
