// Tested by sha256_test.cc.
#include "common/base/sha256.h"

#include <openssl/evp.h>

#include "common/base/check.h"

namespace kedge {

std::array<uint8_t, 32> Sha256(absl::string_view bytes) {
  std::array<uint8_t, 32> hash;
  unsigned int size = 0;
  KEDGE_CHECK(EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr) == 1);
  KEDGE_CHECK(size == hash.size());
  return hash;
}

}  // namespace kedge
