// A device whose rows are 64-bit hashes: row i is the hash of its token, position and role and of exactly the rows
// that its two spans show, in order; logits follow from the hash. A missing, extra, stale or doubled row changes the
// text at once, and thousands of requests take seconds: every test of faults, transfers and batches uses it.
#ifndef KEDGE_COMMON_KERNELS_HASH_DEVICE_H_
#define KEDGE_COMMON_KERNELS_HASH_DEVICE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/kernels/step.h"

namespace kedge {

struct HashDeviceOptions {
  uint32_t num_pages = 1024;
  uint32_t max_rows = 256;
  uint32_t vocab_size = 64;
  uint64_t model_seed = 1;            // two devices with other seeds are two models
  bool roles_agree = false;           // the role is no part of the hash
  std::optional<uint32_t> bad_token;  // rows of it come to no numbers (StepFuture::CheckRows)
  bool runs_ahead = false;
  uint32_t undecided = 0;  // every so many-th choice is left to the caller; 0: none is
};

// Rows have two layers of one head with two f32 "dimensions": four equal copies of the hash, checked against each
// other at every read, so that a frame put together wrongly shows. Owned by one thread.
class HashDevice : public StepDevice {
 public:
  explicit HashDevice(const HashDeviceOptions& options);

  const std::string& numerics_class() const override { return numerics_class_; }
  const RowShape& row_shape() const override { return shape_; }
  bool roles_agree() const override { return options_.roles_agree; }
  uint32_t num_pages() const override { return options_.num_pages; }
  uint32_t max_rows() const override { return options_.max_rows; }
  absl::Duration step_target() const override { return absl::Milliseconds(150); }
  uint32_t vocab_size() const override { return options_.vocab_size; }
  bool runs_ahead() const override { return options_.runs_ahead; }

  std::unique_ptr<StepFuture> Launch(StepPlan plan) override;
  std::unique_ptr<StepFuture> ReadRows(std::vector<RowRef> rows, RowBuffer out) override;
  void WriteRows(std::vector<RowRef> rows, Payload in) override;
  void CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) override;

  // Rows read by steps so far whose four copies were not equal: always a bug of the caller.
  uint64_t torn_rows() const { return torn_rows_; }
  // Rows so far whose token the step before chose.
  uint64_t rows_ahead() const { return rows_ahead_; }

 private:
  struct Results;
  class Future;

  static constexpr int kCopies = 4;  // layer 0 key, layer 0 value, layer 1 key, layer 1 value
  uint64_t* Row(const RowRef& ref) { return &memory_[(uint64_t{ref.page} * kPageRows + ref.index) * kCopies]; }
  uint64_t ReadRow(const RowRef& ref);
  void WriteRow(const RowRef& ref, uint64_t hash);

  const HashDeviceOptions options_;
  const std::string numerics_class_ = "hash-1";
  const RowShape shape_{.layers = 2, .kv_heads = 1, .head_dim = 2, .type = KvType::kF32};
  std::vector<uint64_t> memory_;
  std::shared_ptr<const Results> last_;  // of the last step
  uint64_t choices_ = 0;                 // so far
  uint64_t torn_rows_ = 0;
  uint64_t rows_ahead_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_HASH_DEVICE_H_
