// Nothing here is implicit: streams are non-blocking, so that CUDA's default stream orders nothing, and whoever waits
// waits for streams by name.
//
// Tested by runtime_test.cc, where there is a GPU, and by device_runtime_test.cc.
#include "common/kernels/cuda/device_runtime.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/kernels/cuda/cuda_device.h"

namespace kedge::cuda {
namespace {

constexpr int kLeastMajor = 8;         // of the compute capability: what the kernels' code begins with
constexpr int kLeastMajorOfEarly = 9;  // that lets a kernel begin early; code for those waits, and other code does not

class DeviceMemory : public Memory {
 public:
  // `data`: nullptr for no bytes.
  // `counted`, if it is not null, counts the bytes as long as they are there.
  DeviceMemory(CudaDevice& device, uint8_t* data, size_t bytes, cudaError_t (*free)(void*),
               std::atomic<size_t>* counted = nullptr)
      : device_(device), data_(data), bytes_(bytes), free_(free), counted_(counted) {
    if (counted_ != nullptr) *counted_ += bytes_;
  }
  ~DeviceMemory() override {
    device_.WaitForStreams();
    device_.Release([this] {
      const Unrestricted unrestricted;
      return free_(data_);
    });
    if (counted_ != nullptr) *counted_ -= bytes_;
  }
  uint8_t* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  CudaDevice& device_;
  uint8_t* const data_;
  const size_t bytes_;
  cudaError_t (*const free_)(void*);
  std::atomic<size_t>* const counted_;
};

class DeviceEvent : public Event {
 public:
  DeviceEvent(CudaDevice& device, cudaEvent_t event) : device_(device), event_(event) {}
  ~DeviceEvent() override {
    device_.Release([this] { return cudaEventDestroy(event_); });
  }

  absl::StatusOr<bool> IsDone() override {
    bool is_done = false;
    KEDGE_RETURN_IF_ERROR(device_.Do("IsDone", [&] {
      const cudaError_t error = cudaEventQuery(event_);
      is_done = error == cudaSuccess;
      return error == cudaErrorNotReady ? cudaSuccess : error;
    }));
    if (!is_done) cudaGetLastError();  // cudaErrorNotReady
    return is_done;
  }
  absl::Status Wait() override {
    return device_.Do("Wait", [this] { return cudaEventSynchronize(event_); });
  }
  absl::StatusOr<absl::Duration> Since(const Event& begin) const override {
    float milliseconds = 0;
    KEDGE_RETURN_IF_ERROR(device_.Do("Since", [&] {
      return cudaEventElapsedTime(&milliseconds, static_cast<const DeviceEvent&>(begin).event_, event_);
    }));
    return absl::Milliseconds(milliseconds);
  }
  cudaEvent_t event() const { return event_; }

 private:
  CudaDevice& device_;
  const cudaEvent_t event_;
};

class DeviceGraph : public Graph {
 public:
  DeviceGraph(CudaDevice& device, cudaGraphExec_t graph) : device_(device), graph_(graph) {}
  ~DeviceGraph() override {
    device_.WaitForStreams();
    device_.Release([this] { return cudaGraphExecDestroy(graph_); });
  }
  cudaGraphExec_t graph() const { return graph_; }

 private:
  CudaDevice& device_;
  const cudaGraphExec_t graph_;
};

class DeviceStream : public Stream {
 public:
  DeviceStream(CudaDevice& device, cudaStream_t stream, int shared_bytes, bool takes_early)
      : device_(device), stream_(stream), shared_bytes_(shared_bytes), takes_early_(takes_early) {
    device_.AddStream(stream_);
  }
  ~DeviceStream() override {
    if (is_recording_) (void)EndGraph();
    device_.RemoveStream(stream_);
    device_.Release([this] { return cudaStreamSynchronize(stream_); });
    device_.Release([this] { return cudaStreamDestroy(stream_); });
  }

  absl::Status Copy(void* to, const void* from, size_t bytes) override {
    if (bytes == 0) return absl::OkStatus();
    return device_.Do("Copy", [&] { return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_); });
  }
  absl::Status Fill(void* to, uint8_t value, size_t bytes) override {
    if (bytes == 0) return absl::OkStatus();
    return device_.Do("Fill", [&] { return cudaMemsetAsync(to, value, bytes, stream_); });
  }

