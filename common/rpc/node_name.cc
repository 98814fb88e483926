// Tested by node_name_test.cc.
#include "common/rpc/node_name.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/host_port.h"

namespace kedge {
namespace {

constexpr size_t kMaxName = 128;
constexpr size_t kMaxAddress = 256;

}  // namespace

absl::Status CheckNodeName(absl::string_view name, absl::string_view field) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7F && c != ','; });
  if (!name.empty() && name.size() <= kMaxName && printable) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": must be 1 to ", kMaxName, " printable ASCII characters without space and comma"));
}

absl::Status CheckNodeAddress(absl::string_view address, absl::string_view field) {
  if (address.size() > kMaxAddress) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": has ", address.size(), " bytes; at most ", kMaxAddress, " are allowed"));
  }
  const absl::Status status = ParseReachable(address).status();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", status.message()));
}

}  // namespace kedge
