// Bounds on what a message has, counted in its bytes: before they become a message, which may be many times as large.
#ifndef KEDGE_COMMON_RPC_WIRE_LIMITS_H_
#define KEDGE_COMMON_RPC_WIRE_LIMITS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/zero_copy_stream.h"

namespace kedge {

struct WireLimit {
  uint32_t count = UINT32_MAX;  // of a repeated field or a map: elements in the whole message together
  uint32_t bytes = UINT32_MAX;  // of a string or bytes field: of each of them
};

// The bounds of the fields of some messages. Immutable, so thread-safe.
class WireLimits {
 public:
  // Most fields that a message may have which this program does not know: each takes memory.
  static constexpr uint32_t kMaxUnknown = 256;

  struct Entry {
    absl::string_view field;  // its full name, "kedge.inference.v1.TokenIds.ids"
    WireLimit limit;
  };
  // REQUIRES: the fields exist in this program.
  explicit WireLimits(const std::vector<Entry>& entries);

  // kInvalidArgument names the field that has more than it may, or says that these are not the bytes of such a message.
  // Takes time linear in the bytes, and no memory.
  absl::Status Check(const google::protobuf::Descriptor* message,
                     google::protobuf::io::ZeroCopyInputStream* bytes) const;

  // The repeated, string and bytes fields of the message, and of all messages in it, that have no bound.
  std::vector<std::string> Unbounded(const google::protobuf::Descriptor* message) const;

 private:
  class Walk;

  absl::flat_hash_map<const google::protobuf::FieldDescriptor*, WireLimit> limits_;
};

// The last string of this number in a message, "" if there is none. Looks at its first fields alone, up to a number
// that is higher: protobuf writes fields in order.
std::string EarlyString(int field_number, google::protobuf::io::ZeroCopyInputStream* bytes, size_t most_bytes);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_WIRE_LIMITS_H_
