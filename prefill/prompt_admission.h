// Whether a prompt that comes now will be read in time.
#ifndef KEDGE_PREFILL_PROMPT_ADMISSION_H_
#define KEDGE_PREFILL_PROMPT_ADMISSION_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kedge {

// A prompt in the queue, or one that asks to be let in.
struct QueuedPrompt {
  absl::Duration work;      // that is left, if it had the device alone
  uint32_t tokens_left = 0;
  absl::Duration time_left = absl::InfiniteDuration();  // until it must have been read
};

// Pure. nullopt: `next` may come in. Otherwise the time after which there is room for one like it, if nothing else
// comes: it would be late itself, or make a prompt late that would not be without it. What was let in comes first. With
// an empty queue it always may, until its time is over: what steps cost may have been learnt while the machine was slow,
// and only steps correct it.
//
// Reckons with the order of DivideStep: prompts with less left go before, but a quarter of the device is the oldest
// one's. `queue`: in order of arrival. `waits_for_rows`: there is no memory for `next` yet, so it begins when others
// have ended. Without a time of its own `next` always may.
std::optional<absl::Duration> RefusePrompt(absl::Span<const QueuedPrompt> queue, const QueuedPrompt& next,
                                           bool waits_for_rows);

}  // namespace kedge

#endif  // KEDGE_PREFILL_PROMPT_ADMISSION_H_
