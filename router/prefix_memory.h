// Which nodes were sent which beginnings of texts lately.
#ifndef KEDGE_ROUTER_PREFIX_MEMORY_H_
#define KEDGE_ROUTER_PREFIX_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "router/placement_policy.h"  // HeldPrefix

namespace kedge {

// A hash for each beginning of kPrefixBlock tokens, twice as many, and so on. Rows of one policy, and of one cache
// domain, serve no other one.
inline constexpr uint32_t kPrefixBlock = 64;
std::vector<uint64_t> PrefixHashes(const std::string& policy, const std::string& cache_domain,
                                   absl::Span<const uint32_t> ids);

// A hint for placement, and no promise: nodes evict and restart as they like, and hashes of this process may collide.
// Forgets what was used least. Thread-safe.
class PrefixMemory {
 public:
  explicit PrefixMemory(size_t max_prefixes = 1 << 16) : max_prefixes_(max_prefixes) {}

  // The node has, or is about to have, rows of the text of these hashes.
  void Note(absl::Span<const uint64_t> prefixes, uint64_t registration) ABSL_LOCKS_EXCLUDED(mutex_);
  // The nodes that have rows of a text that begins alike, each with the longest beginning.
  std::vector<HeldPrefix> Find(absl::Span<const uint64_t> prefixes) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr size_t kMaxNodes = 8;  // of one prefix: the latest
  struct Entry {
    uint64_t prefix;
    std::vector<uint64_t> registrations;  // latest first
  };

  const size_t max_prefixes_;
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // latest first
  std::unordered_map<uint64_t, std::list<Entry>::iterator> by_prefix_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_PREFIX_MEMORY_H_
