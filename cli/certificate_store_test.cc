#include "cli/certificate_store.h"

#include <sys/stat.h>

#include <filesystem>

#include "common/base/watched_file.h"
#include "common/tls/revocations.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kYear = absl::Hours(24 * 365);

class CertificateStoreTest : public testing::Test {
 protected:
  CertificateStoreTest() { std::filesystem::remove_all(root_); }

  std::string Read(const std::string& path) const { return ReadSmallFile(root_ + "/" + path).value(); }
  CertificateFacts Facts(const std::string& name) const { return ReadCertificate(Read(name + "/cert.pem")).value(); }
  absl::Status Check(const std::string& name) const {
    return CheckCertificate(Read(name + "/ca.pem"), Read(name + "/cert.pem"), Read(name + "/key.pem"));
  }
  mode_t Mode(const std::string& path) const {
    struct stat found {};
    EXPECT_EQ(stat((root_ + path).c_str(), &found), 0) << path;
    return found.st_mode & 0777;
  }

  const std::string root_ = testing::TempDir() + "/certificate_store";
};

TEST_F(CertificateStoreTest, MakesWhatAProcessNeedsForItsUserAlone) {
  const CertificateStore store = CertificateStore::Open(root_).value();
  EXPECT_EQ(store.Issue(MemberRole::kDecode, {"decode-1", "10.0.0.7"}, kYear).value(), root_ + "/decode-1");
  EXPECT_TRUE(Check("decode-1").ok()) << Check("decode-1");
  EXPECT_THAT(Facts("decode-1").uris, testing::ElementsAre("kedge:role:decode"));
  EXPECT_EQ(Mode(""), 0700u);
  EXPECT_EQ(Mode("/decode-1"), 0700u);
  for (const char* file : {"/ca.pem", "/ca-key.pem", "/decode-1/ca.pem", "/decode-1/cert.pem", "/decode-1/key.pem",
                           "/decode-1/revoked"}) {
    EXPECT_EQ(Mode(file), 0600u) << file;
  }
}

TEST_F(CertificateStoreTest, RenewsWithTheSameAuthorityAndKey) {
  ASSERT_TRUE(CertificateStore::Open(root_)->Issue(MemberRole::kRouter, {"a"}, kYear).ok());
  const std::string authority = Read("a/ca.pem");
  const std::string key = Read("a/key.pem");
  const std::string serial = Facts("a").serial;
  ASSERT_TRUE(CertificateStore::Open(root_)->Issue(MemberRole::kRouter, {"a"}, kYear).ok());
  EXPECT_EQ(Read("a/ca.pem"), authority);
  EXPECT_EQ(Read("a/key.pem"), key);
  EXPECT_NE(Facts("a").serial, serial);
  EXPECT_TRUE(Check("a").ok());
}

TEST_F(CertificateStoreTest, RevokesInAllFoldersAndThenMakesANewKey) {
  const CertificateStore store = CertificateStore::Open(root_).value();
  for (const char* name : {"a", "b"}) ASSERT_TRUE(store.Issue(MemberRole::kDecode, {name}, kYear).ok());
  const std::string key = Read("a/key.pem");
  const CertificateFacts old = Facts("a");
  ASSERT_TRUE(store.Revoke("a").ok());
  ASSERT_TRUE(store.Revoke("a").ok());
  for (const char* list : {"revoked", "a/revoked", "b/revoked"}) {
    EXPECT_EQ(Read(list), old.serial + "  # a\n");
    EXPECT_TRUE(Revocations(Read(list)).Has(old.serial, {}));
  }
  ASSERT_TRUE(store.Issue(MemberRole::kDecode, {"a"}, kYear).ok());
  EXPECT_NE(Read("a/key.pem"), key);
  EXPECT_TRUE(Check("a").ok());
  EXPECT_FALSE(Revocations(Read("b/revoked")).Has(Facts("a").serial, Facts("a").names));
  ASSERT_TRUE(store.Issue(MemberRole::kPrefill, {"c"}, kYear).ok());
  EXPECT_EQ(Read("c/revoked"), Read("revoked"));
}

TEST_F(CertificateStoreTest, ReplacesNoAuthorityAndLeavesNoDirectory) {
  const CertificateStore store = CertificateStore::Open(root_).value();
  EXPECT_EQ(store.Revoke("nobody").code(), absl::StatusCode::kNotFound);
  for (const char* name : {"../a", ".", "a/b", "", "revoked"}) {
    EXPECT_EQ(store.Issue(MemberRole::kDecode, {name}, kYear).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(store.Revoke(name).code(), absl::StatusCode::kInvalidArgument) << name;
  }
  std::filesystem::remove(root_ + "/ca-key.pem");
  const absl::Status half = CertificateStore::Open(root_).status();
  EXPECT_THAT(std::string(half.message()), HasSubstr("ca-key.pem: No such file"));
}

}  // namespace
}  // namespace kedge
