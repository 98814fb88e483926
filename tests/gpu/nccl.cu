// Two ranks of NCCL on one device. NCCL refuses that unless the ranks name different hosts, so each process names one
// of its own, and they speak by sockets. Says whether it works and what memory a communicator takes: not how fast it
// is. `nccl PATH`: of libnccl.so.2.
#include <dlfcn.h>

#include "tests/gpu/probe.h"
#include "tests/gpu/two_processes.h"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "nccl";
constexpr size_t kBytes = size_t{16} << 20;
constexpr int kMessages = 20;

// As nccl.h has them.
struct UniqueId {
  char bytes[128];
};
using Communicator = struct NcclCommunicator*;
constexpr int kInt8 = 0;

struct Nccl {
  explicit Nccl(const char* path) : library(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (library == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      std::exit(1);
    }
    Find("ncclGetVersion", version);
    Find("ncclGetUniqueId", unique_id);
    Find("ncclCommInitRank", init);
    Find("ncclSend", send);
    Find("ncclRecv", receive);
    Find("ncclCommDestroy", destroy);
    Find("ncclGetErrorString", error);
  }
  template <typename Function>
  void Find(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library, name));
    if (function != nullptr) return;
    std::fprintf(stderr, "no %s in the library\n", name);
    std::exit(1);
  }
  void Check(int result, const char* call) const {
    if (result == 0) return;
    std::fprintf(stderr, "%s: %s\n", call, error(result));
    std::exit(1);
  }

  void* const library;
  int (*version)(int*);
  int (*unique_id)(UniqueId*);
  int (*init)(Communicator*, int, UniqueId, int);
  int (*send)(const void*, size_t, int, int, Communicator, cudaStream_t);
  int (*receive)(void*, size_t, int, int, Communicator, cudaStream_t);
  int (*destroy)(Communicator);
  const char* (*error)(int);
};

size_t FreeMemory() {
  size_t free = 0, total = 0;
  PROBE_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

// Rank 0 sends, rank 1 receives. Both measure together, so that free memory is what both took.
void RunRank(const char* path, int rank, OtherProcess& other) {
  setenv("NCCL_HOSTID", rank == 0 ? "kedge-probe-0" : "kedge-probe-1", 1);
  setenv("NCCL_P2P_DISABLE", "1", 1);
  setenv("NCCL_SHM_DISABLE", "1", 1);
  setenv("NCCL_NET", "Socket", 1);
  setenv("NCCL_SOCKET_IFNAME", "lo", 1);
  setenv("NCCL_MAX_CTAS", "4", 1);
  const Nccl nccl(path);
  Buffer<uint8_t> data(kBytes);
  cudaStream_t stream;
  PROBE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  UniqueId id;
  if (rank == 0) {
    int version = 0;
    nccl.Check(nccl.version(&version), "ncclGetVersion");
    Report(kPart, "version", version, "");
    nccl.Check(nccl.unique_id(&id), "ncclGetUniqueId");
    other.Say(id);
  } else {
    id = other.Hear<UniqueId>();
  }
  other.Say('r');
  other.Hear<char>();
  const size_t before = FreeMemory();
  other.Say('m');
  other.Hear<char>();
  Communicator communicator = nullptr;
  nccl.Check(nccl.init(&communicator, 2, id, rank), "ncclCommInitRank");
  std::vector<double> seconds;
  uint64_t wrong = 0;
  for (int i = 0; i < kMessages; ++i) {
    const uint8_t value = static_cast<uint8_t>(i * 37 + 1);
    PROBE_CUDA(cudaMemsetAsync(data.data(), rank == 0 ? value : 0xff, kBytes, stream));
    PROBE_CUDA(cudaStreamSynchronize(stream));
    cudaEvent_t begin, end;
    PROBE_CUDA(cudaEventCreate(&begin));
    PROBE_CUDA(cudaEventCreate(&end));
    PROBE_CUDA(cudaEventRecord(begin, stream));
    nccl.Check(rank == 0 ? nccl.send(data.data(), kBytes, kInt8, 1, communicator, stream)
                         : nccl.receive(data.data(), kBytes, kInt8, 0, communicator, stream),
               rank == 0 ? "ncclSend" : "ncclRecv");
    PROBE_CUDA(cudaEventRecord(end, stream));
    PROBE_CUDA(cudaEventSynchronize(end));
    float milliseconds = 0;
    PROBE_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    seconds.push_back(milliseconds / 1e3);
    if (rank == 1) {
      for (const uint8_t got : data.Download()) wrong += got != value;
    }
  }
  other.Say('d');
  other.Hear<char>();
  const double taken = static_cast<double>(before) - static_cast<double>(FreeMemory());
  other.Say('m');
  other.Hear<char>();
  nccl.Check(nccl.destroy(communicator), "ncclCommDestroy");
  if (rank == 1) {
    other.Say(wrong);
    return;
  }
  const uint64_t there = other.Hear<uint64_t>();
  std::sort(seconds.begin(), seconds.end());
  Report(kPart, "device memory of two communicators", taken / 1e6, "MB", "NCCL_MAX_CTAS=4, both processes together");
  Report(kPart, "16 MiB by sockets on one device", seconds[seconds.size() / 2] * 1e3, "ms",
         there == 0 ? "right" : std::to_string(there) + " WRONG");
}

}  // namespace
}  // namespace kedge::probe

int main(int argc, char** argv) {
  using namespace kedge::probe;
  if (argc != 2) {
    std::fprintf(stderr, "usage: nccl PATH_OF_LIBNCCL\n");
    return 2;
  }
  OtherProcess other = OtherProcess::Start([&](OtherProcess& peer) { RunRank(argv[1], 1, peer); });
  RunRank(argv[1], 0, other);
  return other.Ended() ? 0 : 1;
}
