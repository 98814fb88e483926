// What `kedge doctor` says of devices: what this machine has, what this program can use of it, and why not more.
#ifndef KEDGE_COMMON_KERNELS_DEVICE_REPORT_H_
#define KEDGE_COMMON_KERNELS_DEVICE_REPORT_H_

#include <string>
#include <vector>

namespace kedge {

struct ReportLine {
  std::string what;  // "GPU 0"
  std::string text;  // "NVIDIA H200, ..."; never empty
};

// `toolkit`: what third_party/cuda/find_toolkit.sh says, a folder or why there is none; "" where nobody asked it.
// `root` stands before the kernel's files; "" for the real ones.
std::vector<ReportLine> ReportDevices(const std::string& toolkit, const std::string& root = "");

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_DEVICE_REPORT_H_
