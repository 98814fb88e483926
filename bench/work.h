// What is measured, by name: decode_1_ctx2048, prompt_512.
#ifndef KEDGE_BENCH_WORK_H_
#define KEDGE_BENCH_WORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Work of one engine in this process.
struct Work {
  enum class Kind {
    kPrompt,  // prompt_N: read a prompt of N tokens
    kDecode,  // decode_S_ctxN: write with S streams at once, each behind N tokens of its own
  };
  Kind kind = Kind::kPrompt;
  uint32_t streams = 1;
  uint32_t context = 0;
  friend bool operator==(const Work&, const Work&) = default;
};

std::string WorkName(const Work& work);

// Names separated by commas. kInvalidArgument names the one that is none, and the two forms.
absl::StatusOr<std::vector<Work>> ParseWorks(absl::string_view names);

// Reads a part of a name. Returns whether it is a number from `least` to `most`.
bool ParseCount(absl::string_view text, uint32_t least, uint32_t most, uint32_t* count);

}  // namespace kedge

#endif  // KEDGE_BENCH_WORK_H_
