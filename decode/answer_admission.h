// Whether an answer that comes now will be written in time.
#ifndef KEDGE_DECODE_ANSWER_ADMISSION_H_
#define KEDGE_DECODE_ANSWER_ADMISSION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace kedge {

// An answer in the engine, or one that asks to be let in.
struct AnswerHere {
  uint32_t pages = 0;       // that it holds, or waits for
  bool has_rows = false;    // it holds them
  double tokens_left = 1;   // as many as answers here have had so far
  absl::Duration prompt;    // work before the first token, where the prompt is computed here
  absl::Duration fetch;     // what a state takes to come, where it does not
  absl::Duration time_left = absl::InfiniteDuration();
};

struct AnswersHere {
  std::vector<AnswerHere> answers;  // in the order in which those that wait will get their rows
  uint32_t free_pages = 0;
  std::function<absl::Duration(double answers)> token_time;  // what a token takes while so many answers are written
};

// How long an answer that comes now waits for so many pages, if nobody ends before his time. Pure.
absl::Duration WaitForRows(const AnswersHere& here, uint32_t pages);

struct AnswerRefusal {
  absl::Duration room;    // the time after which there is room for one like it, if nothing else comes
  bool has_time = false;  // more than enough, also after that: the others alone are in a hurry
};

// Pure. nullopt: `next` may come in. It is refused where its first token would be late, and where it would miss its end though it would not if it
// were alone: an answer that is too long for its time anyway gets as much of it as others do. It is refused too where
// it would make an answer late that has begun and would not be without it. Without a time of its own it always may, and
// so it may where no other answer is, until its time is over: what steps cost may have been learnt while the machine was
// slow, and only steps correct it.
std::optional<AnswerRefusal> RefuseAnswer(const AnswersHere& here, const AnswerHere& next);

}  // namespace kedge

#endif  // KEDGE_DECODE_ANSWER_ADMISSION_H_
