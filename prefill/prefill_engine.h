// The prefill node without its network: jobs in, states out. It is a cache that can compute: what is stored of a prompt
// is taken, what another job is about to compute is waited for, and the rest is computed.
#ifndef KEDGE_PREFILL_PREFILL_ENGINE_H_
#define KEDGE_PREFILL_PREFILL_ENGINE_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/payload.h"
#include "common/engine/known_answers.h"
#include "common/engine/node_stats.h"
#include "common/engine/prefix_cache.h"
#include "common/engine/sequence.h"
#include "common/engine/state_exchange.h"
#include "common/engine/step.h"
#include "common/engine/step_queue.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"
#include "common/transfer/state_server.h"

namespace kedge {

struct PrefillOptions {
  // --- Change results ---
  std::string fingerprint;  // of the loaded model
  uint32_t context_length = 0;
  SalienceHeads salience_heads;  // of the loaded model; empty: policies with `salient` are refused
  // --- Change speed ---
  uint32_t cache_pages = 0;               // most pages that stored beginnings of prompts hold; 0: none are stored
  uint64_t max_waiting_tokens = 1 << 18;  // of queued jobs; beyond it: RESOURCE_EXHAUSTED
  absl::Duration progress_interval = absl::Milliseconds(300);  // a sign of life at least so often
  RunStep run_step;                                            // null: as steps are
};

// A job waits (for rows, or for another job to compute the beginning that both share), computes, and is gone; it goes
// at any time when it is cancelled. What it has computed stays in the cache, which holds no rows that a job has
// reserved. Events come in through Add and Cancel, everything else happens in Turn: one after another, but for Add,
// which may come within run_step as well, from any thread.
class PrefillEngine : public StateServer {
 public:
  // `device` and `clock` must outlive this.
  PrefillEngine(const PrefillOptions& options, StepDevice* device, const Clock* clock);
  ~PrefillEngine() override;

  // Takes a job and answers StateAccepted at once, or ends it at once with a status that names the field:
  // kInvalidArgument, kFailedPrecondition (another model, KV type), kResourceExhausted (queue full, or more rows than
  // the node has; or with a deadline, as soon as steps have been measured, the state would not be there in time, or would
  // make another one late: prompt_admission.h). A job whose deadline passes ends with kDeadlineExceeded before it costs
  // another step.
  JobId Add(StateRequest request, std::shared_ptr<StateSink> sink, absl::Time deadline) override;
  // The job's rows are free or the cache's at once.
  void Cancel(JobId id) override;

  // Admits what fits, launches a step over all jobs and finishes the oldest one under way (the same, or the one before
  // where the device runs ahead), sends frames that have been copied and signs of life. Returns whether work is left.
  bool Turn();

  // KnownAnswers::Add: behind all jobs.
  void Answer(std::vector<uint32_t> ids, KnownAnswers::Answered answered) {
    known_answers_.Add(std::move(ids), std::move(answered));
  }

  NodeStats stats() const;

 private:
  struct Job;

  absl::Status Check(const StateRequest& request) const;
  // Whether there is room and time for a job of so many pages. kResourceExhausted says when there is.
  absl::Status CheckRoom(const StateRequest& request, uint32_t pages, absl::Time deadline);
  absl::Duration WorkOf(const Job& job) const;
  // So long the queue is fuller than it may be; zero if it is not.
  // Not yet computed, of all jobs.
  uint64_t WaitingTokens() const;
  absl::Duration FullFor(uint64_t waiting_tokens) const;
  void EndLate();
  void Admit();
  // Gives a job its rows, or lets it wait for another one. REQUIRES: so many are free.
  void Begin(std::list<Job>::iterator job);
  // Returns whether there was anything to compute, or to wait for.
  bool Step();
  bool Launch();
  void FinishOldest();
  void SendProgress();
  void End(std::list<Job>::iterator job, absl::Status status);

  const PrefillOptions options_;
  StepDevice* const device_;
  const Clock* const clock_;
  PagePool pool_;
  PrefixCache cache_;
  KnownAnswers known_answers_;
  StepQueue steps_;
  std::list<Job> jobs_;  // in order of arrival
  JobId next_id_ = 1;
};

}  // namespace kedge

#endif  // KEDGE_PREFILL_PREFILL_ENGINE_H_
