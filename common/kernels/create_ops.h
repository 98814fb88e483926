// Chooses a backend by name; called once, in main.
#ifndef KEDGE_COMMON_KERNELS_CREATE_OPS_H_
#define KEDGE_COMMON_KERNELS_CREATE_OPS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/kernels/host_ops.h"
#include "common/kernels/ops.h"

namespace kedge {

struct OpsOptions {
  std::string backend = "cpu";
  int device = 0;   // of `cuda`
  int sharers = 1;  // processes that share it
  int threads = 1;  // of `cpu`, the caller's included; others load weights with them
  // CpuOptions.
  std::string image_path;
  std::function<void(const std::string&)> image_notice;
};

// What CreateOps can do on this machine: those of HostBackends; "cuda-emulated", a device that is not there: slow, for
// tests; "cuda", where there is a device and the program was built for it.
std::vector<std::string> Backends();
// The same, and "cuda" where it is not there: CreateOps says why.
std::vector<std::string> BackendsToAskFor();
// Whether a backend of that name computes on a GPU, of which a machine may have several.
bool ComputesOnGpu(absl::string_view backend);
// Whether it has memory of its own: OpsTraits::has_own_memory.
bool HasOwnMemory(absl::string_view backend);
// OpsTraits::max_rows, for those who must know it before there is a backend.
uint32_t MaxRows(absl::string_view backend);
// kInvalidArgument lists the names; kFailedPrecondition: why there is no "cuda" here.
absl::StatusOr<std::unique_ptr<Ops>> CreateOps(const OpsOptions& options);

// Those that compute on the host: "cpu", "reference", and "cpu:avx2" and the like (InstructionSetName), for tests and
// measurements: `cpu` takes the fastest instructions that the machine has.
std::vector<std::string> HostBackends();
absl::StatusOr<std::unique_ptr<HostOps>> CreateHostOps(const OpsOptions& options);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CREATE_OPS_H_
