// A node's device in a simulated cluster, whose steps take virtual time.
#ifndef KEDGE_TESTS_SIMULATED_DEVICE_H_
#define KEDGE_TESTS_SIMULATED_DEVICE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "common/kernels/step.h"

namespace kedge {

// What a step takes in virtual time. All zero: none, and engines that measure steps learn nothing.
struct StepPrice {
  absl::Duration step;
  absl::Duration row;
  bool is_free() const { return step + row == absl::ZeroDuration(); }
};

// A node's own time: the cluster's, or later while the node is at work on what it has begun.
class NodeClock : public Clock {
 public:
  explicit NodeClock(const Clock* clock) : clock_(clock) {}
  absl::Time Now() const override { return std::max(clock_->Now(), busy_until_); }
  void Spend(absl::Duration duration) { busy_until_ = Now() + duration; }
  bool is_busy() const { return busy_until_ > clock_->Now(); }

 private:
  const Clock* clock_;
  absl::Time busy_until_ = absl::InfinitePast();
};

// A HashDevice whose steps take time, which passes for the node that waits for them.
class PricedDevice : public HashDevice {
 public:
  PricedDevice(const HashDeviceOptions& options, const StepPrice& price, NodeClock* clock)
      : HashDevice(options), price_(price), clock_(clock) {}

  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    if (price_.is_free()) return HashDevice::Launch(std::move(plan));
    const absl::Duration takes = price_.step + static_cast<double>(plan.rows.size()) * price_.row;
    return std::make_unique<Future>(HashDevice::Launch(std::move(plan)), takes, clock_);
  }

 private:
  class Future : public StepFuture {
   public:
    Future(std::unique_ptr<StepFuture> inner, absl::Duration takes, NodeClock* clock)
        : inner_(std::move(inner)), takes_(takes), clock_(clock) {}
    absl::Status Wait() override {
      clock_->Spend(std::exchange(takes_, absl::ZeroDuration()));
      return inner_->Wait();
    }
    bool Ready() const override { return takes_ == absl::ZeroDuration(); }
    absl::Status CheckRows(size_t first, size_t count) const override { return inner_->CheckRows(first, count); }
    std::optional<uint32_t> Token(size_t i) const override { return inner_->Token(i); }
    absl::Span<const float> Logits(size_t i) const override { return inner_->Logits(i); }
    absl::Span<const uint32_t> Mass(size_t i, size_t h) const override { return inner_->Mass(i, h); }

   private:
    const std::unique_ptr<StepFuture> inner_;
    absl::Duration takes_;
    NodeClock* const clock_;
  };

  const StepPrice price_;
  NodeClock* const clock_;
};

// As it is, or behind one that does nothing before somebody waits.
class SimulatedDevice {
 public:
  SimulatedDevice(const HashDeviceOptions& options, bool deferred, const StepPrice& price, const Clock* clock)
      : clock_(std::make_unique<NodeClock>(clock)) {
    auto hash = std::make_unique<PricedDevice>(options, price, clock_.get());
    hash_ = hash.get();
    device_ = std::move(hash);
    if (deferred) device_ = std::make_unique<DeferredDevice>(std::move(device_));
  }
  const NodeClock& clock() const { return *clock_; }
  StepDevice* get() const { return device_.get(); }
  uint64_t torn_rows() const { return hash_->torn_rows(); }
  uint64_t rows_ahead() const { return hash_->rows_ahead(); }

 private:
  std::unique_ptr<NodeClock> clock_;
  HashDevice* hash_;
  std::unique_ptr<StepDevice> device_;
};

}  // namespace kedge

#endif  // KEDGE_TESTS_SIMULATED_DEVICE_H_
