// Jobs wait in order of arrival for their rows, then share every step. Rows leave as soon as the step that computed
// them is done and the device has copied them. A job that waits for another one's rows lets later ones pass: it holds
// nothing. Tested by prefill_engine_test.cc, and with decode nodes by tests/simulation_test.cc.
#include "prefill/prefill_engine.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/error_reason.h"
#include "common/base/full_note.h"
#include "common/base/status.h"
#include "prefill/prompt_admission.h"
#include "spdlog/spdlog.h"

namespace kedge {

struct PrefillEngine::Job {
  JobId id;
  StateRequest request;
  std::shared_ptr<StateSink> sink;
  uint32_t pages;
  absl::Time deadline;
  absl::Time last_sent;                    // the last sign of life
  std::shared_ptr<const PrefixWait> wait;  // for what another job computes
  uint32_t cached = 0;                     // rows that were there when the job got its own
  std::unique_ptr<Sequence> sequence;      // once the job has rows
  std::unique_ptr<PrefixComputation> computation;
  std::optional<StateSender> sender;

  bool waits() const { return wait != nullptr && !wait->over(); }
  Claim claim() const {
    if (sequence == nullptr || sink->Congested()) return {};
    return {.ready = computation->ready(), .left = computation->left()};
  }
  uint32_t pending() const {
    if (sequence != nullptr) return sequence->pending();
    return static_cast<uint32_t>(request.content.ids.size()) - (waits() ? wait->end() : 0);  // the rest is another's
  }
};

PrefillEngine::PrefillEngine(const PrefillOptions& options, StepDevice* device, const Clock* clock)
    : options_(options),
      device_(device),
      clock_(clock),
      pool_(device->num_pages()),
      cache_({.fingerprint = options.fingerprint, .max_pages = options.cache_pages}, &options_.salience_heads, device,
             &pool_),
      known_answers_(options.context_length, device, &pool_),
      steps_(device, clock, options.run_step) {}

PrefillEngine::~PrefillEngine() = default;

absl::Status PrefillEngine::Check(const StateRequest& request) const {
  KEDGE_RETURN_IF_ERROR(CheckOwnRows(request.fingerprint, request.kv_type, options_.fingerprint, *device_));
  KEDGE_RETURN_IF_ERROR(CheckContent(request.content, device_->vocab_size(), options_.context_length));
  if (request.content.prompt_length == 0) return absl::InvalidArgumentError("prompt_length: is 0");
  KEDGE_RETURN_IF_ERROR(CheckHeld(request.held, request.content));
  return CheckChoosable(request.content, options_.salience_heads);
}

PrefillEngine::JobId PrefillEngine::Add(StateRequest request, std::shared_ptr<StateSink> sink, absl::Time deadline) {
  absl::Status status = Check(request);
  const uint32_t pages = status.ok() ? PagesFor(request.content, 0, device_->max_rows(), 0) : 0;
  if (status.ok()) status = CheckRoom(request, pages, deadline);
  if (!status.ok()) {
    sink->Send({StateEnded{std::move(status)}});
    return 0;
  }
  const uint64_t tokens_ahead = WaitingTokens();
  spdlog::debug("request {}: {} tokens, {} ahead", request.request_id, request.content.ids.size(), tokens_ahead);
  jobs_.push_back({.id = next_id_++,
                   .request = std::move(request),
                   .sink = std::move(sink),
                   .pages = pages,
                   .deadline = deadline,
                   .last_sent = clock_->Now()});
  jobs_.back().sink->Send({StateAccepted{.tokens_ahead = tokens_ahead}});
  return jobs_.back().id;
}

absl::Status PrefillEngine::CheckRoom(const StateRequest& request, uint32_t pages, absl::Time deadline) {
  if (pages > pool_.num_pages()) {
    return WithReason(
        absl::ResourceExhaustedError(absl::StrCat("KV memory: the request needs ", uint64_t{pages} * kPageRows,
                                                  " rows, this node has ", pool_.num_pages() * kPageRows)),
        kKvMemoryTooSmall);
  }
  // An answer that has begun elsewhere: its client has seen a part.
  if (request.content.ids.size() >= request.content.prompt_length) return absl::OkStatus();
  const uint64_t tokens_ahead = WaitingTokens();
  if (const absl::Duration full_for = FullFor(tokens_ahead); full_for > absl::ZeroDuration()) {
    return WithRetryAfter(
        absl::ResourceExhaustedError(absl::StrCat("prefill queue: ", tokens_ahead, " tokens wait already")), full_for);
  }
  if (deadline == absl::InfiniteFuture() || !steps_.costs().known()) return absl::OkStatus();
  const absl::Time now = clock_->Now();
  std::vector<QueuedPrompt> queue;
  uint64_t wanted = pages;
  for (const Job& job : jobs_) {
    if (job.sequence == nullptr) wanted += job.pages;
    queue.push_back({.work = WorkOf(job),
                     .tokens_left = job.pending(),
                     .time_left = job.deadline - now - job.request.answer_time});
  }
  const uint32_t end = static_cast<uint32_t>(request.content.ids.size());
  const std::optional<CachedPrefix> hit = cache_.Find(request.content, end);
  const uint32_t begin = hit.has_value() ? hit->rows.end : 0;
  const QueuedPrompt next{.work = steps_.costs().Of(RowsOf(begin, end, pages * kPageRows, steps_.budget())),
                          .tokens_left = end - begin,
                          .time_left = deadline - now - request.answer_time};
  const std::optional<absl::Duration> room = RefusePrompt(queue, next, wanted > pool_.num_free());
  if (!room.has_value()) return absl::OkStatus();
  return Refusal(absl::ResourceExhaustedError(absl::StrCat("prefill queue: ", tokens_ahead,
                                                           " tokens wait, and this prompt or one of them would be late")),
                 kDeadlineTooShort, std::max(*room, kLeastRetry));
}

// What is left of it. A job that waits for another one's rows will compute what is behind them.
absl::Duration PrefillEngine::WorkOf(const Job& job) const {
  const uint32_t end = static_cast<uint32_t>(job.request.content.ids.size());
  return steps_.costs().Of(
      RowsOf(end - std::min(end, job.pending()), end, job.pages * kPageRows, steps_.budget()));
}

uint64_t PrefillEngine::WaitingTokens() const {
  uint64_t tokens = 0;
  for (const Job& job : jobs_) tokens += job.pending();
  return tokens;
}

absl::Duration PrefillEngine::FullFor(uint64_t waiting_tokens) const {
  if (jobs_.empty() || waiting_tokens <= options_.max_waiting_tokens) return absl::ZeroDuration();
  if (!steps_.costs().known()) return absl::Seconds(1);
  const auto too_many = static_cast<double>(waiting_tokens - options_.max_waiting_tokens);
  return std::max(too_many * steps_.costs().OfUsualToken(steps_.budget()), kLeastRetry);
}

// Nobody waits for them any more.
void PrefillEngine::EndLate() {
  const absl::Time now = clock_->Now();
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto current = job++;
    if (current->deadline > now) continue;
    End(current, absl::DeadlineExceededError("the deadline passed before the state was there"));
  }
}

