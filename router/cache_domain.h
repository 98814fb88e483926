// With whose rows a request's rows may be shared.
#ifndef KEDGE_ROUTER_CACHE_DOMAIN_H_
#define KEDGE_ROUTER_CACHE_DOMAIN_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace kedge {

inline constexpr size_t kMaxCacheSalt = 256;  // bytes

// Content::cache_domain of requests of this tenant with this salt (CacheOptions.cache_salt): two requests may use each
// other's rows only if both are the same. "" where both are empty, else a hash of 32 bytes: nodes learn neither.
std::string CacheDomain(absl::string_view tenant, absl::string_view cache_salt);

}  // namespace kedge

#endif  // KEDGE_ROUTER_CACHE_DOMAIN_H_
