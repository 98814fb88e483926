// A step's plan as the arrays that kernels read, and where what comes of it lies.
#ifndef KEDGE_COMMON_KERNELS_CUDA_STEP_ARRAYS_H_
#define KEDGE_COMMON_KERNELS_CUDA_STEP_ARRAYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/kernels/cuda/arrays.h"
#include "common/kernels/step.h"

namespace kedge::cuda {

// Where things lie in a block, each aligned.
class Layout {
 public:
  // Returns where so many bytes begin.
  size_t Add(size_t bytes) {
    const size_t at = bytes_;
    bytes_ = (bytes_ + bytes + 255) / 256 * 256;
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// Steps of one shape are one recorded graph: they differ in what the arrays hold alone.
struct GraphShape {
  int rows = 0;        // all of them with an output that is to be a token
  int most_pages = 0;  // seen by a row
  friend auto operator<=>(const GraphShape&, const GraphShape&) = default;
};
// A step of rows of different requests, each of which wants a token, takes the next larger shape; its last rows are
// nobody's. Other steps have none.
std::optional<GraphShape> ShapeOf(const StepPlan& plan, uint32_t max_rows);

// At most so many rows are nobody's: they lie in a page of their own.
inline constexpr int kMostPaddingRows = 15;
static_assert(kMostPaddingRows < static_cast<int>(kPageRows));

class StepArrays {
 public:
  // `spare`: the page of rows that are nobody's.
  StepArrays(const StepPlan& plan, std::optional<GraphShape> shape, PageId spare);

  // --- What goes to the device: one block ---
  size_t upload_bytes() const { return upload_.bytes(); }
  // host_logits: of output i that may come to the host, pinned (NumHostLogits() of them, `columns` floats each).
  void Write(float* host_logits, int columns, uint8_t* block) const;
  int NumHostLogits() const { return num_host_logits_; }
  // Of output i; -1: they are not wanted, and the device always decides.
  int HostLogitsOf(size_t output) const { return host_logits_of_[output]; }

  // --- The arrays, if the blocks lie here ---
  Step StepAt(uint8_t* upload, const ChosenToken* chosen, uint8_t* results, float* turns) const;
  const RowTile* TilesAt(uint8_t* upload) const { return reinterpret_cast<RowTile*>(upload + tiles_at_); }
  const OutputWish* WishesAt(uint8_t* upload) const { return reinterpret_cast<OutputWish*>(upload + wishes_at_); }
  const uint32_t* WantingAt(uint8_t* upload) const { return reinterpret_cast<uint32_t*>(upload + wanting_at_); }
  const uint32_t* MassEndsAt(uint8_t* upload) const { return reinterpret_cast<uint32_t*>(upload + ends_at_); }
  // Queries of a layer.
  const MassQuery* MassQueriesAt(uint8_t* upload, int layer) const {
    return reinterpret_cast<MassQuery*>(upload + queries_at_) + first_query_[layer];
  }
  int NumMassQueries(int layer) const {
    return static_cast<size_t>(layer) + 1 < first_query_.size() ? first_query_[layer + 1] - first_query_[layer] : 0;
  }

  // --- What comes back ---
  // The tokens lie by themselves: the next step reads them, while it has faults and mass of its own.
  size_t chosen_bytes() const { return wishes_.size() * sizeof(ChosenToken); }
  // Faults, which hold kNoFault when the step begins, and behind them, from mass_at on, mass, which is 0.
  size_t result_bytes() const { return results_.bytes(); }
  size_t mass_at() const { return mass_at_; }
  const uint32_t* FaultsIn(const uint8_t* results) const { return reinterpret_cast<const uint32_t*>(results); }
  const uint32_t* MassIn(const uint8_t* results) const { return reinterpret_cast<const uint32_t*>(results + mass_at_); }
  // Where the sums of row i of those that want mass and head h begin, and how many there are: [i * heads + h].
  struct MassPlace {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  const std::vector<MassPlace>& mass_places() const { return mass_places_; }

  // Of the plan, and with those behind it that are nobody's.
  int plan_rows() const { return plan_rows_; }
  int plan_outputs() const { return plan_outputs_; }
  int num_rows() const { return static_cast<int>(rows_.size()); }
  int num_outputs() const { return static_cast<int>(wishes_.size()); }
  int num_tiles() const { return static_cast<int>(row_tiles_.size()); }
  // Seen by a row, K and R together.
  int most_pages() const { return most_pages_; }
  // By all rows together.
  size_t seen_pages() const { return seen_pages_; }

 private:
  void AddRows(const StepPlan& plan);
  void AddPadding(const GraphShape& shape, PageId spare);
  void AddMass(const StepPlan& plan);
  void Place();

  std::vector<StepRow> rows_;
  std::vector<RowTile> row_tiles_;
  std::vector<uint32_t> wanting_;
  std::vector<OutputWish> wishes_;
  std::vector<int> host_logits_of_;
  int num_host_logits_ = 0;
  std::vector<MassQuery> queries_;       // by layers
  std::vector<int> first_query_;         // [layers + 1]
  std::vector<uint32_t> ends_;
  std::vector<MassPlace> mass_places_;
  size_t num_sums_ = 0;
  std::vector<PageId> pages_;
  int most_pages_ = 1;
  size_t seen_pages_ = 0;
  int plan_rows_ = 0, plan_outputs_ = 0;

  Layout upload_, results_;
  size_t tiles_at_ = 0, wishes_at_ = 0, wanting_at_ = 0, queries_at_ = 0, ends_at_ = 0, pages_at_ = 0;
  size_t mass_at_ = 0;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_STEP_ARRAYS_H_
