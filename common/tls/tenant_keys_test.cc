#include "common/tls/tenant_keys.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// `printf secret | sha256sum`
constexpr char kSecret[] = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

TEST(TenantKeysTest, FindsTheTenantOfAKey) {
  const NewKey first = MakeTenantKey("acme").value();
  const NewKey second = MakeTenantKey("acme").value();
  EXPECT_NE(first.key, second.key);
  const TenantKeys keys =
      *TenantKeys::Parse(absl::StrCat("# ours\n\n", first.line, "  b.org\t", kSecret, "  # old\r\n", second.line));
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys.TenantOf(first.key), "acme");
  EXPECT_EQ(keys.TenantOf(second.key), "acme");
  EXPECT_EQ(keys.TenantOf("secret"), "b.org");
  for (const std::string& wrong : {std::string(""), std::string("Secret"), std::string("secret "), std::string(kSecret),
                                   first.key.substr(1), std::string("secret\0", 7)}) {
    EXPECT_EQ(keys.TenantOf(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(TenantKeys::Parse("")->TenantOf(""), std::nullopt);
}

TEST(TenantKeysTest, ErrorsNameTheLine) {
  for (const std::string& bad :
       {std::string("acme"), absl::StrCat("acme ", kSecret, " more"), absl::StrCat("a,b ", kSecret),
        absl::StrCat("acme ", std::string(64, 'g')), absl::StrCat("acme ", std::string(63, 'a')),
        absl::StrCat(std::string(65, 'a'), " ", kSecret)}) {
    const absl::Status status = TenantKeys::Parse("# a comment\n" + bad + "\n").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(status.message().find("line 2: "), 0u) << status;
  }
  EXPECT_FALSE(MakeTenantKey("a b").ok());
}

}  // namespace
}  // namespace kedge
