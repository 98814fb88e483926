// Tested by emulated_runtime_test.cc.
#include "common/kernels/cuda/emulated/emulated_runtime.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/kernels/cuda/emulated/grid.h"
#include "common/kernels/cuda/emulated/guarded_memory.h"
#include "common/kernels/cuda/emulated/seen.h"
#include "common/kernels/cuda/emulated/work_order.h"

namespace kedge::cuda {
namespace {

using emulated::EventState;
using emulated::GuardedMemory;
using emulated::WorkOrder;
using emulated::WorkQueue;

// What the objects of a runtime share.
struct Device {
  explicit Device(EmulatedOptions options) : options(std::move(options)), order(this->options.seed) {}

  absl::Status Ask(absl::string_view call) const { return options.fault ? options.fault(call) : absl::OkStatus(); }
  const GuardedMemory* Find(const void* address) const;
  absl::Status CheckRange(absl::string_view what, const void* address, size_t bytes) const;
  absl::Status CheckAddresses(const KernelCall& call) const;
  void CheckZones() const;

  const EmulatedOptions options;
  std::mutex mutex;  // not Abseil's, which TSan does not see through; held while work is done
  WorkOrder order;
  std::map<const uint8_t*, const GuardedMemory*> memories;  // of the device and pinned, by where they begin
  size_t used_bytes = 0;                                    // of the device's
  uint64_t launches = 0;
};

using Lock = std::lock_guard<std::mutex>;

const GuardedMemory* Device::Find(const void* address) const {
  auto it = memories.upper_bound(static_cast<const uint8_t*>(address));
  if (it == memories.begin()) return nullptr;
  const GuardedMemory* memory = std::prev(it)->second;
  return memory->Holds(address, 0) ? memory : nullptr;
}

absl::Status Device::CheckRange(absl::string_view what, const void* address, size_t bytes) const {
  const GuardedMemory* memory = Find(address);
  if (memory == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is memory neither of the device nor pinned"));
  }
  if (!memory->Holds(address, bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", bytes, " bytes reach beyond a memory of ",
                                                   memory->bytes(), " by offset ",
                                                   static_cast<const uint8_t*>(address) - memory->data()));
  }
  return absl::OkStatus();
}

absl::Status Device::CheckAddresses(const KernelCall& call) const {
  for (size_t i = 0; i < call.addresses.size(); ++i) {
    if (call.addresses[i] == nullptr) continue;
    KEDGE_RETURN_IF_ERROR(CheckRange(absl::StrCat("launch: pointer ", i, " of the arguments"), call.addresses[i], 0));
  }
  return absl::OkStatus();
}

void Device::CheckZones() const {
  for (const auto& [begin, memory] : memories) {
    if (memory->IsIntact()) continue;
    std::fprintf(stderr, "emulated device: the kernel wrote before or behind a memory of %zu bytes\n", memory->bytes());
    std::abort();
  }
}

class EmulatedMemory : public Memory {
 public:
  EmulatedMemory(Device& device, size_t bytes, bool is_pinned)
      : device_(device), charged_(is_pinned ? 0 : bytes), memory_(bytes) {
    device_.memories[memory_.data()] = &memory_;
    device_.used_bytes += charged_;
  }
  ~EmulatedMemory() override {
    const Lock lock(device_.mutex);
    device_.order.FinishAll();
    device_.memories.erase(memory_.data());
    device_.used_bytes -= charged_;
  }
  uint8_t* data() const override { return memory_.data(); }
  size_t bytes() const override { return memory_.bytes(); }

 private:
  Device& device_;
  const size_t charged_;
  const GuardedMemory memory_;
};

class EmulatedEvent : public Event {
 public:
  explicit EmulatedEvent(Device& device) : device_(device) {}
  absl::StatusOr<bool> IsDone() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("IsDone"));
    device_.order.Drift();
    if (state_->IsDone()) device_.order.Finish(*state_);  // for its order
    return state_->IsDone();
  }
  absl::Status Wait() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("Wait"));
    device_.order.Finish(*state_);
    return absl::OkStatus();
  }
  absl::StatusOr<absl::Duration> Since(const Event& begin) const override {
    const Lock lock(device_.mutex);
    const EventState& from = *static_cast<const EmulatedEvent&>(begin).state_;
    if (from.recorded == 0 || state_->recorded == 0 || !from.IsDone() || !state_->IsDone()) {
      return absl::FailedPreconditionError("Since: an event was not recorded, or is not done");
    }
    return absl::FromChrono(state_->when - from.when);
  }
  const std::shared_ptr<EventState>& state() const { return state_; }

 private:
  Device& device_;
  const std::shared_ptr<EventState> state_ = std::make_shared<EventState>();
};

class EmulatedGraph : public Graph {
 public:
  std::vector<std::function<void()>> work;
};

class EmulatedStream : public Stream {
 public:
  explicit EmulatedStream(Device& device) : device_(device), queue_(*device.order.NewQueue()) {}
  ~EmulatedStream() override {
    const Lock lock(device_.mutex);
    device_.order.Finish(queue_);
    device_.order.DeleteQueue(&queue_);
  }

