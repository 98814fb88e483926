// Tested by device_report_test.cc.
#include "common/kernels/device_report.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/machine_limits.h"
#include "common/base/thread_pool.h"
#include "common/kernels/cpu/fastest_set.h"
#include "common/kernels/cpu/kernels.h"
#include "common/kernels/cuda/device_runtime.h"

namespace kedge {
namespace {

// The driver's own version, which CUDA does not tell; "" without one.
std::string DriverVersion(const std::string& root) {
  std::string version;
  std::getline(std::ifstream(root + "/sys/module/nvidia/version"), version);
  return version;
}

// The models of the GPUs that the driver has, for programs without CUDA, which can ask no further.
std::vector<std::string> DriverModels(const std::string& root) {
  std::vector<std::string> models;
  std::error_code error;
  for (std::filesystem::directory_iterator it(root + "/proc/driver/nvidia/gpus", error), end; !error && it != end;
       it.increment(error)) {
    std::ifstream information(it->path() / "information");
    for (std::string line; std::getline(information, line);) {
      absl::string_view model = line;
      if (absl::ConsumePrefix(&model, "Model:")) models.emplace_back(absl::StripAsciiWhitespace(model));
    }
  }
  std::sort(models.begin(), models.end());
  return models;
}

std::vector<ReportLine> Gpus(const cuda::CudaDescription& cuda, const std::string& root) {
  std::vector<std::string> gpus;
  for (const cuda::DeviceDescription& device : cuda.devices) {
    gpus.push_back(absl::StrFormat("%s, %.1f GiB, compute capability %s", device.name,
                                   static_cast<double>(device.memory_bytes) / (1 << 30), device.compute_capability));
  }
  if (!cuda.is_built_in) gpus = DriverModels(root);
  std::vector<ReportLine> lines;
  for (size_t i = 0; i < gpus.size(); ++i) lines.push_back({absl::StrCat("GPU ", i), gpus[i]});
  if (gpus.empty()) {
    lines.push_back({"GPU", cuda.is_built_in ? absl::StrCat("none: ", cuda.why_none) : "none"});
  }
  return lines;
}

// 22809: "2.28.9".
std::string NcclVersion(int number) { return absl::StrCat(number / 10000, ".", number / 100 % 100, ".", number % 100); }

std::string Nccl(const std::vector<std::string>& toolkits) {
  std::vector<std::string> places = {"libnccl.so.2"};  // where the loader looks
  for (const std::string& toolkit : toolkits) {
    if (absl::StartsWith(toolkit, "/")) places.push_back(toolkit + "/lib/libnccl.so.2");
  }
  for (const std::string& place : places) {
    void* const library = dlopen(place.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) continue;
    int number = 0;
    const auto version = reinterpret_cast<int (*)(int*)>(dlsym(library, "ncclGetVersion"));
    const bool is_nccl = version != nullptr && version(&number) == 0;
    dlclose(library);
    if (is_nccl) return absl::StrCat(NcclVersion(number), " (", place, ")");
  }
  return "none: there is no libnccl.so.2 where the loader looks, nor in a toolkit";
}

std::string Backend(const cuda::CudaDescription& cuda) {
  return cuda.devices.empty() ? absl::StrCat("cpu, because ", cuda.why_none)
                              : "cpu, unless --backend cuda asks for a GPU: that has not run on hardware yet "
                                "(docs/gpu.md)";
}

// The newest that the processor has and, where another multiplies faster here, that one.
std::string Instructions() {
  ThreadPool pool(UsableMachine().cores);
  const InstructionSet best = BestInstructionSet(), fastest = FastestInstructionSet(pool);
  std::string text(InstructionSetName(best));
  if (fastest != best) {
    absl::StrAppend(&text, "; ", std::string(InstructionSetName(fastest)), " multiplies faster here");
  }
  return text;
}

}  // namespace

std::vector<ReportLine> ReportDevices(const std::string& toolkit, const std::string& root) {
  const cuda::CudaDescription cuda = cuda::DescribeCuda();
  std::string driver = DriverVersion(root);
  if (driver.empty()) driver = "none";
  if (!cuda.most_version.empty()) absl::StrAppend(&driver, ", for CUDA up to ", cuda.most_version);

  std::vector<ReportLine> lines;
  lines.push_back({"instructions", Instructions()});
  lines.push_back({"NVIDIA driver", driver});
  for (ReportLine& line : Gpus(cuda, root)) lines.push_back(std::move(line));
  lines.push_back({"CUDA", cuda.is_built_in
                               ? absl::StrCat(cuda.version, " is built in, with code for ", cuda.code)
                               : absl::StrCat("none: ", cuda.why_none)});
  if (!toolkit.empty()) {
    lines.push_back({"CUDA toolkit", absl::StrCat(absl::StartsWith(toolkit, "/") ? "" : "none: ", toolkit)});
  }
  lines.push_back({"NCCL", Nccl({cuda.toolkit, toolkit})});
  lines.push_back({"backend", Backend(cuda)});
  return lines;
}

}  // namespace kedge
