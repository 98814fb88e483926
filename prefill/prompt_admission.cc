// Two bounds of when a prompt has been read, and the smaller counts: all that is here has been computed; or all that
// goes before it, while a quarter of the device does something else. Tested by prompt_admission_test.cc.
#include "prefill/prompt_admission.h"

#include <algorithm>
#include <vector>

namespace kedge {
namespace {

constexpr double kMargin = 1.1;  // estimates are rarely better
constexpr double kOthers = 4.0 / 3;
constexpr double kOldest = 4;

// When each prompt of the queue has been read, counted from now.
std::vector<absl::Duration> Ends(absl::Span<const QueuedPrompt> queue) {
  std::vector<size_t> order(queue.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return queue[a].tokens_left < queue[b].tokens_left; });
  absl::Duration total;
  for (const QueuedPrompt& prompt : queue) total += prompt.work;
  std::vector<absl::Duration> ends(queue.size());
  absl::Duration before;
  for (const size_t i : order) {
    before += queue[i].work;
    ends[i] = std::min(total, kOthers * before);
  }
  if (!ends.empty()) ends[0] = std::min(ends[0], kOldest * queue[0].work);
  return ends;
}

}  // namespace

std::optional<absl::Duration> RefusePrompt(absl::Span<const QueuedPrompt> queue, const QueuedPrompt& next,
                                           bool waits_for_rows) {
  if (next.time_left == absl::InfiniteDuration()) return std::nullopt;
  if (queue.empty() && next.time_left > absl::ZeroDuration()) return std::nullopt;
  std::vector<QueuedPrompt> with(queue.begin(), queue.end());
  with.push_back(next);
  const std::vector<absl::Duration> before = Ends(queue);
  const std::vector<absl::Duration> after = Ends(with);
  absl::Duration total;
  for (const QueuedPrompt& prompt : queue) total += prompt.work;
  const absl::Duration end = waits_for_rows ? total + next.work : after.back();
  if (const absl::Duration late = kMargin * end - next.time_left; late > absl::ZeroDuration()) {
    return std::min(late, total);
  }
  for (size_t i = 0; i < queue.size(); ++i) {
    if (before[i] > queue[i].time_left) continue;  // it is late anyway
    if (kMargin * after[i] > queue[i].time_left) return before[i];
  }
  return std::nullopt;
}

}  // namespace kedge
