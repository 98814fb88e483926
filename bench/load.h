// A load of requests: what is sent and when, and what came of it.
#ifndef KEDGE_BENCH_LOAD_H_
#define KEDGE_BENCH_LOAD_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/bench_text.h"

namespace kedge {

struct LoadOptions {
  uint32_t requests = 32;
  uint32_t clients = 4;     // closed loop: so many send, each its next request when the last one is answered
  double rate = 0;          // requests per second, at random times; 0: closed loop
  absl::Duration duration;  // nothing is sent later than this after the begin; 0: no such limit
  uint32_t prompt_tokens = 512;
  uint32_t output_tokens = 64;
  double shared_part = 0;        // of the requests whose prompts begin alike
  uint32_t shared_tokens = 256;  // of such a prompt that are the same; at most prompt_tokens
  uint64_t seed = 1;             // of the texts and the times
};

struct PlannedRequest {
  absl::Duration due;  // after the begin; in a closed loop 0
  std::vector<uint32_t> prompt;
};

// Pure. Prompts that share nothing differ from their first token on, as far as the text has places enough. In an open
// loop the gaps between requests are exponential, so that they come in clusters as from many independent clients.
std::vector<PlannedRequest> PlanLoad(const LoadOptions& options, const BenchText& text);

// What came of one request. Times are after the load's begin.
struct RequestOutcome {
  absl::Status status;
  absl::Duration sent;
  std::vector<absl::Duration> tokens;  // when each came
  absl::Duration ended;
  uint64_t moved_bytes = 0;  // rows that went from node to node
  uint64_t full_bytes = 0;   // what a full cache would have been
};

// Sends one prompt and waits for its end. Durations of the outcome are after the call. Called by many threads at once.
using SendRequest = std::function<RequestOutcome(const std::vector<uint32_t>& prompt)>;

// Sends all that is planned, from one thread for each client (closed loop) or each request that is under way (open
// loop). Returns the outcomes of those that were sent, in the order of the plan.
std::vector<RequestOutcome> RunLoad(const std::vector<PlannedRequest>& plan, const LoadOptions& options,
                                    const SendRequest& send);

}  // namespace kedge

#endif  // KEDGE_BENCH_LOAD_H_
