// Names of content: a hash chain over a request's tokens. Two states with the same name have the same rows.
//
// k0 = SHA-256(format version, model fingerprint, canonical policy, KV type, numerics class, cache domain);
// k(i) = SHA-256(k(i-1), count, ids as u32 LE, pinned bits, marked bits, role bits): one link per closed sequence,
// and one per 256 tokens where nothing closes. The byte layout stands in FORMAT.md. Nodes compute chains from ids and
// never trust a given one.
#ifndef KEDGE_COMMON_ANCHOR_CHAIN_H_
#define KEDGE_COMMON_ANCHOR_CHAIN_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/anchor/policy.h"

namespace kedge {

using ChainKey = std::array<uint8_t, 32>;

struct ChainRoot {
  std::string fingerprint;  // ModelFingerprint
  std::string canonical_policy;
  std::string kv_type;  // "f16"
  std::string numerics_class;
  std::string cache_domain;  // Content::cache_domain
};

ChainKey RootKey(const ChainRoot& root);

// What a token's place in the request says of its row, beside its id.
struct RowBits {
  bool pinned = false;
  bool marked = false;  // never acts as an anchor; under `anchors=text`: closes a sequence
  friend bool operator==(const RowBits&, const RowBits&) = default;
};

// Owned by one thread. Copyable.
class Chain {
 public:
  static constexpr uint32_t kLinkTokens = 256;  // a link closes at the latest after so many tokens

  explicit Chain(const ChainKey& root);

  // Takes the next token. `closes`: RowRule::closes.
  void Add(uint32_t token, RowBits bits, bool closes);

  // The name of all tokens so far: the last link, and the open rest hashed as if it closed here.
  ChainKey Key() const;
  // Closed links so far, oldest first, with the number of tokens up to and including each.
  struct Link {
    ChainKey key;
    uint32_t tokens;
  };
  const std::vector<Link>& links() const { return links_; }

 private:
  ChainKey last_;
  uint32_t tokens_ = 0;
  std::vector<uint32_t> open_ids_;
  std::vector<RowBits> open_bits_;
  std::vector<Link> links_;
};

std::string ToHex(absl::Span<const uint8_t> bytes);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_CHAIN_H_
