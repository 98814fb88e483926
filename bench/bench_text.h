// Token ids to read and write with: of real text, as policies go by its sentences.
#ifndef KEDGE_BENCH_BENCH_TEXT_H_
#define KEDGE_BENCH_BENCH_TEXT_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// The ids of the built-in texts, one after the other, as if they were repeated for ever. Thread-safe (immutable).
class BenchText {
 public:
  static absl::StatusOr<BenchText> Make(const Tokenizer& tokenizer);
  // REQUIRES: !ids.empty().
  explicit BenchText(std::vector<uint32_t> ids) : ids_(std::move(ids)) {}

  // `count` ids from a place that depends on `number`: other numbers begin elsewhere, as long as there are fewer of
  // them than ids.
  std::vector<uint32_t> Take(uint64_t number, uint32_t count) const;
  size_t size() const { return ids_.size(); }

 private:
  std::vector<uint32_t> ids_;
};

}  // namespace kedge

#endif  // KEDGE_BENCH_BENCH_TEXT_H_
