// Keys by which clients show whose they are. Only their hashes are stored.
#ifndef KEDGE_COMMON_TLS_TENANT_KEYS_H_
#define KEDGE_COMMON_TLS_TENANT_KEYS_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// A list as a file has it: lines "TENANT SHA-256 in hex"; '#' begins a comment. A tenant may have several keys.
class TenantKeys {
 public:
  // kInvalidArgument names the line.
  static absl::StatusOr<TenantKeys> Parse(absl::string_view text);

  // Whose key it is. The time that it takes says nothing of the stored keys, nor which one it was.
  std::optional<std::string> TenantOf(absl::string_view key) const;
  size_t size() const { return keys_.size(); }

 private:
  using Hash = std::array<uint8_t, 32>;
  struct Entry {
    std::string tenant;
    Hash hash;
  };

  std::vector<Entry> keys_;
};

// 1 to 64 letters, digits, '-', '_', '.'; kInvalidArgument says so.
absl::Status CheckTenant(absl::string_view tenant);

struct NewKey {
  std::string key;   // 256 random bits
  std::string line;  // for the list
};
absl::StatusOr<NewKey> MakeTenantKey(absl::string_view tenant);

}  // namespace kedge

#endif  // KEDGE_COMMON_TLS_TENANT_KEYS_H_
