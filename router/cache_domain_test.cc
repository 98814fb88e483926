#include "router/cache_domain.h"

#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(CacheDomainTest, EveryPairOfTenantAndSaltHasItsOwn) {
  const std::set<std::string> domains = {CacheDomain("", ""),  CacheDomain("a", ""),  CacheDomain("", "a"),
                                         CacheDomain("b", ""), CacheDomain("a", "b"), CacheDomain("ab", ""),
                                         CacheDomain("", "ab")};
  EXPECT_EQ(domains.size(), 7u);
  EXPECT_EQ(CacheDomain("", ""), "");
  EXPECT_EQ(CacheDomain("acme", "pepper"), CacheDomain("acme", "pepper"));
}

// Python: hashlib.sha256(struct.pack('<Q', 4) + b'acmepepper').hexdigest()
TEST(CacheDomainTest, RoutersOfOneClusterAgree) {
  EXPECT_EQ(absl::BytesToHexString(CacheDomain("acme", "pepper")),
            "9d57fef126a9566b716bfa2074bdbd36641449f533f1b16954cb5882527f55bf");
}

}  // namespace
}  // namespace kedge
