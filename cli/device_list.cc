// Tested by device_list_test.cc.
#include "cli/device_list.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "common/node/load_model.h"

namespace kedge {

absl::StatusOr<std::vector<int>> ParseDevices(absl::string_view text, absl::string_view backend, int num_prefill,
                                              int num_decode) {
  constexpr absl::string_view kFlag = "--devices";
  KEDGE_RETURN_IF_ERROR(CheckGpuFlag(kFlag, backend));
  std::vector<int> devices;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    int device = 0;
    const bool has_digits_alone = item.find_first_not_of("0123456789") == item.npos;
    if (!has_digits_alone || !absl::SimpleAtoi(item, &device) || device > kLastGpu) {
      return absl::InvalidArgumentError(
          absl::StrCat(kFlag, ": \"", item, "\" is not a whole number from 0 to ", kLastGpu));
    }
    devices.push_back(device);
  }
  if (devices.size() != static_cast<size_t>(num_prefill + num_decode)) {
    return absl::InvalidArgumentError(absl::StrCat(kFlag, ": names ", devices.size(), " for ", num_prefill,
                                                   " prefill and ", num_decode,
                                                   " decode nodes, each of which needs one"));
  }
  return devices;
}

}  // namespace kedge
