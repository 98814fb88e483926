// Tested by work_test.cc.
#include "bench/work.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace kedge {
namespace {

constexpr uint32_t kMaxStreams = 1024;
constexpr uint32_t kMaxContext = 1 << 20;

bool ParseWork(absl::string_view name, Work* work) {
  if (absl::ConsumePrefix(&name, "prompt_")) {
    work->kind = Work::Kind::kPrompt;
    return ParseCount(name, 1, kMaxContext, &work->context);
  }
  if (!absl::ConsumePrefix(&name, "decode_")) return false;
  work->kind = Work::Kind::kDecode;
  const std::vector<absl::string_view> parts = absl::StrSplit(name, "_ctx");
  return parts.size() == 2 && ParseCount(parts[0], 1, kMaxStreams, &work->streams) &&
         ParseCount(parts[1], 0, kMaxContext, &work->context);
}

}  // namespace

// Digits alone: SimpleAtoi takes signs and white space as well.
bool ParseCount(absl::string_view text, uint32_t least, uint32_t most, uint32_t* count) {
  for (char letter : text) {
    if (!absl::ascii_isdigit(letter)) return false;
  }
  return absl::SimpleAtoi(text, count) && *count >= least && *count <= most;
}

std::string WorkName(const Work& work) {
  if (work.kind == Work::Kind::kPrompt) return absl::StrCat("prompt_", work.context);
  return absl::StrCat("decode_", work.streams, "_ctx", work.context);
}

absl::StatusOr<std::vector<Work>> ParseWorks(absl::string_view names) {
  std::vector<Work> works;
  for (absl::string_view name : absl::StrSplit(names, ',')) {
    Work work;
    if (!ParseWork(absl::StripAsciiWhitespace(name), &work)) {
      return absl::InvalidArgumentError(
          absl::StrCat("works: \"", name, "\" is none; the forms are prompt_TOKENS and decode_STREAMS_ctxTOKENS"));
    }
    works.push_back(work);
  }
  return works;
}

}  // namespace kedge