  absl::Status Launch(const LaunchShape& shape, const KernelCall& call) override {
    KEDGE_CHECK(call.function != nullptr);  // or g++ made the kernel
    KEDGE_RETURN_IF_ERROR(Prepare(call.function));
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = {shape.grid.x, shape.grid.y, shape.grid.z};
    config.blockDim = {shape.block.x, shape.block.y, shape.block.z};
    config.dynamicSmemBytes = shape.shared_bytes;
    config.stream = stream_;
    config.attrs = &early;
    config.numAttrs = shape.early && takes_early_ ? 1 : 0;
    return device_.Do("Launch", [&] {
      return cudaLaunchKernelExC(&config, call.function, const_cast<void**>(call.arguments.data()));
    });
  }

  absl::Status Record(Event& event) override {
    KEDGE_RETURN_IF_ERROR(CheckNotRecording("Record"));
    return device_.Do("Record", [&] { return cudaEventRecord(static_cast<DeviceEvent&>(event).event(), stream_); });
  }
  absl::Status WaitFor(const Event& event) override {
    KEDGE_RETURN_IF_ERROR(CheckNotRecording("WaitFor"));
    return device_.Do("WaitFor",
                      [&] { return cudaStreamWaitEvent(stream_, static_cast<const DeviceEvent&>(event).event(), 0); });
  }
  absl::Status Wait() override {
    KEDGE_RETURN_IF_ERROR(CheckNotRecording("Wait"));
    return device_.Do("Wait", [this] { return cudaStreamSynchronize(stream_); });
  }

  absl::Status BeginGraph() override {
    KEDGE_RETURN_IF_ERROR(CheckNotRecording("BeginGraph"));
    KEDGE_RETURN_IF_ERROR(device_.BeginRecording(stream_));
    is_recording_ = true;
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Graph>> EndGraph() override {
    if (!is_recording_) return absl::FailedPreconditionError("EndGraph: the stream does not record a graph");
    is_recording_ = false;
    cudaGraph_t recorded = nullptr;
    cudaGraphExec_t graph = nullptr;
    absl::Status status = device_.Do("EndGraph", [&] { return cudaStreamEndCapture(stream_, &recorded); });
    device_.EndRecording(stream_);
    if (status.ok()) status = device_.Do("EndGraph", [&] { return cudaGraphInstantiate(&graph, recorded, 0); });
    if (recorded != nullptr) device_.Release([&] { return cudaGraphDestroy(recorded); });
    KEDGE_RETURN_IF_ERROR(status);
    return std::make_unique<DeviceGraph>(device_, graph);
  }
  absl::Status Replay(const Graph& graph) override {
    KEDGE_RETURN_IF_ERROR(CheckNotRecording("Replay"));
    return device_.Do("Replay",
                      [&] { return cudaGraphLaunch(static_cast<const DeviceGraph&>(graph).graph(), stream_); });
  }

 private:
  absl::Status CheckNotRecording(absl::string_view call) const {
    if (!is_recording_) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(call, ": the stream records a graph"));
  }
  // Before a kernel's first launch here: it may have all the shared memory that a block can have. That loads it too.
  absl::Status Prepare(const void* kernel) {
    if (prepared_.contains(kernel)) return absl::OkStatus();
    KEDGE_RETURN_IF_ERROR(device_.Do("Launch", [&] {
      const Unrestricted unrestricted;
      return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes_);
    }));
    prepared_.insert(kernel);
    return absl::OkStatus();
  }

  CudaDevice& device_;
  const cudaStream_t stream_;
  const int shared_bytes_;
  const bool takes_early_;
  bool is_recording_ = false;
  absl::flat_hash_set<const void*> prepared_;
};

