#include "common/tls/certificate.h"

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr absl::Duration kYear = absl::Hours(24 * 365);

CertifiedKey Certified(const CertifiedKey& authority, std::vector<std::string> names,
                       absl::Duration valid = kYear) {
  return MakeCertificate(authority, {.role = MemberRole::kDecode, .names = std::move(names), .valid = valid}).value();
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(CertificateTest, SaysWhatWasOrdered) {
  const CertifiedKey authority = MakeAuthority(kYear).value();
  const CertifiedKey made = Certified(authority, {"decode-1", "10.0.0.7", "[::1]", "host.example.org"});
  const CertificateFacts facts = ReadCertificate(made.certificate).value();
  EXPECT_THAT(facts.names, ElementsAre("decode-1", "host.example.org"));
  EXPECT_THAT(facts.uris, ElementsAre("kedge:role:decode"));
  EXPECT_GT(facts.serial.size(), 20u);
  EXPECT_LT(absl::AbsDuration(facts.not_after - absl::Now() - kYear), absl::Minutes(1));
  EXPECT_TRUE(CheckCertificate(authority.certificate, made.certificate, made.key).ok());
  EXPECT_NE(ReadCertificate(Certified(authority, {"decode-1"}).certificate)->serial, facts.serial);
}

TEST(CertificateTest, KeepsAKeyThatIsGiven) {
  const CertifiedKey authority = MakeAuthority(kYear).value();
  const CertifiedKey first = Certified(authority, {"a"});
  const CertifiedKey next = MakeCertificate(authority, {.names = {"a"}, .valid = kYear, .key = first.key}).value();
  EXPECT_EQ(next.key, first.key);
  EXPECT_NE(next.certificate, first.certificate);
  EXPECT_TRUE(CheckKey(next.certificate, first.key).ok());
}

TEST(CertificateTest, SaysWhatIsWrongWithFiles) {
  const CertifiedKey authority = MakeAuthority(kYear).value();
  const CertifiedKey made = Certified(authority, {"a"});
  EXPECT_THAT(Message(CheckCertificate("", made.certificate, made.key)), StartsWith("ca.pem: "));
  EXPECT_THAT(Message(CheckCertificate(authority.certificate, "no PEM", made.key)), StartsWith("cert.pem: "));
  EXPECT_THAT(Message(CheckCertificate(authority.certificate, made.certificate, "")), StartsWith("key.pem: holds no"));
  EXPECT_THAT(Message(CheckCertificate(authority.certificate, made.certificate, authority.key)),
              StartsWith("key.pem: is not the key"));
  const CertifiedKey other = MakeAuthority(kYear).value();
  EXPECT_THAT(Message(CheckCertificate(other.certificate, made.certificate, made.key)),
              StartsWith("cert.pem: by ca.pem"));
  // Several authorities, the old and the new one: either will do.
  EXPECT_TRUE(CheckCertificate(other.certificate + authority.certificate, made.certificate, made.key).ok());
  const CertifiedKey expired = Certified(authority, {"a"}, -absl::Minutes(1));
  EXPECT_THAT(Message(CheckCertificate(authority.certificate, expired.certificate, expired.key)),
              HasSubstr("certificate has expired"));
}

TEST(CertificateTest, RefusesNamesThatAreNone) {
  const CertifiedKey authority = MakeAuthority(kYear).value();
  for (const std::string& name : {std::string("a,URI:kedge:role:router"), std::string("a b"), std::string(""),
                                  std::string("a\n"), std::string("*.a"), std::string(65, 'a')}) {
    const absl::Status status = MakeCertificate(authority, {.names = {name}, .valid = kYear}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(Message(status), HasSubstr(name));
  }
  EXPECT_FALSE(MakeCertificate(authority, {.names = {}, .valid = kYear}).ok());
  EXPECT_FALSE(MakeCertificate({"", ""}, {.names = {"a"}, .valid = kYear}).ok());
}

TEST(CertificateTest, RolesHaveNames) {
  for (const MemberRole role : kMemberRoles) EXPECT_EQ(ParseMemberRole(MemberRoleName(role)).value(), role);
  EXPECT_THAT(Message(ParseMemberRole("root").status()), HasSubstr("router, prefill, decode or admin"));
}

}  // namespace
}  // namespace kedge
