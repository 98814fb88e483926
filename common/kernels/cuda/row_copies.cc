// Tested by tests/cuda_steps_test.cc.
#include "common/kernels/cuda/row_copies.h"

#include <cstring>

#include "common/base/status.h"
#include "common/kernels/cuda/pending_step.h"  // DeviceLost

namespace kedge::cuda {
namespace {

// Rows on their way to the host, and their checksum, if one comes; where `out` is not pinned, rows come by way of a
// block that is.
class PendingRows final : public Pending {
 public:
  PendingRows(std::shared_ptr<Event> done, RowBuffer out, std::shared_ptr<Block> by_way, std::shared_ptr<Block> sum,
              DeviceHealth health)
      : done_(std::move(done)),
        out_(std::move(out)),
        by_way_(std::move(by_way)),
        sum_(std::move(sum)),
        health_(std::move(health)) {}

  bool Ready() override {
    const absl::StatusOr<bool> done = done_->IsDone();
    return !done.ok() || *done;
  }
  absl::Status Wait() override {
    if (const absl::Status status = done_->Wait(); !status.ok()) {
      *health_ = status;
      return DeviceLost(status);
    }
    if (by_way_ != nullptr) std::memcpy(out_.bytes.data(), by_way_->data(), out_.bytes.size());
    if (sum_ != nullptr) std::memcpy(&out_.sum->xxh3.emplace(), sum_->data(), sizeof(uint64_t));
    by_way_ = sum_ = nullptr;
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<Event> done_;
  const RowBuffer out_;
  std::shared_ptr<Block> by_way_, sum_;
  const DeviceHealth health_;
};

class NoRows final : public Pending {
 public:
  bool Ready() override { return true; }
  absl::Status Wait() override { return absl::OkStatus(); }
};

}  // namespace

RowCopies::RowCopies(Runtime* runtime, const Kernels* kernels, Stream* compute, BlockPool* pinned,
                     DeviceHealth health)
    : runtime_(runtime),
      kernels_(kernels),
      compute_(compute),
      pinned_(pinned),
      device_([runtime](size_t bytes) { return runtime->NewMemory(bytes); }),
      health_(std::move(health)) {}

absl::StatusOr<std::unique_ptr<RowCopies>> RowCopies::Create(Runtime* runtime, const Kernels* kernels, Stream* compute,
                                                             BlockPool* pinned, DeviceHealth health) {
  std::unique_ptr<RowCopies> copies(new RowCopies(runtime, kernels, compute, pinned, std::move(health)));
  KEDGE_ASSIGN_OR_RETURN(copies->to_device_, runtime->NewStream());
  KEDGE_ASSIGN_OR_RETURN(copies->to_host_, runtime->NewStream());
  return copies;
}

RowBuffer RowCopies::NewBuffer(size_t size) {
  absl::StatusOr<std::shared_ptr<Block>> block = pinned_->Take(size);
  if (!block.ok()) return RowBuffer::Plain(size);
  return {*block, absl::Span<uint8_t>((*block)->data(), size)};
}

absl::StatusOr<std::shared_ptr<Event>> RowCopies::RecordIn(Stream& stream) {
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Event> event, runtime_->NewEvent());
  KEDGE_RETURN_IF_ERROR(stream.Record(*event));
  return event;
}

absl::StatusOr<std::shared_ptr<Block>> RowCopies::Upload(absl::Span<const RowRef> rows) {
  const size_t bytes = rows.size() * sizeof(RowRef);
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> from, pinned_->Take(bytes));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Block> to, device_.Take(bytes));
  std::memcpy(from->data(), rows.data(), bytes);
  KEDGE_RETURN_IF_ERROR(compute_->Copy(to->data(), from->data(), bytes));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Event> copied, RecordIn(*compute_));
  from->UsedUntil(copied);
  return to;
}

absl::StatusOr<std::shared_ptr<Block>> RowCopies::Sum(const RowSum& wanted, const Block& frame, size_t bytes) {
  if (wanted.prefix.size() != kFramePrefixBytes || bytes < kLeastSummedBytes) return nullptr;
  SummedFrame summed{.data = frame.data(), .bytes = bytes};
  std::memcpy(summed.prefix, wanted.prefix.data(), kFramePrefixBytes);
  constexpr size_t kSumAt = 256;  // behind what is summed; both fit one block
  static_assert(sizeof(summed) <= kSumAt);
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Block> host, pinned_->Take(kSumAt + sizeof(summed)));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> device, device_.Take(kSumAt + sizeof(uint64_t)));
  std::memcpy(host->data() + kSumAt, &summed, sizeof(summed));
  KEDGE_RETURN_IF_ERROR(to_host_->Copy(device->data(), host->data() + kSumAt, sizeof(summed)));
  KEDGE_RETURN_IF_ERROR(kernels_->checksum(*to_host_, reinterpret_cast<const SummedFrame*>(device->data()), 1,
                                           reinterpret_cast<uint64_t*>(device->data() + kSumAt)));
  KEDGE_RETURN_IF_ERROR(to_host_->Copy(host->data(), device->data() + kSumAt, sizeof(uint64_t)));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Event> done, RecordIn(*to_host_));
  device->UsedUntil(done);
  host->UsedUntil(std::move(done));
  return host;
}

