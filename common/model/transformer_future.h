// What a TransformerDevice gives for work that it queued.
#ifndef KEDGE_COMMON_MODEL_TRANSFORMER_FUTURE_H_
#define KEDGE_COMMON_MODEL_TRANSFORMER_FUTURE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/kernels/ops.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"

namespace kedge {

class TransformerFuture final : public StepFuture {
 public:
  TransformerFuture(std::unique_ptr<const StepPlan> plan, KvType type, std::unique_ptr<PendingStep> pending);

  bool Ready() const override { return pending_->Ready(); }
  absl::Status Wait() override;
  absl::Status CheckRows(size_t first, size_t count) const override;
  std::optional<uint32_t> Token(size_t i) const override { return outcome().outputs[i].token; }
  std::optional<absl::Duration> DeviceTime() const override { return outcome().device_time; }
  absl::Span<const float> Logits(size_t i) const override { return outcome().outputs[i].logits; }
  absl::Span<const uint32_t> Mass(size_t i, size_t h) const override {
    return outcome().mass[i * plan_->mass_heads.size() + h];
  }

 private:
  const StepOutcome& outcome() const { return pending_->outcome(); }
  void FindBadRows();

  const std::unique_ptr<const StepPlan> plan_;
  const KvType type_;
  const std::unique_ptr<PendingStep> pending_;
  std::optional<absl::Status> status_;      // once it was waited for
  std::map<size_t, absl::Status> bad_rows_;  // that CheckRows tells of
};

// Of a copy: it has neither rows nor outputs.
class CopyFuture : public StepFuture {
 public:
  explicit CopyFuture(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}

  bool Ready() const override { return pending_->Ready(); }
  absl::Status Wait() override { return pending_->Wait(); }
  absl::Status CheckRows(size_t first, size_t count) const override { return absl::OkStatus(); }
  std::optional<uint32_t> Token(size_t i) const override { return std::nullopt; }
  absl::Span<const float> Logits(size_t i) const override { return {}; }
  absl::Span<const uint32_t> Mass(size_t i, size_t h) const override { return {}; }

 private:
  const std::unique_ptr<Pending> pending_;
};

// Of a plan that was refused.
class FailedFuture final : public CopyFuture {
 public:
  explicit FailedFuture(absl::Status status) : CopyFuture(std::make_unique<Failed>(std::move(status))) {}

 private:
  struct Failed final : Pending {
    explicit Failed(absl::Status status) : status(std::move(status)) {}
    bool Ready() override { return true; }
    absl::Status Wait() override { return status; }
    const absl::Status status;
  };
};

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_TRANSFORMER_FUTURE_H_
