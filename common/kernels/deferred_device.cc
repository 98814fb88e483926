// A queue of closures. Tested by the equality tests of common/engine, which run every claim on it as well.
#include "common/kernels/deferred_device.h"

#include <utility>

namespace kedge {

class DeferredDevice::Future : public StepFuture {
 public:
  Future(DeferredDevice* device, std::shared_ptr<Outcome> outcome) : device_(device), outcome_(std::move(outcome)) {}

  absl::Status Wait() override {
    if (!outcome_->done) device_->RunUntil(outcome_.get());
    return outcome_->status;
  }
  bool Ready() const override { return outcome_->done; }
  absl::Status CheckRows(size_t first, size_t count) const override { return outcome_->inner->CheckRows(first, count); }
  std::optional<uint32_t> Token(size_t i) const override { return outcome_->inner->Token(i); }
  absl::Span<const float> Logits(size_t i) const override { return outcome_->inner->Logits(i); }
  absl::Span<const uint32_t> Mass(size_t i, size_t h) const override { return outcome_->inner->Mass(i, h); }

 private:
  DeferredDevice* device_;
  std::shared_ptr<Outcome> outcome_;
};

DeferredDevice::DeferredDevice(std::unique_ptr<StepDevice> device) : device_(std::move(device)) {}

DeferredDevice::~DeferredDevice() = default;

std::unique_ptr<StepFuture> DeferredDevice::Enqueue(std::function<std::unique_ptr<StepFuture>()> work) {
  auto outcome = std::make_shared<Outcome>();
  queue_.emplace_back(std::move(work), outcome);
  return std::make_unique<Future>(this, std::move(outcome));
}

void DeferredDevice::RunUntil(const Outcome* outcome) {
  bool reached = false;
  while (!reached && !queue_.empty()) {
    auto [work, result] = std::move(queue_.front());
    queue_.pop_front();
    result->inner = work();
    if (result->inner != nullptr) result->status = result->inner->Wait();
    result->done = true;
    reached = result.get() == outcome;
  }
}

std::unique_ptr<StepFuture> DeferredDevice::Launch(StepPlan plan) {
  return Enqueue([this, plan = std::move(plan)] { return device_->Launch(plan); });
}

std::unique_ptr<StepFuture> DeferredDevice::ReadRows(std::vector<RowRef> rows, RowBuffer out) {
  return Enqueue([this, rows = std::move(rows), out = std::move(out)] { return device_->ReadRows(rows, out); });
}

void DeferredDevice::EnqueueCopy(std::function<void()> copy) {
  Enqueue([copy = std::move(copy)]() -> std::unique_ptr<StepFuture> {
    copy();
    return nullptr;
  });
}

void DeferredDevice::WriteRows(std::vector<RowRef> rows, Payload in) {
  EnqueueCopy([this, rows = std::move(rows), in = std::move(in)] { device_->WriteRows(rows, in); });
}

void DeferredDevice::CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) {
  EnqueueCopy([this, from = std::move(from), to = std::move(to)] { device_->CopyRows(from, to); });
}

}  // namespace kedge
