// Tested by prefix_memory_test.cc.
#include "router/prefix_memory.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"

namespace kedge {

std::vector<uint64_t> PrefixHashes(const std::string& policy, const std::string& cache_domain,
                                   absl::Span<const uint32_t> ids) {
  std::vector<uint64_t> prefixes;
  uint64_t hash = absl::HashOf(policy, cache_domain);
  for (size_t begin = 0; begin + kPrefixBlock <= ids.size(); begin += kPrefixBlock) {
    hash = absl::HashOf(hash, ids.subspan(begin, kPrefixBlock));
    prefixes.push_back(hash);
  }
  return prefixes;
}

void PrefixMemory::Note(absl::Span<const uint64_t> prefixes, uint64_t registration) {
  absl::MutexLock lock(&mutex_);
  // The longest first, so that what more texts share is forgotten later.
  for (size_t i = prefixes.size(); i-- > 0;) {
    const auto found = by_prefix_.find(prefixes[i]);
    if (found == by_prefix_.end()) {
      entries_.push_front({.prefix = prefixes[i]});
      by_prefix_[prefixes[i]] = entries_.begin();
    } else {
      entries_.splice(entries_.begin(), entries_, found->second);
    }
    std::vector<uint64_t>& registrations = entries_.front().registrations;
    std::erase(registrations, registration);
    registrations.insert(registrations.begin(), registration);
    if (registrations.size() > kMaxNodes) registrations.pop_back();
  }
  while (entries_.size() > max_prefixes_) {
    by_prefix_.erase(entries_.back().prefix);
    entries_.pop_back();
  }
}

std::vector<HeldPrefix> PrefixMemory::Find(absl::Span<const uint64_t> prefixes) const {
  std::vector<HeldPrefix> held;
  absl::MutexLock lock(&mutex_);
  for (uint32_t blocks = static_cast<uint32_t>(prefixes.size()); blocks > 0; --blocks) {
    const auto found = by_prefix_.find(prefixes[blocks - 1]);
    if (found == by_prefix_.end()) continue;
    for (uint64_t registration : found->second->registrations) {
      const bool known = std::any_of(held.begin(), held.end(),
                                     [&](const HeldPrefix& node) { return node.registration == registration; });
      if (!known) held.push_back({.registration = registration, .tokens = blocks * kPrefixBlock});
    }
  }
  return held;
}

}  // namespace kedge
