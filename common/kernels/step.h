// The seam between the engine and whatever computes: one step over rows of many requests.
//
// A device owns pages of KV rows and runs steps in the order of their launch; nothing above this header assumes that
// a step, or a copy of rows, is done before its future has been waited for. Backends: TransformerDevice over any
// Ops (common/model), DeferredDevice, which runs another device only when it is waited for, and
// HashDevice, whose rows are hashes of exactly the rows that they were shown.
//
// The bit contract. The bits of a row's keys, values and logits depend on that row's inputs (token, position, the
// rows that its spans show), its role and the device's numerics class alone: not on what shares the step, threads,
// where a prompt was cut into chunks, or which pages hold the rows. Keys and values are always read back through the
// KV type, those of the same step included. Failover, caching and batching promise the same text because of this.
#ifndef KEDGE_COMMON_KERNELS_STEP_H_
#define KEDGE_COMMON_KERNELS_STEP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/payload.h"
#include "common/kernels/head_ref.h"
#include "common/kernels/row_buffer.h"
#include "common/kernels/row_shape.h"

namespace kedge {

// A page holds kPageRows rows of keys and values, of all layers and heads. It is also the fixed block in which
// attention sums: rows of R by absolute position (row p lies in page p / 32 at index p % 32), rows of K by their index.
inline constexpr uint32_t kPageRows = 32;
using PageId = uint32_t;

// A prompt row or a generated one. A numerics class may use other kernels for each; `cpu` uses the same.
enum class Role : uint8_t { kPrompt = 0, kGenerated = 1 };

// How the token behind a row is chosen from its logits alone (choose_token.h).
struct TokenChoice {
  float temperature = 1;  // 0: greedy
  float top_p = 1;        // (0, 1]; 1: off
  float min_p = 0;        // [0, 1]; 0: off
  uint32_t top_k = 0;     // 0: off
  // What the random number is a function of.
  uint64_t seed = 0;
  uint32_t completion = 0;
  uint32_t position = 0;  // in the answer
};

// Where the rows of one request lie.
struct PageTables {
  uint32_t first_recent_page = 0;  // recent[0] holds positions [32 * first_recent_page, + 32)
  std::vector<PageId> recent;      // R
  std::vector<PageId> kept;        // K: kept[0] holds rows of K with index 0..31
};

// One row to compute. It is written to R at `position`, and, if kept_index >= 0, to K as well in the same step; it
// reads R[recent_begin, position] and K[0, kept_end).
struct PlanRow {
  uint32_t token = 0;
  uint32_t position = 0;
  uint32_t tables = 0;  // index into StepPlan::tables
  Role role = Role::kPrompt;
  uint32_t recent_begin = 0;
  uint32_t kept_end = 0;
  int32_t kept_index = -1;
  bool wants_logits = false;
  int32_t chosen_before = -1;  // >= 0: not `token`, but the one of that output of the step that was launched before
  int32_t choice = -1;         // >= 0: instead of its logits, the row wants a token, by StepPlan::choices[choice]
  bool wants_mass = false;