void PrefillEngine::Cancel(JobId id) {
  jobs_.remove_if([id](const Job& job) { return job.id == id; });
}

void PrefillEngine::End(std::list<Job>::iterator job, absl::Status status) {
  spdlog::debug("request {}: {}", job->request.request_id, status.ok() ? "state sent" : status.ToString());
  const bool is_late = absl::IsDeadlineExceeded(status);  // its rows are as good as any
  if (!status.ok() && !is_late && job->computation != nullptr) job->computation->Abandon();
  const std::shared_ptr<StateSink> sink = std::move(job->sink);
  jobs_.erase(job);  // rows first, so that whoever hears of the end finds them free
  sink->Send({StateEnded{std::move(status)}});
}

void PrefillEngine::Admit() {
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto current = job++;
    if (current->computation != nullptr) current->computation->set_paused(current->sink->Congested());
    if (current->sequence != nullptr || current->waits()) continue;
    if (current->pages > pool_.num_free()) return;  // in order of arrival: nobody overtakes, so nobody starves
    Begin(current);
  }
}

void PrefillEngine::Begin(std::list<Job>::iterator job) {
  const Content& content = job->request.content;
  const uint32_t end = static_cast<uint32_t>(content.ids.size());
  const std::optional<CachedPrefix> hit = cache_.Find(content, end);
  job->cached = hit.has_value() ? hit->rows.end : 0;
  job->wait = cache_.Await(content, end, job->cached);
  if (job->wait != nullptr) return;
  job->sequence = std::make_unique<Sequence>(content, *pool_.Reserve(job->pages), &options_.salience_heads);
  job->computation = cache_.Start(job->sequence.get(), hit);
  job->sender.emplace(job->sequence.get(), end, options_.fingerprint, job->request.held);
}

