// Chooses a backend by name; called once, in main.
#ifndef KEDGE_COMMON_KERNELS_CREATE_OPS_H_
#define KEDGE_COMMON_KERNELS_CREATE_OPS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/kernels/ops.h"

namespace kedge {

// What CreateOps takes on this machine: "cpu", "reference", and "cpu:avx2" and the like (InstructionSetName), for tests
// and measurements: `cpu` takes the best instructions that the machine has.
std::vector<std::string> Backends();

// Whether a backend of that name computes on a GPU, of which a machine may have several.
bool ComputesOnGpu(absl::string_view backend);

// kInvalidArgument lists the names. `threads`: of `cpu`, the caller's included; the reference has one. `image_path` and
// `image_notice`: see CpuOptions.
absl::StatusOr<std::unique_ptr<Ops>> CreateOps(absl::string_view backend, int threads,
                                               const std::string& image_path = "",
                                               const std::function<void(const std::string&)>& image_notice = {});

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CREATE_OPS_H_
