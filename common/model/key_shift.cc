// Tested by key_shift_test.cc.
#include "common/model/key_shift.h"

namespace kedge {

std::vector<float> KeyShift(absl::Span<const float> bias, const RopeTable& table, int head_dim, int context_length) {
  std::vector<float> shift(bias.size());
  for (size_t i = 0; i < bias.size(); ++i) {
    const size_t pair = i % head_dim / 2;
    const bool is_turned = pair < table.inverse_frequencies.size();
    if (is_turned && table.inverse_frequencies[pair] * static_cast<float>(context_length) > 1) continue;
    shift[i] = -bias[i] * (is_turned ? table.magnitude : 1);
  }
  return shift;
}

}  // namespace kedge
