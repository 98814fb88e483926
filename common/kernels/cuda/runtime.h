// What a CUDA backend asks of the host's side of a device: memory, streams, events, graphs, launches. Behind it are
// CUDA's own functions (device_runtime.h), or the emulated device, which needs no GPU (emulated/emulated_runtime.h).
// Kernels are launched by launch.h.
//
// Errors: kResourceExhausted where memory ran out; kInvalidArgument and kFailedPrecondition for a call that the device
// does not take; kInternal for all else, which a device does not come back from.
#ifndef KEDGE_COMMON_KERNELS_CUDA_RUNTIME_H_
#define KEDGE_COMMON_KERNELS_CUDA_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace kedge::cuda {

struct Extent {
  unsigned x = 1, y = 1, z = 1;
};

struct LaunchShape {
  Extent grid, block;
  size_t shared_bytes = 0;
  // The kernel may begin before the one in front of it in the stream has ended. Every thread of it calls
  // WaitForPrevious (device.h).
  bool early = false;
};

// One launch. launch.h makes it.
struct KernelCall {
  const void* function = nullptr;      // for CUDA: the kernel, and
  std::vector<void*> arguments;        // where its arguments are; both only where nvcc made the kernel
  std::function<void()> body;          // for the emulated device: what one thread does
  std::vector<const void*> addresses;  // those of the arguments that are addresses
};

// The holder's, and gives the memory back when it goes, after all work that was queued before.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual uint8_t* data() const = 0;
  virtual size_t bytes() const = 0;
};

class Event {
 public:
  virtual ~Event() = default;
  // Whether the work in front of the last Record is done, or nothing was recorded.
  virtual absl::StatusOr<bool> IsDone() = 0;
  virtual absl::Status Wait() = 0;
  // The time of the device between two events that are done.
  virtual absl::StatusOr<absl::Duration> Since(const Event& begin) const = 0;
};

// Work that can be queued again, with the addresses and values that it was recorded with.
class Graph {
 public:
  virtual ~Graph() = default;
};

// A queue of work, done in its order; streams know nothing of each other but by events. Calls queue and return.
class Stream {
 public:
  virtual ~Stream() = default;

  // Between any two memories. What is the host's is pinned, stays alive, and is left alone until the copy is done.
  virtual absl::Status Copy(void* to, const void* from, size_t bytes) = 0;
  virtual absl::Status Fill(void* to, uint8_t value, size_t bytes) = 0;
  virtual absl::Status Launch(const LaunchShape& shape, const KernelCall& call) = 0;
  virtual absl::Status Record(Event& event) = 0;
  // What is queued here from now on waits for the last Record of the event.
  virtual absl::Status WaitFor(const Event& event) = 0;
  // Returns when all that was queued is done.
  virtual absl::Status Wait() = 0;

  // Between the two, Copy, Fill and Launch record instead of queueing; the other calls are refused.
  virtual absl::Status BeginGraph() = 0;
  virtual absl::StatusOr<std::unique_ptr<Graph>> EndGraph() = 0;
  virtual absl::Status Replay(const Graph& graph) = 0;
};

// What launches are fitted to.
struct DeviceProperties {
  std::string name;         // "NVIDIA H200"
  size_t memory_bytes = 0;  // all of it, whoever has it
  int multiprocessors = 0;  // that run blocks of threads at the same time
  int shared_bytes = 0;     // that one block may have
};

// Thread-safe, and so are the objects that it makes: each is one thread's, but for an event, which any thread may ask.
// Outlives them.
class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual const DeviceProperties& properties() const = 0;
  virtual absl::StatusOr<std::unique_ptr<Memory>> NewMemory(size_t bytes) = 0;  // of the device
  virtual absl::StatusOr<std::unique_ptr<Memory>> NewPinnedMemory(
      size_t bytes) = 0;  // of the host, and kernels read it
  virtual absl::StatusOr<std::unique_ptr<Stream>> NewStream() = 0;
  virtual absl::StatusOr<std::unique_ptr<Event>> NewEvent() = 0;
  virtual absl::StatusOr<size_t> FreeBytes() = 0;  // of the device
  virtual size_t UsedBytes() const = 0;            // of the device, by memories of this runtime
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_RUNTIME_H_
