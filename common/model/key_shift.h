// What keys in few bits are shifted by.
#ifndef KEDGE_COMMON_MODEL_KEY_SHIFT_H_
#define KEDGE_COMMON_MODEL_KEY_SHIFT_H_

#include <vector>

#include "absl/types/span.h"
#include "common/model/rope.h"

namespace kedge {

// Adding one vector to all keys of a head adds one number to all scores of a query: attention is the same. Models with
// biases of keys (Qwen2) have some of a hundred times the size of all else in the dimensions that are turned slowest, so
// that they are nearly the same in every key, and these take the steps of a common scale from their neighbours. So the
// bias, as a row at position 0 has it, is taken off in every dimension that turns by less than a radian over the whole
// context, where what is left of it is less than it was.
//
// bias: [kv_heads * head_dim], pairs side by side. Returns what is added to turned keys: as many numbers, 0 elsewhere.
std::vector<float> KeyShift(absl::Span<const float> bias, const RopeTable& table, int head_dim, int context_length);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_KEY_SHIFT_H_