  absl::Status Copy(void* to, const void* from, size_t bytes) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("Copy"));
    KEDGE_RETURN_IF_ERROR(device_.CheckRange("Copy: `to`", to, bytes));
    KEDGE_RETURN_IF_ERROR(device_.CheckRange("Copy: `from`", from, bytes));
    Add([to, from, bytes] { emulated::SeenCopy(to, from, bytes); });
    return absl::OkStatus();
  }

  absl::Status Fill(void* to, uint8_t value, size_t bytes) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("Fill"));
    KEDGE_RETURN_IF_ERROR(device_.CheckRange("Fill: `to`", to, bytes));
    Add([to, value, bytes] { emulated::SeenFill(to, value, bytes); });
    return absl::OkStatus();
  }

  absl::Status Launch(const LaunchShape& shape, const KernelCall& call) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("Launch"));
    KEDGE_CHECK(call.body != nullptr);
    KEDGE_RETURN_IF_ERROR(emulated::CheckShape(shape));
    KEDGE_RETURN_IF_ERROR(device_.CheckAddresses(call));
    emulated::GridOptions options;
    if (device_.options.seed) options.seed = *device_.options.seed + device_.launches++;
    Add([&device = device_, shape, options, body = call.body] {
      emulated::RunGrid(shape, options, body);
      device.CheckZones();
    });
    return absl::OkStatus();
  }

  absl::Status Record(Event& event) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(Ready("Record"));
    device_.order.AddRecord(queue_, static_cast<EmulatedEvent&>(event).state());
    return absl::OkStatus();
  }
  absl::Status WaitFor(const Event& event) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(Ready("WaitFor"));
    device_.order.AddWait(queue_, static_cast<const EmulatedEvent&>(event).state());
    return absl::OkStatus();
  }
  absl::Status Wait() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(Ready("Wait"));
    device_.order.Finish(queue_);
    return absl::OkStatus();
  }

  absl::Status BeginGraph() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(Ready("BeginGraph"));
    graph_ = std::make_unique<EmulatedGraph>();
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<Graph>> EndGraph() override {
    const Lock lock(device_.mutex);
    if (graph_ == nullptr) return absl::FailedPreconditionError("EndGraph: the stream does not record a graph");
    std::unique_ptr<Graph> graph = std::move(graph_);
    KEDGE_RETURN_IF_ERROR(device_.Ask("EndGraph"));
    return graph;
  }
  absl::Status Replay(const Graph& graph) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(Ready("Replay"));
    for (const auto& work : static_cast<const EmulatedGraph&>(graph).work) device_.order.Add(queue_, work);
    return absl::OkStatus();
  }

 private:
  absl::Status Ready(absl::string_view call) const {
    KEDGE_RETURN_IF_ERROR(device_.Ask(call));
    if (graph_ == nullptr) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(call, ": the stream records a graph"));
  }
  void Add(std::function<void()> work) {
    if (graph_ != nullptr) {
      graph_->work.push_back(std::move(work));
    } else {
      device_.order.Add(queue_, std::move(work));
    }
  }

  Device& device_;
  WorkQueue& queue_;
  std::unique_ptr<EmulatedGraph> graph_;  // while one is recorded
};

class EmulatedRuntime : public Runtime {
 public:
  explicit EmulatedRuntime(EmulatedOptions options) : device_(std::move(options)), properties_(device_.options.properties) {
    properties_.memory_bytes = device_.options.memory_bytes;
  }

  const DeviceProperties& properties() const override { return properties_; }

  absl::StatusOr<std::unique_ptr<Memory>> NewMemory(size_t bytes) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("NewMemory"));
    const size_t left = device_.options.memory_bytes - device_.used_bytes;
    if (bytes > left) {
      return absl::ResourceExhaustedError(
          absl::StrCat("NewMemory: ", bytes, " bytes, of the device's memory ", left, " are left"));
    }
    return std::make_unique<EmulatedMemory>(device_, bytes, false);
  }
  absl::StatusOr<std::unique_ptr<Memory>> NewPinnedMemory(size_t bytes) override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("NewPinnedMemory"));
    return std::make_unique<EmulatedMemory>(device_, bytes, true);
  }
  absl::StatusOr<std::unique_ptr<Stream>> NewStream() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("NewStream"));
    return std::make_unique<EmulatedStream>(device_);
  }
  absl::StatusOr<std::unique_ptr<Event>> NewEvent() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("NewEvent"));
    return std::make_unique<EmulatedEvent>(device_);
  }
  absl::StatusOr<size_t> FreeBytes() override {
    const Lock lock(device_.mutex);
    KEDGE_RETURN_IF_ERROR(device_.Ask("FreeBytes"));
    return device_.options.memory_bytes - device_.used_bytes;
  }
  size_t UsedBytes() const override {
    const Lock lock(device_.mutex);
    return device_.used_bytes;
  }

 private:
  mutable Device device_;
  DeviceProperties properties_;
};

}  // namespace

std::unique_ptr<Runtime> CreateEmulatedRuntime(EmulatedOptions options) {
  return std::make_unique<EmulatedRuntime>(std::move(options));
}

}  // namespace kedge::cuda
