// Memory on the host that a device copies rows to.
#ifndef KEDGE_COMMON_KERNELS_ROW_BUFFER_H_
#define KEDGE_COMMON_KERNELS_ROW_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "common/base/payload.h"

namespace kedge {

// A checksum that whoever asks for rows would make of them: a device may do it where the rows are.
struct RowSum {
  std::string prefix;            // what stands in front of the rows
  std::optional<uint64_t> xxh3;  // XXH3-64 of both, once the rows have come; nullopt: the caller is to make it
};

// Held by reference, as a Payload is: by a device for as long as it copies, so nobody has to wait before he lets go.
// Thread-compatible; copies are cheap and name the same bytes.
struct RowBuffer {
  std::shared_ptr<void> owner;
  absl::Span<uint8_t> bytes;
  std::shared_ptr<RowSum> sum = nullptr;  // null: none is asked for

  // Of plain memory, not cleared.
  static RowBuffer Plain(size_t size) {
    const std::shared_ptr<uint8_t[]> memory = std::make_shared_for_overwrite<uint8_t[]>(size);
    return {memory, absl::Span<uint8_t>(memory.get(), size)};
  }
  // The bytes from `begin` on.
  RowBuffer From(size_t begin) const {
    return {owner, absl::Span<uint8_t>(bytes.data() + begin, bytes.size() - begin), sum};
  }
  // The same bytes, to be read alone.
  Payload Share() const { return {owner, bytes}; }
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_ROW_BUFFER_H_
