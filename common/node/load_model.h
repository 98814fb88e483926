// From a model's files and a few settings to a device that computes.
#ifndef KEDGE_COMMON_NODE_LOAD_MODEL_H_
#define KEDGE_COMMON_NODE_LOAD_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/anchor/policy.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"
#include "common/model/config.h"
#include "common/model/model_files.h"

namespace kedge {

struct DeviceOptions {
  // --- Change results ---
  std::string backend = "cpu";  // one of BackendNames()
  KvType kv_type = kDefaultKvType;
  // --- Change speed ---
  int device = 0;         // which GPU, of a backend that computes on one
  int sharers = 1;        // processes that share it, each with as much of its memory
  int threads = 0;        // 0: one per core that may be used
  uint64_t kv_bytes = 0;  // memory for KV rows, taken as it is used; 0: DefaultKvBytes(), or what a GPU has left
  uint32_t max_rows = 0;  // of one step; 0: what suits the backend
  bool weight_image =
      true;  // packed weights are shared by the processes of this machine, in a file of the cache directory
  // Gets lines that the user should see: what is done without, what may not fit. Empty: nobody does.
  std::function<void(const std::string&)> notice;
};

// BackendsToAskFor() and "deferred": cpu that computes only when waited for.
std::vector<std::string> BackendNames();
inline constexpr char kBackendHelp[] =
    "what computes: cpu, with the fastest instructions that the machine has, or a GPU, where one of the names is its; "
    "others are for tests and measurements";

// --device of whatever has --backend.
inline constexpr int kLastGpu = 1023;
inline constexpr char kDeviceHelp[] = "number of the GPU, for a backend that computes on one (default: 0)";
// For a flag that names a GPU and was given: kInvalidArgument, with its name, unless the backend computes on one.
absl::Status CheckGpuFlag(absl::string_view flag, absl::string_view backend);

inline constexpr char kSharersHelp[] = "nodes that share the GPU, each with as much of its memory (default: 1)";

// Whether the backend has memory of its own, whose size no default for this machine's says anything of.
bool HasOwnKvMemory(absl::string_view backend);

// A quarter of the memory that this process may use (UsableMachine), at most 4 GiB.
uint64_t DefaultKvBytes();
uint64_t DefaultKvBytes(uint64_t usable_memory);

// A line where weights and KV rows may need more than the usable memory: whoever takes too much of it is killed without
// a word. Else "".
std::string MemoryWarning(uint64_t weight_bytes, uint64_t kv_bytes, uint64_t usable_memory);

// Merges the adapter, if there is one. kInvalidArgument names the backend, or what is wrong with a file;
// kResourceExhausted: no memory.
absl::StatusOr<std::unique_ptr<StepDevice>> MakeDevice(const ModelFiles& files, const DeviceOptions& options);

// What the names in a policy's text stand for in this model: reads its vocabulary.
absl::StatusOr<PolicyNames> LoadPolicyNames(const ModelFiles& files);

}  // namespace kedge

#endif  // KEDGE_COMMON_NODE_LOAD_MODEL_H_