void RowCopies::Hold(Payload payload, std::shared_ptr<Event> until, Held& held) {
  while (!held.empty()) {
    const absl::StatusOr<bool> done = held.front().second->IsDone();
    if (!done.ok() || !*done) break;
    held.pop_front();
  }
  held.emplace_back(std::move(payload), std::move(until));
}

absl::StatusOr<std::unique_ptr<Pending>> RowCopies::Read(const CudaPages& pages, absl::Span<const RowRef> rows,
                                                         RowBuffer out) {
  if (rows.empty()) return std::make_unique<NoRows>();
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> refs, Upload(rows));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> frame, device_.Take(out.bytes.size()));
  KEDGE_RETURN_IF_ERROR(kernels_->gather_rows(*compute_, pages.view, reinterpret_cast<const RowRef*>(refs->data()),
                                              static_cast<int>(rows.size()), frame->data()));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Event> gathered, RecordIn(*compute_));
  refs->UsedUntil(gathered);
  std::shared_ptr<Block> by_way;
  if (!pinned_->Holds(out.bytes.data(), out.bytes.size())) {
    KEDGE_ASSIGN_OR_RETURN(by_way, pinned_->Take(out.bytes.size()));
  }
  KEDGE_RETURN_IF_ERROR(to_host_->WaitFor(*gathered));
  std::shared_ptr<Block> sum;
  if (out.sum != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(sum, Sum(*out.sum, *frame, out.bytes.size()));
  }
  KEDGE_RETURN_IF_ERROR(to_host_->Copy(by_way == nullptr ? out.bytes.data() : by_way->data(), frame->data(),
                                       out.bytes.size()));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Event> done, RecordIn(*to_host_));
  frame->UsedUntil(done);
  if (by_way != nullptr) by_way->UsedUntil(done);
  Hold(out.Share(), done, held_to_host_);  // whoever asked may let go before
  return std::make_unique<PendingRows>(std::move(done), std::move(out), std::move(by_way), std::move(sum),
                                       health_);
}

absl::Status RowCopies::Write(const CudaPages& pages, absl::Span<const RowRef> rows, Payload in) {
  if (rows.empty()) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> frame, device_.Take(in.bytes.size()));
  const uint8_t* from = in.bytes.data();
  std::shared_ptr<Block> by_way;
  if (!pinned_->Holds(from, in.bytes.size())) {
    KEDGE_ASSIGN_OR_RETURN(by_way, pinned_->Take(in.bytes.size()));
    std::memcpy(by_way->data(), from, in.bytes.size());
    from = by_way->data();
  }
  KEDGE_RETURN_IF_ERROR(to_device_->Copy(frame->data(), from, in.bytes.size()));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<Event> copied, RecordIn(*to_device_));
  if (by_way != nullptr) by_way->UsedUntil(copied);
  KEDGE_RETURN_IF_ERROR(compute_->WaitFor(*copied));
  if (by_way == nullptr) Hold(std::move(in), std::move(copied), held_to_device_);
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> refs, Upload(rows));
  KEDGE_RETURN_IF_ERROR(kernels_->scatter_rows(*compute_, frame->data(),
                                               reinterpret_cast<const RowRef*>(refs->data()),
                                               static_cast<int>(rows.size()), pages.view));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Event> scattered, RecordIn(*compute_));
  refs->UsedUntil(scattered);
  frame->UsedUntil(scattered);
  return absl::OkStatus();
}

absl::Status RowCopies::Copy(const CudaPages& pages, absl::Span<const RowRef> from, absl::Span<const RowRef> to) {
  if (from.empty()) return absl::OkStatus();
  const int count = static_cast<int>(from.size());
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> from_refs, Upload(from));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> to_refs, Upload(to));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Block> frame, device_.Take(from.size() * pages.shape.row_bytes()));
  KEDGE_RETURN_IF_ERROR(kernels_->gather_rows(
      *compute_, pages.view, reinterpret_cast<const RowRef*>(from_refs->data()), count, frame->data()));
  KEDGE_RETURN_IF_ERROR(kernels_->scatter_rows(
      *compute_, frame->data(), reinterpret_cast<const RowRef*>(to_refs->data()), count, pages.view));
  KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<Event> done, RecordIn(*compute_));
  for (const std::shared_ptr<Block>& block : {from_refs, to_refs, frame}) block->UsedUntil(done);
  return absl::OkStatus();
}

}  // namespace kedge::cuda
