// An answer that is known before it is written.
#ifndef KEDGE_BENCH_GIVEN_ANSWER_H_
#define KEDGE_BENCH_GIVEN_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/bench_text.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {

// Tokens, each of which adds to the text at once, so that the text of an answer under way tells how many have come.
// Thread-safe (immutable).
class GivenAnswer {
 public:
  // `count` of the tokens of `text`; those that are no plain ASCII are left out, as a router may have to hold them
  // back. kInvalidArgument if none are left.
  static absl::StatusOr<GivenAnswer> Make(const Tokenizer& tokenizer, const BenchText& text, uint32_t count);
  // As if each id had the text beside it. REQUIRES: as many of each; no text is empty.
  GivenAnswer(std::vector<uint32_t> ids, const std::vector<std::string>& texts);

  const std::vector<uint32_t>& ids() const { return ids_; }

  // How many tokens the whole text shows once `piece` has come behind the first `begin` bytes. kDataLoss if the answer
  // goes on otherwise.
  absl::StatusOr<uint32_t> TokensShown(size_t begin, absl::string_view piece) const;

 private:
  std::vector<uint32_t> ids_;
  std::string text_;
  std::vector<size_t> ends_;  // of the tokens in text_, ascending
};

}  // namespace kedge

#endif  // KEDGE_BENCH_GIVEN_ANSWER_H_