  bool has_output() const { return wants_logits || choice >= 0; }
};

// REQUIRES: rows of one request stand in ascending order of position, without gaps; spans show only rows written by
// earlier steps, by WriteRows or CopyRows, or by rows that stand before in the same step; at most max_rows() rows. What
// `chosen_before` names is an output of the step launched just before that wanted a token; `choice` is below
// choices.size().
struct StepPlan {
  std::vector<PlanRow> rows;
  std::vector<PageTables> tables;
  std::vector<TokenChoice> choices;
  // Whose attention rows with wants_mass report, and, [tables], where the ranges of positions end over which it is
  // summed: ascending, the first range begins with position 0. May be shorter than `tables`: no ranges.
  std::vector<HeadRef> mass_heads;
  std::vector<std::vector<uint32_t>> mass_ends;
};

// The ends of those ranges that begin at or before the row: it sees rows of no others. REQUIRES: `plan` outlives them.
inline absl::Span<const uint32_t> MassEnds(const StepPlan& plan, const PlanRow& row) {
  if (row.tables >= plan.mass_ends.size()) return {};
  const std::vector<uint32_t>& ends = plan.mass_ends[row.tables];
  const size_t before = std::upper_bound(ends.begin(), ends.end(), row.position) - ends.begin();
  return {ends.data(), std::min(before + 1, ends.size())};
}

// The result of a step or of a copy to the host. Owned by one thread. Destroying a future that was not waited for is
// allowed: the work is done all the same, in its turn.
class StepFuture {
 public:
  virtual ~StepFuture() = default;
  // Whether Wait would return at once.
  virtual bool Ready() const = 0;
  // Blocks until the work, and all work launched before it on the same device, is done.
  virtual absl::Status Wait() = 0;
  // Whether rows [first, first + count) of the plan came to numbers: OK, or kInternal that says what of which row is
  // infinite or no number, its keys and values in the KV type or its logits. Nothing that stands on such a row means
  // anything; other requests' rows are as good as ever. REQUIRES: Wait() returned OK; the future of a Launch.
  virtual absl::Status CheckRows(size_t first, size_t count) const = 0;
  // Of the i-th row with an output, in plan order, which wants a token: ChooseToken of its logits; nullopt where the
  // device leaves that to the caller; a row that was to take such a token (PlanRow::chosen_before) has taken any, and
  // is good for nothing. Means nothing where CheckRows does not hold. REQUIRES: Wait() returned OK; the future of a
  // Launch.
  virtual std::optional<uint32_t> Token(size_t i) const = 0;
  // How long the device was at work on the step, where it can tell. REQUIRES: Wait() returned OK.
  virtual std::optional<absl::Duration> DeviceTime() const { return std::nullopt; }
  // Logits [vocab] of the i-th row with an output, which wants them, or got no token. Valid as long as this lives.
  virtual absl::Span<const float> Logits(size_t i) const = 0;
  // Attention that head h of mass_heads, in the i-th row with wants_mass, gives to the rows of R that it sees, summed
  // by range (MassEnds): each row's in whole parts of kMassOne. All sums together are kMassOne, give or take half a
  // part for each row, so none is too large. Valid as Logits.
  virtual absl::Span<const uint32_t> Mass(size_t i, size_t h) const = 0;
};

inline constexpr PageId kNoPage = UINT32_MAX;  // in WriteRows: this row is passed over

struct RowRef {
  PageId page = 0;
  uint32_t index = 0;  // below kPageRows
};

// Owned by one thread.
class StepDevice {
 public:
  virtual ~StepDevice() = default;

  // Numerics class: two devices of one class and one model give the same bits. Of a node's device its name ends with
  // what a self-test gave (numerics_class.h): builds and machines which differ in a bit of that are two classes.
  virtual const std::string& numerics_class() const = 0;
  virtual const RowShape& row_shape() const = 0;
  // Whether a generated row comes to the same bits as a prompt row (Role): then an answer serves as part of the next
  // prompt.
  virtual bool roles_agree() const = 0;
  virtual uint32_t num_pages() const = 0;
  virtual uint32_t max_rows() const = 0;           // of one step
  virtual absl::Duration step_target() const = 0;  // how long a step should take: requests that join wait for its end
  virtual uint32_t vocab_size() const = 0;
  // Whether it pays to launch a step before the one before has been waited for, so that the device goes on while the
  // host does its part: one that computes within Launch has nothing to gain.
  virtual bool runs_ahead() const = 0;
  // Not OK, kUnavailable: the device is lost. All that is asked of it fails, and nothing brings it back.
  virtual absl::Status status() const { return absl::OkStatus(); }

  virtual std::unique_ptr<StepFuture> Launch(StepPlan plan) = 0;

  // Copies of rows, in turn with the steps. The device holds the bytes until it is done. All rows lie in its pages.

  // Memory for ReadRows, not cleared: pinned, where that is what the device copies to without waiting. Thread-safe.
  virtual RowBuffer NewRowBuffer(size_t size) const { return RowBuffer::Plain(size); }
  // Out of pages into `out`, [layer][kv head][key, value][row][dim] (the order of a frame): it has the rows when the
  // future has been waited for. REQUIRES: out.bytes.size() == rows.size() * row_shape().row_bytes().
  virtual std::unique_ptr<StepFuture> ReadRows(std::vector<RowRef> rows, RowBuffer out) = 0;

  // What follows only the device reads, so there is nothing to wait for; a device that cannot copy fails the steps that
  // come after.
  // From `in` into pages, in the order of a frame. REQUIRES: in.bytes.size() as above.
  virtual void WriteRows(std::vector<RowRef> rows, Payload in) = 0;
  // Row from[i] to to[i], as if all were read before the first is written: `to` may name pages of `from`.
  // REQUIRES: as many of each, no two of `to` alike.
  virtual void CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_STEP_H_
