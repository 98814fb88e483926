// Tested by bench_text_test.cc.
#include "bench/bench_text.h"

#include <utility>

#include "common/base/status.h"
#include "eval/held_out.h"

namespace kedge {

absl::StatusOr<BenchText> BenchText::Make(const Tokenizer& tokenizer) {
  std::vector<uint32_t> ids;
  for (const HeldOutDocument& document : CalibrationDocuments()) {
    KEDGE_ASSIGN_OR_RETURN(const std::vector<uint32_t> more, tokenizer.Encode(document.text));
    ids.insert(ids.end(), more.begin(), more.end());
  }
  if (ids.empty()) return absl::InvalidArgumentError("the model's tokenizer makes nothing of the built-in texts");
  return BenchText(std::move(ids));
}

std::vector<uint32_t> BenchText::Take(uint64_t number, uint32_t count) const {
  // A stride that shares no divisor with the length meets every place before it meets one again.
  constexpr uint64_t kStride = 7919;
  const uint64_t stride = ids_.size() % kStride == 0 ? 1 : kStride;
  size_t place = number % ids_.size() * stride % ids_.size();
  std::vector<uint32_t> taken(count);
  for (uint32_t& id : taken) {
    id = ids_[place];
    place = place + 1 == ids_.size() ? 0 : place + 1;
  }
  return taken;
}

}  // namespace kedge
