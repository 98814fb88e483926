// Jobs wait in order of arrival for their rows, then share every step. Rows leave as soon as the step that computed
// them is done. Tested by prefill_engine_test.cc, and with decode nodes by tests/simulation_test.cc.
#include "prefill/prefill_engine.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "spdlog/spdlog.h"

namespace kedge {

struct PrefillEngine::Job {
  JobId id;
  StateRequest request;
  std::shared_ptr<StateSink> sink;
  uint32_t pages;
  absl::Time last_sent;                // the last sign of life
  std::unique_ptr<Sequence> sequence;  // once the job has rows
  std::optional<StateSender> sender;

  uint32_t ready() const { return sequence != nullptr && !sink->Congested() ? sequence->ready() : 0; }
  uint32_t pending() const {
    return sequence != nullptr ? sequence->pending() : static_cast<uint32_t>(request.content.ids.size());
  }
};

PrefillEngine::PrefillEngine(const PrefillOptions& options, StepDevice* device, const Clock* clock)
    : options_(options),
      device_(device),
      clock_(clock),
      pool_(device->num_pages()),
      pacer_(options.step_target, device->max_rows()) {}

PrefillEngine::~PrefillEngine() = default;

absl::Status PrefillEngine::Check(const StateRequest& request) const {
  if (request.fingerprint != options_.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("content.fingerprint: this node serves ", options_.fingerprint, ", not ", request.fingerprint));
  }
  if (const char* type = KvTypeName(device_->row_shape().type); request.kv_type != type) {
    return absl::FailedPreconditionError(
        absl::StrCat("kv_type: this node's rows are ", type, ", not ", request.kv_type));
  }
  KEDGE_RETURN_IF_ERROR(CheckContent(request.content, device_->vocab_size(), options_.context_length));
  return CheckChoosable(request.content, options_.salience_heads);
}

PrefillEngine::JobId PrefillEngine::Add(StateRequest request, std::shared_ptr<StateSink> sink) {
  absl::Status status = Check(request);
  const uint32_t pages = status.ok() ? PagesFor(request.content, 0, device_->max_rows(), 0) : 0;
  const uint64_t tokens_ahead = stats().waiting_tokens;
  if (status.ok() && pages > pool_.num_pages()) {
    status = absl::ResourceExhaustedError(absl::StrCat("KV memory: the request needs ", uint64_t{pages} * kPageRows,
                                                       " rows, this node has ", pool_.num_pages() * kPageRows));
  } else if (status.ok() && !jobs_.empty() && tokens_ahead > options_.max_waiting_tokens) {
    status = absl::ResourceExhaustedError(absl::StrCat("prefill queue: ", tokens_ahead, " tokens wait already"));
  }
  if (!status.ok()) {
    sink->Send({StateEnded{std::move(status)}});
    return 0;
  }
  const uint32_t end = static_cast<uint32_t>(request.content.ids.size());
  spdlog::debug("request {}: {} tokens, {} ahead", request.request_id, end, tokens_ahead);
  jobs_.push_back({.id = next_id_++,
                   .request = std::move(request),
                   .sink = std::move(sink),
                   .pages = pages,
                   .last_sent = clock_->Now()});
  jobs_.back().sink->Send({StateAccepted{.tokens_ahead = tokens_ahead}});
  return jobs_.back().id;
}

void PrefillEngine::Cancel(JobId id) {
  jobs_.remove_if([id](const Job& job) { return job.id == id; });
}

void PrefillEngine::End(std::list<Job>::iterator job, absl::Status status) {
  spdlog::debug("request {}: {}", job->request.request_id, status.ok() ? "state sent" : status.ToString());
  const std::shared_ptr<StateSink> sink = std::move(job->sink);
  jobs_.erase(job);  // rows first, so that whoever hears of the end finds them free
  sink->Send({StateEnded{std::move(status)}});
}

void PrefillEngine::Admit() {
  for (Job& job : jobs_) {
    if (job.sequence != nullptr) continue;
    absl::StatusOr<PageLease> lease = pool_.Reserve(job.pages);
    if (!lease.ok()) return;  // in order of arrival: nobody overtakes, so nobody starves
    job.sequence = std::make_unique<Sequence>(job.request.content, *std::move(lease), &options_.salience_heads);
    job.sender.emplace(job.sequence.get(), static_cast<uint32_t>(job.request.content.ids.size()), options_.fingerprint);
  }
}

absl::Status PrefillEngine::Step() {
  std::vector<uint32_t> ready;
  for (const Job& job : jobs_) ready.push_back(job.ready());
  const std::vector<uint32_t> rows = DivideStep(ready, pacer_.budget());
  std::vector<Slice> slices;
  uint32_t total = 0;
  size_t i = 0;
  for (Job& job : jobs_) {
    if (rows[i] > 0) slices.push_back({job.sequence.get(), rows[i], WantedLogits::kNone});
    total += rows[i++];
  }
  if (slices.empty()) return absl::OkStatus();
  const absl::Time start = clock_->Now();
  KEDGE_RETURN_IF_ERROR(FinishStep(slices, LaunchStep(slices, device_).get(), device_));
  pacer_.Record(total, clock_->Now() - start);
  ++steps_;
  return absl::OkStatus();
}

bool PrefillEngine::Turn() {
  Admit();
  const absl::Status step = Step();
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto current = job++;
    if (!step.ok()) {
      End(current, step);
      continue;
    }
    if (current->sequence == nullptr) continue;
    if (std::optional<Payload> header = current->sender->TakeHeader(*device_)) {
      current->sink->Send({StateHead{*std::move(header)}});
      current->last_sent = clock_->Now();
    }
    absl::StatusOr<std::vector<Payload>> frames = current->sender->TakeFrames(device_);
    if (!frames.ok()) {
      End(current, frames.status());
      continue;
    }
    for (Payload& frame : *frames) current->sink->Send({StateFrame{std::move(frame)}});
    if (!frames->empty()) current->last_sent = clock_->Now();
    current->sequence->DropUnseen();
    if (current->sequence->pending() == 0) End(current, absl::OkStatus());
  }
  SendProgress();
  return std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.ready() > 0; });
}

void PrefillEngine::SendProgress() {
  const absl::Time now = clock_->Now();
  for (Job& job : jobs_) {
    if (now - job.last_sent < options_.progress_interval) continue;
    job.last_sent = now;
    job.sink->Send({StateProgress{job.sequence != nullptr ? job.sequence->position() : 0}});
  }
}

NodeStats PrefillEngine::stats() const {
  NodeStats stats{.steps = steps_,
                  .reserved_rows = uint64_t{pool_.num_pages() - pool_.num_free()} * kPageRows,
                  .total_rows = uint64_t{pool_.num_pages()} * kPageRows};
  for (const Job& job : jobs_) {
    ++(job.sequence != nullptr ? stats.running : stats.waiting);
    stats.waiting_tokens += job.pending();
  }
  return stats;
}

}  // namespace kedge
