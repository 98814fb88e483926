// Tested by create_ops_test.cc.
#include "common/kernels/create_ops.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/cuda/create_cuda_ops.h"
#include "common/kernels/cuda/cuda_ops.h"
#include "common/kernels/cuda/device_runtime.h"
#include "common/kernels/reference/reference_ops.h"

namespace kedge {

namespace {

constexpr char kCuda[] = "cuda";
constexpr char kEmulated[] = "cuda-emulated";

std::string NameOf(InstructionSet set) { return absl::StrCat("cpu:", std::string(InstructionSetName(set))); }

absl::Status NoBackend(const std::string& name, const std::vector<std::string>& names) {
  return absl::InvalidArgumentError(absl::StrCat("backend: \"", name, "\" is none that this machine has; those are ",
                                                 absl::StrJoin(names, ", ")));
}

}  // namespace

std::vector<std::string> Backends() {
  std::vector<std::string> names = HostBackends();
  names.push_back(kEmulated);
  if (!cuda::DescribeCuda().devices.empty()) names.push_back(kCuda);
  return names;
}

absl::StatusOr<std::unique_ptr<Ops>> CreateOps(const OpsOptions& options) {
  if (options.backend == kCuda) return cuda::CreateDeviceOps(options.device, options.sharers, options.threads);
  if (options.backend == kEmulated) return cuda::CreateEmulatedOps(options.threads);
  absl::StatusOr<std::unique_ptr<HostOps>> ops = CreateHostOps(options);
  if (!ops.ok()) return NoBackend(options.backend, Backends());
  return *std::move(ops);
}

std::vector<std::string> HostBackends() {
  std::vector<std::string> names = {"cpu", "reference"};
  for (InstructionSet set : kInstructionSets) {
    if (IsAvailable(set)) names.push_back(NameOf(set));
  }
  return names;
}

std::vector<std::string> BackendsToAskFor() {
  std::vector<std::string> names = Backends();
  if (names.back() != kCuda) names.push_back(kCuda);
  return names;
}

bool ComputesOnGpu(absl::string_view backend) { return backend == kCuda; }
bool HasOwnMemory(absl::string_view backend) { return backend == kCuda || backend == kEmulated; }
uint32_t MaxRows(absl::string_view backend) { return backend == kCuda ? cuda::CudaOptions{}.max_rows : 256; }

absl::StatusOr<std::unique_ptr<HostOps>> CreateHostOps(const OpsOptions& options) {
  CpuOptions cpu{
      .threads = options.threads, .image_path = options.image_path, .image_notice = options.image_notice};
  if (options.backend == "cpu") return CreateCpuOps(cpu);
  if (options.backend == "reference") return CreateReferenceOps();
  for (InstructionSet set : kInstructionSets) {
    if (options.backend != NameOf(set) || !IsAvailable(set)) continue;
    cpu.instruction_set = set;
    return CreateCpuOps(cpu);
  }
  return NoBackend(options.backend, HostBackends());
}

}  // namespace kedge