class DeviceRuntime : public Runtime {
 public:
  DeviceRuntime(int index, const cudaDeviceProp& found)
      : properties_({.name = found.name,
                     .memory_bytes = found.totalGlobalMem,
                     .multiprocessors = found.multiProcessorCount,
                     .shared_bytes = static_cast<int>(found.sharedMemPerBlockOptin)}),
        takes_early_(found.major >= kLeastMajorOfEarly),
        device_(index) {}

  const DeviceProperties& properties() const override { return properties_; }

  absl::StatusOr<std::unique_ptr<Memory>> NewMemory(size_t bytes) override {
    void* data = nullptr;
    const absl::Status status = device_.Do("NewMemory", [&] {
      const Unrestricted unrestricted;
      return bytes == 0 ? cudaSuccess : cudaMalloc(&data, bytes);
    });
    if (absl::IsResourceExhausted(status)) {
      KEDGE_ASSIGN_OR_RETURN(const size_t left, FreeBytes());
      return absl::ResourceExhaustedError(
          absl::StrCat("NewMemory: ", bytes, " bytes, of the device's memory ", left, " are left"));
    }
    KEDGE_RETURN_IF_ERROR(status);
    return std::make_unique<DeviceMemory>(device_, static_cast<uint8_t*>(data), bytes, &cudaFree, &used_bytes_);
  }
  absl::StatusOr<std::unique_ptr<Memory>> NewPinnedMemory(size_t bytes) override {
    void* data = nullptr;
    const absl::Status status = device_.Do("NewPinnedMemory", [&] {
      const Unrestricted unrestricted;
      // Portable: for every device's kernels; and the address is the same for all.
      return bytes == 0 ? cudaSuccess : cudaHostAlloc(&data, bytes, cudaHostAllocPortable | cudaHostAllocMapped);
    });
    if (absl::IsResourceExhausted(status)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("NewPinnedMemory: ", bytes, " bytes of the host cannot be pinned"));
    }
    KEDGE_RETURN_IF_ERROR(status);
    return std::make_unique<DeviceMemory>(device_, static_cast<uint8_t*>(data), bytes, &cudaFreeHost);
  }
  absl::StatusOr<std::unique_ptr<Stream>> NewStream() override {
    cudaStream_t stream = nullptr;
    KEDGE_RETURN_IF_ERROR(
        device_.Do("NewStream", [&] { return cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }));
    return std::make_unique<DeviceStream>(device_, stream, properties_.shared_bytes, takes_early_);
  }
  absl::StatusOr<std::unique_ptr<Event>> NewEvent() override {
    cudaEvent_t event = nullptr;
    KEDGE_RETURN_IF_ERROR(device_.Do("NewEvent", [&] { return cudaEventCreate(&event); }));
    return std::make_unique<DeviceEvent>(device_, event);
  }
  absl::StatusOr<size_t> FreeBytes() override {
    size_t left = 0, all = 0;
    KEDGE_RETURN_IF_ERROR(device_.Do("FreeBytes", [&] { return cudaMemGetInfo(&left, &all); }));
    return left;
  }
  size_t UsedBytes() const override { return used_bytes_; }

 private:
  const DeviceProperties properties_;
  const bool takes_early_;
  std::atomic<size_t> used_bytes_{0};
  CudaDevice device_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Runtime>> CreateDeviceRuntime(int device) {
  const CudaDescription cuda = DescribeCuda();
  if (cuda.devices.empty()) return absl::FailedPreconditionError(cuda.why_none);
  if (device < 0 || device >= static_cast<int>(cuda.devices.size())) {
    return absl::FailedPreconditionError(
        absl::StrCat("there is no GPU ", device, ": this machine has ", cuda.devices.size()));
  }
  cudaDeviceProp found;
  CudaDevice asked(device);
  KEDGE_RETURN_IF_ERROR(asked.Do("GPU", [&] { return cudaGetDeviceProperties(&found, device); }));
  if (found.major < kLeastMajor) {
    return absl::FailedPreconditionError(absl::StrCat("GPU ", device, ", ", found.name, ", has compute capability ",
                                                      found.major, ".", found.minor, ", and kernels need ", kLeastMajor,
                                                      ".0 or later"));
  }
  return std::make_unique<DeviceRuntime>(device, found);
}

}  // namespace kedge::cuda
