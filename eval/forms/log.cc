// A server's log: which request failed, and why.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "eval/forms/frame.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

constexpr absl::string_view kReasons[] = {"disk quota exceeded",  "certificate has expired", "no route to host",
                                          "deadlock detected",    "checksum does not match", "login token revoked",
                                          "upload was cut short", "unknown character set",   "too many open files",
                                          "replica is read-only", "clock is out of step",    "schema version too old"};
constexpr absl::string_view kMethods[] = {"GET", "PUT", "POST", "DELETE"};

}  // namespace

std::vector<Question> MakeLog(const TextOptions& options) {
  constexpr char kWords[] = "Here is a log.\n\n{t}\n\nAnswer from the log: {q}";
  constexpr size_t kAsked = 4, kFailed = 5;
  Random random(options.seed);
  const auto stamp = [&](size_t line) {
    return absl::StrFormat("2026-03-04T10:%02d:%02d.%03dZ", line / 40 % 60, line * 3 / 2 % 60, random.Below(1000));
  };
  std::vector<std::string> ids;
  const auto id = [&] {
    std::string drawn;
    do drawn = absl::StrCat("r", DrawLetters("0123456789abcdef", 6, &random));
    while (std::find(ids.begin(), ids.end(), drawn) != ids.end());
    ids.push_back(drawn);
    return drawn;
  };
  const auto served = [&](size_t line) {
    return absl::StrCat(stamp(line), " INFO worker-", 1 + random.Below(8), " request ", id(), " ",
                        kMethods[random.Below(std::size(kMethods))], " /", Nouns()[random.Below(Nouns().size())],
                        " took ", 10 + random.Below(900), " ms");
  };
  const size_t tokens = TokensForText(options, kWords, "Which request failed because of this: login token revoked?");
  const size_t count = LinesFor(served(0), tokens, kFailed, options);

  // As many requests fail as there are reasons drawn, spread over the log.
  const std::vector<size_t> failed = OneOfEachPart(kFailed, count, &random);
  const std::vector<std::string> reasons = Draw(kReasons, kFailed, &random);
  std::vector<std::string> lines, failed_ids(kFailed);
  for (size_t line = 0; line < count; ++line) {
    const size_t i = std::find(failed.begin(), failed.end(), line) - failed.begin();
    if (i == kFailed) {
      lines.push_back(served(line));
      continue;
    }
    failed_ids[i] = id();
    lines.push_back(absl::StrCat(stamp(line), " ERROR worker-", 1 + random.Below(8), " request ", failed_ids[i],
                                 " failed: ", reasons[i]));
  }
  const Lines text = JoinLines(lines);
  std::vector<Ask> asks;
  for (size_t i = 0; i < kAsked; ++i) {
    Ask ask{.form = "log", .evidence = {text.lines[failed[i]]}};
    if (i % 2 == 0) {
      ask.question = absl::StrCat("Which request failed because of this: ", reasons[i], "?");
      ask.check.answers = {failed_ids[i]};
      ask.expected = absl::StrCat("Request ", failed_ids[i], ".");
    } else {
      ask.question = absl::StrCat("Why did request ", failed_ids[i], " fail?");
      ask.check.answers = {reasons[i]};
      ask.expected = absl::StrCat("Request ", failed_ids[i], " failed: ", reasons[i], ".");
    }
    asks.push_back(std::move(ask));
  }
  return AskAll(kWords, text.text, asks, options);
}

}  // namespace kedge
