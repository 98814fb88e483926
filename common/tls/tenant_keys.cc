// Keys are random, 256 bits, so one round of SHA-256 is enough: there is nothing to guess.
//
// Tested by tenant_keys_test.cc.
#include "common/tls/tenant_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/of_field.h"
#include "common/base/sha256.h"
#include "common/base/status.h"

namespace kedge {

absl::Status CheckTenant(absl::string_view tenant) {
  constexpr size_t kLongest = 64;
  const bool is_name = std::all_of(tenant.begin(), tenant.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!tenant.empty() && tenant.size() <= kLongest && is_name) return absl::OkStatus();
  return absl::InvalidArgumentError("a tenant's name has 1 to 64 letters, digits, '-', '_', '.'");
}

absl::StatusOr<TenantKeys> TenantKeys::Parse(absl::string_view text) {
  TenantKeys keys;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::string place = absl::StrCat("line ", ++number);
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (const absl::Status status = CheckTenant(words.front()); !status.ok()) return OfField(place, status);
    const bool is_hash = words.size() == 2 && words[1].size() == 2 * std::tuple_size_v<Hash> &&
                         std::all_of(words[1].begin(), words[1].end(), absl::ascii_isxdigit);
    if (!is_hash) return absl::InvalidArgumentError(absl::StrCat(place, ": is not TENANT and a key's SHA-256 in hex"));
    const std::string bytes = absl::HexStringToBytes(words[1]);
    Entry& entry = keys.keys_.emplace_back(Entry{std::string(words[0])});
    std::copy(bytes.begin(), bytes.end(), entry.hash.begin());
  }
  return keys;
}

std::optional<std::string> TenantKeys::TenantOf(absl::string_view key) const {
  const Hash hash = Sha256(key);
  const Entry* found = nullptr;
  for (const Entry& entry : keys_) {  // all of them, whichever it is
    const bool same = CRYPTO_memcmp(entry.hash.data(), hash.data(), hash.size()) == 0;
    found = same ? &entry : found;
  }
  if (found == nullptr) return std::nullopt;
  return found->tenant;
}

absl::StatusOr<NewKey> MakeTenantKey(absl::string_view tenant) {
  KEDGE_RETURN_IF_ERROR(CheckTenant(tenant));
  unsigned char random[32];
  if (RAND_bytes(random, sizeof(random)) != 1) return absl::UnavailableError("no random numbers");
  NewKey made;
  made.key = absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(random), sizeof(random)));
  const auto hash = Sha256(made.key);
  const absl::string_view bytes(reinterpret_cast<const char*>(hash.data()), hash.size());
  made.line = absl::StrCat(tenant, " ", absl::BytesToHexString(bytes), "\n");
  return made;
}

}  // namespace kedge
