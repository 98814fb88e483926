// Ids go into logs and into metadata, hence printable ASCII and short.
//
// Tested by request_id_test.cc.
#include "common/rpc/request_id.h"

#include <cstdint>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"

namespace kedge {

absl::Status CheckRequestId(absl::string_view id, absl::string_view field) {
  if (id.empty()) return absl::InvalidArgumentError(absl::StrCat(field, ": is empty"));
  if (id.size() > 128) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": has ", id.size(), " characters; at most 128 are allowed"));
  }
  for (const char c : id) {
    if (c < 0x20 || c > 0x7E) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": only printable ASCII characters are allowed"));
    }
  }
  return absl::OkStatus();
}

std::string NewRequestId() {
  std::random_device random;
  uint32_t words[4];
  for (uint32_t& word : words) word = random();
  words[1] = (words[1] & 0xFFFF0FFFu) | 0x00004000u;  // version 4
  words[2] = (words[2] & 0x3FFFFFFFu) | 0x80000000u;  // the variant of RFC 4122
  return absl::StrFormat("%08x-%04x-%04x-%04x-%04x%08x", words[0], words[1] >> 16, words[1] & 0xFFFF, words[2] >> 16,
                         words[2] & 0xFFFF, words[3]);
}

absl::StatusOr<std::string> ChooseRequestId(absl::string_view field, absl::string_view metadata) {
  if (!field.empty()) {
    KEDGE_RETURN_IF_ERROR(CheckRequestId(field, "request_id"));
    return std::string(field);
  }
  if (!metadata.empty()) {
    KEDGE_RETURN_IF_ERROR(CheckRequestId(metadata, kRequestIdMetadata));
    return std::string(metadata);
  }
  return NewRequestId();
}

}  // namespace kedge
