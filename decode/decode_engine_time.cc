// What DecodeEngine says of time: what is here and comes, as plain values for the rules of answer_admission.h, and as
// what a heartbeat tells. Tested by decode_engine_time_test.cc.
#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/error_reason.h"
#include "decode/answer_admission.h"
#include "decode/decode_engine.h"
#include "decode/decode_session.h"

namespace kedge {

// Where there are more answers than a step has rows, they take turns.
absl::Duration DecodeEngine::TokenTime(double answers, double seen) const {
  return steps_.costs().Of(
      {.steps = std::ceil(answers / device_->max_rows()), .rows = answers, .seen = answers * seen});
}

// A row that writes is one of every step; what is more is a prompt.
absl::Duration DecodeEngine::PromptTime(uint32_t begin, uint32_t end, uint32_t pages) const {
  if (end - begin <= 1) return absl::ZeroDuration();
  return steps_.costs().Of(RowsOf(begin, end, pages * kPageRows, steps_.budget()));
}

AnswerHere DecodeEngine::AnswerOf(const Session& session) const {
  AnswerHere answer{.pages = session.room.pages,
                    .has_rows = session.state != Session::State::kWaiting,
                    .tokens_left = length_.Left(session.generated(), session.job.sampling.max_tokens),
                    .time_left = session.job.deadline - clock_->Now()};
  const auto size = static_cast<uint32_t>(session.content().ids.size());
  if (session.state == Session::State::kRunning) {
    answer.prompt = PromptTime(size - session.sequence->pending(), size, session.room.pages);
  } else if (session.state == Session::State::kWaiting && !IsRemote(session)) {
    answer.prompt = PromptTime(std::min(session.stored, size), size, session.room.pages);
  } else {
    answer.fetch = fetch_time_;
  }
  return answer;
}

AnswersHere DecodeEngine::HereWithout(const Session* session) const {
  AnswersHere here;
  NextTurn next(this);
  double seen = 0;
  for (const Session& other : sessions_) {
    if (&other == session) continue;
    here.answers.push_back(AnswerOf(other));
    here.answers.back().has_rows |= next.Begins(other);
    seen += std::min<double>(other.content().ids.size(), other.room.pages * kPageRows);
  }
  here.free_pages = next.free_pages();
  if (!here.answers.empty()) seen /= static_cast<double>(here.answers.size());
  here.token_time = [this, seen](double answers) { return TokenTime(answers, seen); };
  return here;
}

std::optional<AnswerRefusal> DecodeEngine::CheckTime(const Session& session) const {
  if (session.job.deadline == absl::InfiniteFuture() || !steps_.costs().known()) return std::nullopt;
  const AnswersHere here = HereWithout(&session);
  AnswerHere answer = AnswerOf(session);
  answer.has_rows = false;
  return RefuseAnswer(here, answer);
}

absl::Status DecodeEngine::TooLate(absl::Duration room) const {
  return Refusal(absl::ResourceExhaustedError(absl::StrCat("decode queue: ", sessions_.size() - 1,
                                                           " answers are here, and this one or one of them would be late")),
                 kDeadlineTooShort, std::max(room, kLeastRetry));
}

// Nobody waits for them any more.
void DecodeEngine::EndLate() {
  const absl::Time now = clock_->Now();
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto current = session++;
    if (current->job.deadline > now) continue;
    End(current, absl::DeadlineExceededError("the deadline passed before the answer was complete"));
  }
}

NodeStats DecodeEngine::stats() const {
  NodeStats stats{.steps = steps_.count(),
                  .reserved_rows = uint64_t{pool_.num_pages() - pool_.num_free()} * kPageRows,
                  .total_rows = uint64_t{pool_.num_pages()} * kPageRows,
                  .cached_rows = cache_.num_rows(),
                  .held_rows = held_.num_rows()};
  for (const Session& session : sessions_) {
    ++(session.state == Session::State::kWaiting ? stats.waiting : stats.running);
    if (session.state == Session::State::kRunning) stats.waiting_tokens += session.sequence->pending();
    if (session.state == Session::State::kWaiting) stats.waiting_tokens += session.job.content.ids.size();
  }
  stats.token_time = steps_.costs().OfUsualToken(steps_.budget());
  if (stats.waiting > 0) {
    AnswersHere here = HereWithout(nullptr);
    stats.work_ahead = WaitForRows(here, 1);
    const auto waits = [](const AnswerHere& answer) { return !answer.has_rows; };
    const auto first = std::find_if(here.answers.begin(), here.answers.end(), waits);
    if (first != here.answers.end() && stats.waiting >= options_.max_waiting) {  // until that one has its rows
      const uint32_t pages = first->pages;
      std::erase_if(here.answers, waits);
      stats.full_for =
          steps_.costs().known() ? std::max(WaitForRows(here, pages), kLeastRetry) : absl::Seconds(1);
    }
  }
  return stats;
}

}  // namespace kedge
