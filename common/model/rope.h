// By which angles a model turns queries and keys.
#ifndef KEDGE_COMMON_MODEL_ROPE_H_
#define KEDGE_COMMON_MODEL_ROPE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/gguf.h"

namespace kedge {

// How a model's context was stretched beyond the one that it was trained on. Values of a file are checked by LoadRope.
struct RopeScaling {
  enum class Type {
    kNone,
    kLinear,  // all frequencies are divided by `factor`
    kYarn,    // only the slow ones are (Peng et al., "YaRN", ICLR 2024)
  };
  Type type = Type::kNone;
  double factor = 1;
  // --- YaRN: a pair that turns more than beta_fast times in the original context keeps its frequency, one that turns
  // less than beta_slow times is divided, and those between are blended. ---
  double original_context = 0;
  double beta_fast = 32;
  double beta_slow = 1;
};

// "none", "linear by 4", "yarn by 4 from 32768".
std::string RopeScalingText(const RopeScaling& scaling);

// What turns the heads of a model, all layers alike.
struct RopeConfig {
  int dim = 0;  // values of a head that are turned; even
  double freq_base = 10000;
  RopeScaling scaling;
  double attention_factor = 1;  // the model's own, beside YaRN's
};

// Reads `architecture`.rope.*, as llama.cpp does. kInvalidArgument names the file and the key: another type of scaling
// than none, linear and yarn, a number out of range. A factor of 1 (or 0) is no scaling.
absl::StatusOr<RopeConfig> LoadRope(const GgufFile& file, const std::string& architecture, int head_dim,
                                    int context_length);

// Ready for Ops::Rope.
struct RopeTable {
  std::vector<float> inverse_frequencies;  // [dim / 2]
  float magnitude = 1;                     // of what has been turned
};

// `factors`: of tensor rope_freqs.weight, by which frequencies are divided besides; empty or [dim / 2].
RopeTable MakeRopeTable(const RopeConfig& config, absl::Span<const float> factors);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_ROPE_H_
