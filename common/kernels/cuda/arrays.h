// What kernels take. All addresses are the device's, unless they say otherwise; plain structs that go by value.
#ifndef KEDGE_COMMON_KERNELS_CUDA_ARRAYS_H_
#define KEDGE_COMMON_KERNELS_CUDA_ARRAYS_H_

#include <cstddef>
#include <cstdint>

#include "common/kernels/row_shape.h"
#include "common/kernels/step.h"
#include "common/kernels/tensor_type.h"

namespace kedge::cuda {

// --- Activations ---

// [rows][stride], of which `columns` have a meaning. stride is a multiple of 32, so rows are aligned for any vector.
struct FloatRows {
  float* data = nullptr;
  int columns = 0;
  int stride = 0;
};

// Floats that products take, and beside them the same in 8 bits (fragments.h): whoever writes one writes both.
// `quantized` is null where columns is no multiple of 32: no quantised weights multiply such rows. Rows that were never
// written, and inputs behind `columns`, hold finite numbers.
struct OperandRows {
  FloatRows floats;
  uint8_t* quantized = nullptr;
};

// --- Weights (weights.h packs them) ---

enum class WeightForm : uint8_t {
  kF32,
  kF16,
  kBF16,
  kBytes,           // Q8_0: weight = half scale * int8
  kNibbles,         // Q4_0: half scale * (4 bits - 8)
  kNibblesMinimum,  // Q4_1: half scale * 4 bits + half minimum
  kNibblesPacked,   // Q4_K: the same with scale and minimum of 6 bits times a half each
  kBytesFloat,      // Q5_0, Q5_1, Q5_K: float scale * (0..31) + float minimum
  kBytesTwoScales,  // Q6_K: float scale * ((0..63) - 32), a scale for each 16 inputs
};
constexpr bool IsQuantized(WeightForm form) { return form >= WeightForm::kBytes; }

struct Matrix {
  WeightForm form = WeightForm::kF32;
  int outputs = 0;
  int inputs = 0;  // a multiple of 32 where the form is quantised
  const uint8_t* data = nullptr;
};

// --- A step ---

// A row of the plan. Kernels meet it with other rows behind the last one, up to the bucket of a recorded graph: these
// see nothing but themselves, in a page that is nobody's.
struct StepRow {
  uint32_t token = 0;
  int32_t chosen_before = -1;  // >= 0: not `token`, but that of Step::chosen
  uint32_t position = 0;
  uint32_t recent_begin = 0;
  uint32_t kept_end = 0;
  int32_t kept_index = -1;
  // Where the request's page ids begin in Step::pages: [recent_pages + p / 32] is the page of position p (modulo 2^32:
  // what lies before the first page is not there), [kept_pages + i / 32] that of row i of K.
  uint32_t recent_pages = 0;
  uint32_t kept_pages = 0;
  uint32_t pages_before = 0;  // that rows in front of this one see, all together
};

// A token as the device chose it.
struct ChosenToken {
  uint32_t token = 0;
  uint8_t is_decided = 0;  // else the host decides, by the logits
  uint8_t is_finite = 0;   // all logits of the row are numbers
  uint8_t unused[2] = {};
};

// What is to come of a row with an output. Numbers that need logarithms or hashes are the host's.
struct OutputWish {
  float temperature = 0;      // 0: the likeliest
  float top_p = 1;            // 1: off
  uint32_t top_k = 0;         // 0: off
  uint32_t wants_logits = 0;  // instead of a token
  double uniform = 0;         // the random number, in [0, 1)
  double log_min_p = 0;       // LogDouble(min_p); has_min_p
  float* host_logits = nullptr;  // pinned, [columns]: for logits that are wanted, or by which the host is to decide
  uint32_t has_min_p = 0;
  uint32_t unused = 0;
};

struct Step {
  int num_rows = 0;
  const StepRow* rows = nullptr;
  const PageId* pages = nullptr;
  const ChosenToken* chosen = nullptr;  // [outputs of the step before]
  // [rows] of the first rows that did not come to numbers: layer * 2 + (they were finite before they were rounded to
  // the KV type); kNoFault at the step's start. The least counts.
  uint32_t* faults = nullptr;
  // [rows][pairs]: cos and sin of what each pair of a head is turned by, as long as the model has it.
  float* turns = nullptr;
};
inline constexpr uint32_t kNoFault = UINT32_MAX;

// Rows of the step that go through their pages together: neighbours of one request, [begin, begin + count).
inline constexpr uint32_t kTileRows = 16;
struct RowTile {
  uint32_t begin = 0;
  uint32_t count = 0;  // 1 to kTileRows
};

// Whose attention is told. What the query gives to positions [0, ends[first_end]), [ends[first_end], ends[first_end +
// 1]) and so on is added to mass[first_mass] and those behind (StepFuture::Mass).
struct MassQuery {
  uint32_t row = 0;  // of the step
  uint32_t head = 0;
  uint32_t first_end = 0;
  uint32_t num_ends = 0;
  uint32_t first_mass = 0;
};

// --- KV rows ---

// [page][layer][kv head][keys, values], each [kPageRows][stride] numbers of the KV type and, where it has some, behind
// them their scales, [kPageRows][blocks] halves. Of a row head_dim numbers have a meaning; stride is the next multiple
// of 8, of types with scales of 16, so that rows are aligned to 16 bytes.
struct Pages {
  uint8_t* data = nullptr;
  KvType type = KvType::kF16;
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;

  __attribute__((always_inline)) constexpr int stride() const {
    return HasScales(type) ? (head_dim + 15) / 16 * 16 : (head_dim + 7) / 8 * 8;
  }
};
constexpr size_t PageBytes(const RowShape& shape) {
  const Pages pages = {.type = shape.type, .head_dim = static_cast<int>(shape.head_dim)};
  const size_t scales = HasScales(shape.type) ? ScaleBlocks(shape.head_dim) : 0;
  return size_t{2} * shape.layers * shape.kv_heads * kPageRows *
         (pages.stride() * KvTypeBytes(shape.type) + sizeof(uint16_t) * scales);
}

// What the checksum of a frame covers: 16 bytes of its header and the chain (common/anchor/FORMAT.md), then rows.
inline constexpr int kFramePrefixBytes = 48;
struct SummedFrame {
  alignas(16) uint8_t prefix[kFramePrefixBytes] = {};
  const uint8_t* data = nullptr;  // aligned to 16 bytes
  uint64_t bytes = 0;             // of data
};
// XXH3 takes shorter texts in other ways: they are the host's.
inline constexpr uint64_t kLeastSummedBytes = 241 - kFramePrefixBytes;

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_ARRAYS_H_
