// Tested by tests/equality_test.cc and by every test that starts a node.
#include "common/node/load_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/cache_dir.h"
#include "common/base/machine_limits.h"
#include "common/base/status.h"
#include "common/kernels/create_ops.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/numerics_class.h"
#include "common/model/transformer.h"
#include "common/tokenizer/policy_names.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

namespace {

// Of the model's packed weights; "" for a model that is packed faster than a file is looked at.
absl::StatusOr<std::string> ImagePath(const ModelFiles& files) {
  constexpr size_t kWorthAFile = size_t{16} << 20;
  const std::string cache = CacheDir();
  if (cache.empty() || files.base->total_bytes() < kWorthAFile) return "";
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(files));
  return absl::StrCat(cache, "/weights/", fingerprint);
}

}  // namespace

std::vector<std::string> BackendNames() {
  std::vector<std::string> names = BackendsToAskFor();
  names.push_back("deferred");
  return names;
}

absl::Status CheckGpuFlag(absl::string_view flag, absl::string_view backend) {
  if (ComputesOnGpu(backend)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": names a GPU, and the backend \"", backend, "\" computes on none"));
}

bool HasOwnKvMemory(absl::string_view backend) { return HasOwnMemory(backend); }

uint64_t DefaultKvBytes(uint64_t usable_memory) { return std::min<uint64_t>(usable_memory / 4, uint64_t{4} << 30); }
uint64_t DefaultKvBytes() { return DefaultKvBytes(UsableMachine().memory_bytes); }

std::string MemoryWarning(uint64_t weight_bytes, uint64_t kv_bytes, uint64_t usable_memory) {
  if (weight_bytes + kv_bytes <= usable_memory) return "";
  return absl::StrCat("the weights (", weight_bytes >> 20, " MiB) and KV memory (", kv_bytes >> 20,
                      " MiB) may need more than the ", usable_memory >> 20,
                      " MiB that may be used here (machine, container or job): see --kv-memory");
}

absl::StatusOr<std::unique_ptr<StepDevice>> MakeDevice(const ModelFiles& files, const DeviceOptions& options) {
  const bool deferred = options.backend == "deferred";
  const MachineLimits machine = UsableMachine();
  const int threads = options.threads > 0 ? options.threads : machine.cores;
  const bool shares_image = options.weight_image && !ComputesOnGpu(options.backend);
  KEDGE_ASSIGN_OR_RETURN(const std::string image, shares_image ? ImagePath(files) : std::string());
  OpsOptions backend{.backend = deferred ? "cpu" : options.backend,
                     .device = options.device,
                     .sharers = options.sharers,
                     .threads = threads};
  KEDGE_ASSIGN_OR_RETURN(std::string numerics_class, NumericsClass(backend));
  backend.image_path = image;
  backend.image_notice = options.notice;
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Ops> ops, CreateOps(backend));
  uint64_t kv_bytes = options.kv_bytes;
  if (!ops->traits().has_own_memory) {
    if (kv_bytes == 0) kv_bytes = DefaultKvBytes(machine.memory_bytes);
    const std::string warning = MemoryWarning(files.base->total_bytes(), kv_bytes, machine.memory_bytes);
    if (!warning.empty() && options.notice) options.notice(warning);
  }
  const uint32_t max_rows = options.max_rows > 0 ? options.max_rows : ops->traits().max_rows;
  KEDGE_ASSIGN_OR_RETURN(Weights weights, Weights::Merge(files, threads));
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<StepDevice> device,
                         TransformerDevice::Create(std::move(weights), std::move(ops), options.kv_type, kv_bytes,
                                                   max_rows, std::move(numerics_class)));
  if (deferred) device = std::make_unique<DeferredDevice>(std::move(device));
  return device;
}

absl::StatusOr<PolicyNames> LoadPolicyNames(const ModelFiles& files) {
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
  return FindPolicyNames(*files.base, *tokenizer, files.adapter_policy());
}

}  // namespace kedge
