// The backend that users run: threads and vectors.
#ifndef KEDGE_COMMON_KERNELS_CPU_CPU_OPS_H_
#define KEDGE_COMMON_KERNELS_CPU_CPU_OPS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/kernels/cpu/kernels.h"
#include "common/kernels/host_ops.h"

namespace kedge {

// They change speed and memory only, never a bit of the result.
struct CpuOptions {
  int threads = 1;  // the caller's included
  std::optional<InstructionSet> instruction_set;  // none: the fastest (fastest_set.h)
  // Of packed weights (PanelImage), for exactly these matrices; the layout's number is appended. "": packed in memory.
  std::string image_path;
  std::function<void(const std::string& why)> image_notice;  // PanelImage::Notice; may be empty
};

// Class "cpu-1": activations in 8 bits (one scale per 32) against quantised weights, in float against the float types;
// prompt rows and generated rows are computed alike. Threads sleep between steps.
std::unique_ptr<HostOps> CreateCpuOps(const CpuOptions& options);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_CPU_OPS_H_
