// SHA-256 of bytes that are at hand.
#ifndef KEDGE_COMMON_BASE_SHA256_H_
#define KEDGE_COMMON_BASE_SHA256_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace kedge {

std::array<uint8_t, 32> Sha256(absl::string_view bytes);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_SHA256_H_
