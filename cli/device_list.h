// Which GPU each node of a cluster computes on.
#ifndef KEDGE_CLI_DEVICE_LIST_H_
#define KEDGE_CLI_DEVICE_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// --devices, as in "0,1,2,3": a number for each prefill node, then one for each decode node; a GPU may have several.
// kInvalidArgument names the flag: what is no number, too few or too many, a backend that computes on no GPU.
absl::StatusOr<std::vector<int>> ParseDevices(absl::string_view text, absl::string_view backend, int num_prefill,
                                              int num_decode);

}  // namespace kedge

#endif  // KEDGE_CLI_DEVICE_LIST_H_
