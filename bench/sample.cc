// Tested by sample_test.cc.
#include "bench/sample.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace kedge {
namespace {

// Whether `text` is a number from `least` to `most`.
bool ParseNumber(absl::string_view text, float least, float most, float* value) {
  return absl::SimpleAtof(text, value) && *value >= least && *value <= most;
}

bool ParsePart(absl::string_view name, absl::string_view value, TokenChoice* choice) {
  if (name == "temperature") return ParseNumber(value, 0, 100, &choice->temperature);
  if (name == "top_p") return ParseNumber(value, 0, 1, &choice->top_p);
  if (name == "min_p") return ParseNumber(value, 0, 1, &choice->min_p);
  if (name == "top_k") return absl::SimpleAtoi(value, &choice->top_k);
  if (name == "seed") return absl::SimpleAtoi(value, &choice->seed);
  return false;
}

}  // namespace

absl::StatusOr<TokenChoice> ParseSample(absl::string_view text) {
  TokenChoice choice;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (!ParsePart(absl::StripAsciiWhitespace(pair.first), absl::StripAsciiWhitespace(pair.second), &choice)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sample: \"", part, "\" is none of temperature=0..100, top_p=0..1, min_p=0..1, top_k=NUMBER, seed=NUMBER"));
    }
  }
  return choice;
}

}  // namespace kedge
