// All answers that have rows share every step, so each of them slows all; those that wait get theirs in order, as others
// end. Tested by answer_admission_test.cc.
#include "decode/answer_admission.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

namespace kedge {
namespace {

constexpr double kMargin = 1.1;       // estimates are rarely better
constexpr double kMostOfItsTime = 4;  // who needs a fourth of it has more than enough

struct Totals {
  double writing = 0;      // answers with rows
  absl::Duration prompts;  // to be computed here for them, beside their tokens
};

Totals TotalsOf(const AnswersHere& here) {
  Totals totals;
  for (const AnswerHere& answer : here.answers) {
    if (!answer.has_rows) continue;
    totals.writing += 1;
    totals.prompts += answer.prompt;
  }
  return totals;
}

}  // namespace

absl::Duration WaitForRows(const AnswersHere& here, uint32_t pages) {
  const Totals totals = TotalsOf(here);
  const absl::Duration token = here.token_time(std::max(totals.writing, 1.0));
  using End = std::pair<absl::Duration, uint32_t>;  // when, and how many pages are free then
  std::priority_queue<End, std::vector<End>, std::greater<End>> ends;
  for (const AnswerHere& answer : here.answers) {
    if (answer.has_rows) ends.emplace(totals.prompts + answer.fetch + answer.tokens_left * token, answer.pages);
  }
  uint64_t free = here.free_pages;
  absl::Duration now;
  const auto wait_for = [&](uint32_t wanted) {
    while (free < wanted && !ends.empty()) {
      now = std::max(now, ends.top().first);
      free += ends.top().second;
      ends.pop();
    }
    free -= std::min<uint64_t>(free, wanted);
  };
  for (const AnswerHere& answer : here.answers) {
    if (answer.has_rows) continue;
    wait_for(answer.pages);
    ends.emplace(now + answer.prompt + answer.fetch + answer.tokens_left * token, answer.pages);
  }
  wait_for(pages);
  return now;
}

std::optional<AnswerRefusal> RefuseAnswer(const AnswersHere& here, const AnswerHere& next) {
  if (next.time_left == absl::InfiniteDuration()) return std::nullopt;
  if (here.answers.empty() && next.time_left > absl::ZeroDuration()) return std::nullopt;
  const Totals totals = TotalsOf(here);
  const absl::Duration wait = WaitForRows(here, next.pages);
  const bool begins_now = wait == absl::ZeroDuration();
  const absl::Duration token = here.token_time(totals.writing + 1);
  // Of a state that is asked for at once its prefill node knows better when it will be here.
  const absl::Duration before = wait + next.prompt + (begins_now ? totals.prompts : next.fetch);
  const absl::Duration alone = next.prompt + next.tokens_left * here.token_time(1);
  const bool may_end = kMargin * alone <= next.time_left;
  const absl::Duration end = before + (may_end ? next.tokens_left : 1) * token;

  const absl::Duration token_without = here.token_time(std::max(totals.writing, 1.0));
  const auto end_without = [&](const AnswerHere& answer) { return totals.prompts + answer.tokens_left * token_without; };
  absl::Duration first_end = absl::InfiniteDuration(), last_end;  // of the answers that are written
  for (const AnswerHere& answer : here.answers) {
    if (!answer.has_rows) continue;
    first_end = std::min(first_end, end_without(answer));
    last_end = std::max(last_end, end_without(answer));
  }
  if (const absl::Duration late = kMargin * end - next.time_left; late > absl::ZeroDuration()) {
    return AnswerRefusal{.room = std::min(late, std::max(wait, last_end))};
  }
  if (!begins_now) return std::nullopt;
  for (const AnswerHere& answer : here.answers) {
    if (!answer.has_rows || answer.time_left == absl::InfiniteDuration()) continue;
    if (end_without(answer) > answer.time_left) continue;  // it is late anyway
    const absl::Duration with = totals.prompts + next.prompt + answer.tokens_left * token;
    if (kMargin * with <= answer.time_left) continue;
    return AnswerRefusal{.room = first_end, .has_time = kMostOfItsTime * (first_end + end) <= next.time_left};
  }
  return std::nullopt;
}

}  // namespace kedge
