// The hash chain of FORMAT.md, section 2. What is hashed is laid out in a string first and hashed in one call: links
// are short, and the layout can be read off the code. Tested by chain_test.cc.
#include "common/anchor/chain.h"

#include "absl/strings/escaping.h"
#include "common/base/sha256.h"

namespace kedge {
namespace {

constexpr uint32_t kChainFormatVersion = 3;

void AppendU32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

void AppendString(absl::string_view text, std::string* out) {
  AppendU32(static_cast<uint32_t>(text.size()), out);
  out->append(text.data(), text.size());
}

void AppendBits(const std::vector<RowBits>& bits, bool RowBits::*field, std::string* out) {
  const size_t begin = out->size();
  out->resize(begin + (bits.size() + 7) / 8);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (bits[i].*field) (*out)[begin + i / 8] |= static_cast<char>(1 << (i % 8));
  }
}

ChainKey LinkKey(const ChainKey& previous, const std::vector<uint32_t>& ids, const std::vector<RowBits>& bits) {
  std::string bytes(previous.begin(), previous.end());
  AppendU32(static_cast<uint32_t>(ids.size()), &bytes);
  for (uint32_t id : ids) AppendU32(id, &bytes);
  AppendBits(bits, &RowBits::pinned, &bytes);
  AppendBits(bits, &RowBits::marked, &bytes);
  return Sha256(bytes);
}

}  // namespace

ChainKey RootKey(const ChainRoot& root) {
  std::string bytes;
  AppendU32(kChainFormatVersion, &bytes);
  AppendString(root.fingerprint, &bytes);
  AppendString(root.canonical_policy, &bytes);
  AppendString(root.kv_type, &bytes);
  AppendString(root.numerics_class, &bytes);
  AppendString(root.cache_domain, &bytes);
  return Sha256(bytes);
}

Chain::Chain(const ChainKey& root) : last_(root) {}

void Chain::Add(uint32_t token, RowBits bits, bool closes) {
  open_ids_.push_back(token);
  open_bits_.push_back(bits);
  ++tokens_;
  if (!closes && open_ids_.size() < kLinkTokens) return;
  last_ = LinkKey(last_, open_ids_, open_bits_);
  links_.push_back({last_, tokens_});
  open_ids_.clear();
  open_bits_.clear();
}

ChainKey Chain::Key() const { return open_ids_.empty() ? last_ : LinkKey(last_, open_ids_, open_bits_); }

std::string ToHex(absl::Span<const uint8_t> bytes) {
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace kedge
