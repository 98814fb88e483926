// SHA-256 over the tenant's length, 8 bytes little-endian, the tenant and the salt. Tested by cache_domain_test.cc.
#include "router/cache_domain.h"

#include <openssl/evp.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {

std::string CacheDomain(absl::string_view tenant, absl::string_view cache_salt) {
  if (tenant.empty() && cache_salt.empty()) return "";
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(uint64_t{tenant.size()} >> shift));
  absl::StrAppend(&bytes, tenant, cache_salt);
  std::string domain(32, '\0');
  unsigned int size = 0;
  KEDGE_CHECK(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(domain.data()), &size,
                         EVP_sha256(), nullptr) == 1);
  KEDGE_CHECK(size == domain.size());
  return domain;
}

}  // namespace kedge
