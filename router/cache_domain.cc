// SHA-256 over the tenant's length, 8 bytes little-endian, the tenant and the salt. Tested by cache_domain_test.cc.
#include "router/cache_domain.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"

namespace kedge {

std::string CacheDomain(absl::string_view tenant, absl::string_view cache_salt) {
  if (tenant.empty() && cache_salt.empty()) return "";
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(uint64_t{tenant.size()} >> shift));
  absl::StrAppend(&bytes, tenant, cache_salt);
  const auto hash = Sha256(bytes);
  return std::string(hash.begin(), hash.end());
}

}  // namespace kedge