// Where the device runs ahead, a step is launched before the one before is waited for: a prompt's next rows need
// nothing of it but at a checkpoint or a reduction.
bool PrefillEngine::Step() {
  const bool launched = Launch();
  if (steps_.empty()) return false;
  if (!launched || steps_.full()) FinishOldest();
  return true;
}

bool PrefillEngine::Launch() {
  std::vector<Claim> claims;
  for (const Job& job : jobs_) claims.push_back(job.claim());
  const std::vector<uint32_t> rows = DivideStep(claims, steps_.budget());
  std::vector<Slice> slices;
  uint32_t used = 0;
  size_t i = 0;
  for (auto job = jobs_.begin(); job != jobs_.end(); ++job, ++i) {
    if (rows[i] == 0) continue;
    used += rows[i];
    slices.push_back(
        {.sequence = job->sequence.get(), .rows = rows[i], .logits = WantedLogits::kNone, .request = job->id});
  }
  known_answers_.AddSlice(RowsLeft(used, steps_.budget(), device_->max_rows()), &slices);
  if (slices.empty()) return false;
  steps_.Launch(slices);
  return true;
}

void PrefillEngine::FinishOldest() {
  const auto [step, status] = steps_.FinishOldest();
  for (const StepUnderWay::Part& part : step.parts) {
    if (KnownAnswers::Owns(part)) {
      known_answers_.Settle(step, part, status);
      continue;
    }
    const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.id == part.request; });
    if (job == jobs_.end()) continue;  // cancelled meanwhile
    const absl::Status settled = status.ok() ? SettlePart(step, part, job->sequence.get(), device_) : status;
    if (settled.ok()) continue;
    spdlog::error("request {}: {}", job->request.request_id, std::string(settled.message()));
    End(job, settled);
  }
}

// Rows leave when they have been copied, and nobody waits for that while there is something to compute: the next step
// has its turn behind the copies.
bool PrefillEngine::Turn() {
  EndLate();
  Admit();
  const bool stepped = Step();
  known_answers_.Finish(/*wait=*/!stepped);
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto current = job++;
    if (current->sequence == nullptr) continue;
    current->computation->Settle();
    if (std::optional<Payload> header = current->sender->TakeHeader(*device_)) {
      current->sink->Send({StateHead{*std::move(header), current->cached}});
      current->last_sent = clock_->Now();
    }
    current->sender->StartFrames(device_);
    if (!current->sequence->is_under_way()) current->sequence->DropUnseen();
    absl::StatusOr<std::vector<Payload>> frames = current->sender->TakeFrames(/*wait=*/!stepped);
    if (!frames.ok()) {
      End(current, frames.status());
      continue;
    }
    for (Payload& frame : *frames) current->sink->Send({StateFrame{std::move(frame)}});
    if (!frames->empty()) current->last_sent = clock_->Now();
    if (current->sender->complete()) End(current, absl::OkStatus());
  }
  SendProgress();
  if (!steps_.empty() || known_answers_.HasWork()) return true;
  const auto first = std::find_if(jobs_.begin(), jobs_.end(),
                                  [](const Job& job) { return job.sequence == nullptr && !job.waits(); });
  const bool goes_on = (first != jobs_.end() && first->pages <= pool_.num_free()) ||
                       std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) {
                         return job.sequence != nullptr && (job.claim().ready > 0 || job.sender->copying());
                       });
  if (!goes_on) steps_.Rest();
  return goes_on;
}

void PrefillEngine::SendProgress() {
  const absl::Time now = clock_->Now();
  for (Job& job : jobs_) {
    if (now - job.last_sent < options_.progress_interval) continue;
    job.last_sent = now;
    job.sink->Send({StateProgress{job.sequence != nullptr ? job.sequence->computed() : 0}});
  }
}

NodeStats PrefillEngine::stats() const {
  NodeStats stats{.steps = steps_.count(),
                  .reserved_rows = uint64_t{pool_.num_pages() - pool_.num_free()} * kPageRows,
                  .total_rows = uint64_t{pool_.num_pages()} * kPageRows,
                  .cached_rows = cache_.num_rows()};
  for (const Job& job : jobs_) {
    ++(job.sequence != nullptr ? stats.running : stats.waiting);
    stats.work_ahead += WorkOf(job);
  }
  stats.waiting_tokens = WaitingTokens();
  stats.token_time = steps_.costs().OfUsualToken(steps_.budget());
  stats.full_for = FullFor(stats.waiting_tokens);
  return stats;
}

}  // namespace kedge
