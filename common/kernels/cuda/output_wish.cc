// Tested by choose_token_test.cc.
#include "common/kernels/cuda/output_wish.h"

#include "common/kernels/choose_token.h"
#include "common/kernels/elementary.h"

namespace kedge::cuda {

OutputWish MakeWish(const TokenChoice& choice) {
  OutputWish wish = {.temperature = choice.temperature, .top_p = choice.top_p, .top_k = choice.top_k};
  if (choice.temperature > 0.0f) wish.uniform = UniformOf(choice);
  if (choice.min_p > 0.0f) {
    wish.log_min_p = LogDouble(choice.min_p);
    wish.has_min_p = 1;
  }
  return wish;
}

OutputWish WishForLogits() { return {.wants_logits = 1}; }

}  // namespace kedge::cuda
