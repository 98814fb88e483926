// Tested by load_test.cc.
#include "bench/load.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <random>
#include <thread>

#include "common/base/clock.h"

namespace kedge {
namespace {

// Sends one request, and tells its times from the begin of the load.
RequestOutcome SendAt(const PlannedRequest& request, const SendRequest& send, const Clock& clock, absl::Time begin) {
  const absl::Duration sent = clock.Now() - begin;
  RequestOutcome outcome = send(request.prompt);
  outcome.sent = sent;
  for (absl::Duration& time : outcome.tokens) time += sent;
  outcome.ended += sent;
  return outcome;
}

void SleepUntil(absl::Time time, const Clock& clock) {
  const absl::Duration left = time - clock.Now();
  if (left > absl::ZeroDuration()) std::this_thread::sleep_for(absl::ToChronoNanoseconds(left));
}

}  // namespace

std::vector<PlannedRequest> PlanLoad(const LoadOptions& options, const BenchText& text) {
  std::vector<PlannedRequest> plan(options.requests);
  std::mt19937_64 random(options.seed);
  const uint64_t first_number = random() % text.size();
  // One place of the text is the shared beginning's: no other prompt begins there.
  const std::vector<uint32_t> shared = text.Take(first_number, std::min(options.shared_tokens, options.prompt_tokens));
  std::exponential_distribution<double> gap(options.rate > 0 ? options.rate : 1);
  absl::Duration due;
  for (uint32_t i = 0; i < options.requests; ++i) {
    // Spread evenly: the sharers among the first k are as many as a part of k may be.
    const bool shares = std::floor((i + 1) * options.shared_part) > std::floor(i * options.shared_part);
    std::vector<uint32_t>& prompt = plan[i].prompt;
    if (shares) prompt = shared;
    const std::vector<uint32_t> own =
        text.Take(first_number + 1 + i, options.prompt_tokens - static_cast<uint32_t>(prompt.size()));
    prompt.insert(prompt.end(), own.begin(), own.end());
    if (options.rate <= 0) continue;
    plan[i].due = due;
    due += absl::Seconds(gap(random));
  }
  return plan;
}

std::vector<RequestOutcome> RunLoad(const std::vector<PlannedRequest>& plan, const LoadOptions& options,
                                    const SendRequest& send) {
  const RealClock clock;
  const absl::Time begin = clock.Now();
  const absl::Time last = options.duration > absl::ZeroDuration() ? begin + options.duration : absl::InfiniteFuture();
  std::vector<std::optional<RequestOutcome>> outcomes(plan.size());  // each written by one thread
  std::vector<std::thread> threads;
  std::atomic<size_t> next{0};
  if (options.rate <= 0) {
    for (uint32_t client = 0; client < options.clients; ++client) {
      threads.emplace_back([&] {
        for (size_t i; clock.Now() < last && (i = next.fetch_add(1)) < plan.size();) {
          outcomes[i] = SendAt(plan[i], send, clock, begin);
        }
      });
    }
  } else {
    for (size_t i = 0; i < plan.size() && begin + plan[i].due < last; ++i) {
      SleepUntil(begin + plan[i].due, clock);
      threads.emplace_back([&, i] { outcomes[i] = SendAt(plan[i], send, clock, begin); });
    }
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<RequestOutcome> sent;
  for (std::optional<RequestOutcome>& outcome : outcomes) {
    if (outcome.has_value()) sent.push_back(*std::move(outcome));
  }
  return sent;
}

}  // namespace kedge
