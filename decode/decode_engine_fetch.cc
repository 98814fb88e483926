// States that DecodeEngine asks prefill nodes for: whom, what comes, and what follows when nothing does. Tested by
// decode_engine_fetch_test.cc, and with prefill nodes by tests/simulation_test.cc.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/base/error_reason.h"
#include "common/base/full_note.h"
#include "common/base/status.h"
#include "common/transfer/frame_sums.h"
#include "decode/decode_engine.h"
#include "decode/decode_session.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr int kMostFull = 2;                                  // prefill nodes that may refuse a job
constexpr size_t kMostNotes = 64;                             // of nodes that are long gone there may be some
constexpr double kNewShare = 0.1;                             // of the latest state in an average
constexpr absl::Duration kPromptly = absl::Milliseconds(50);  // who waited longer for rows was let in

}  // namespace

// Asks the next candidate. If there is none, the job waits for the rows that computing its prompt takes.
void DecodeEngine::FetchNext(Session& session) {
  session.call.reset();
  session.receiver.reset();
  session.sequence->Reset();
  session.prefilled.held_rows = 0;
  session.job.content.salient = session.sequence->content().salient;  // made once, wherever the rows come from
  SkipFull(session);
  if (!IsRemote(session)) {
    session.sequence.reset();
    session.state = Session::State::kWaiting;
    const absl::StatusOr<Room> room = FirstRoom(session.job, 0);
    session.failed = room.ok() ? CheckChoosable(session.job.content, options_.salience_heads) : room.status();
    session.room = room.value_or(Room());
    if (session.refusals == 0) return;
    const bool was_let_in = session.has_begun() || session.began - session.waits_since > kPromptly;
    if (!session.failed.ok()) {  // it cannot be computed here
      session.failed = NoneHasRoom(session);
    } else if (!was_let_in) {
      FindStored(session);
      session.failed = LetIn(session);
    }
    return;
  }
  session.state = Session::State::kReceiving;
  session.receiver.emplace(session.sequence.get(), session.missing(), options_.fingerprint, &held_);
  session.asked = session.last_event = session.last_advance = clock_->Now();
  session.told_computed = 0;
  StateRequest request{.request_id = session.job.request_id,
                       .content = session.job.content,
                       .fingerprint = options_.fingerprint,
                       .kv_type = KvTypeName(device_->row_shape().type),
                       .held = session.receiver->held()};
  if (session.job.deadline != absl::InfiniteFuture()) {
    // An answer that will not be complete anyway needs its first token.
    const auto writing = std::count_if(sessions_.begin(), sessions_.end(), [](const Session& other) {
      return other.state != Session::State::kWaiting;
    });
    const double seen = std::min<double>(session.job.content.ids.size(), session.room.pages * kPageRows);
    const absl::Duration token = TokenTime(static_cast<double>(writing), seen);
    const absl::Duration all = length_.Left(session.generated(), session.job.sampling.max_tokens) * token;
    request.answer_time = all < session.job.deadline - clock_->Now() ? all : token;
  }
  const uint32_t missing = session.missing();
  request.content.ids.resize(missing);
  for (std::vector<uint32_t>* positions : {&request.content.no_anchor_positions, &request.content.sequence_ends}) {
    std::erase_if(*positions, [missing](uint32_t position) { return position >= missing; });
  }
  const PrefillCandidate& candidate = session.job.candidates[session.attempt++];
  session.prefilled.prefill_node = candidate.node_id;
  session.prefilled.cached_tokens = 0;
  session.call = source_->Fetch(
      candidate, request, session.job.deadline,
      [this, post = post_, enter = enter_, id = session.id, number = ++session.call_number,
       sums = std::make_shared<FrameSums>(), has_begun = false](StateEvent event) mutable {
        sums->Add(&event);
        // Who refuses leaves nothing for the device to do, and nothing to be held.
        has_begun |= std::holds_alternative<StateHead>(event.event);
        const bool refuses = std::holds_alternative<StateEnded>(event.event) && !has_begun;
        // Any thread, perhaps after this engine's end: nothing of it is touched before the closure runs, and that names
        // the session, which may be gone by then.
        auto shared = std::make_shared<StateEvent>(std::move(event));
        (refuses ? enter : post)([this, id, number, shared] { OnStateEvent(id, number, std::move(*shared)); });
      });
}

void DecodeEngine::SkipFull(Session& session) {
  if (session.has_begun()) return;  // nobody refuses it
  const absl::Time now = clock_->Now();
  while (session.attempt < session.job.candidates.size()) {
    const auto note = full_.find(session.job.candidates[session.attempt].node_id);
    const bool is_full =
        note != full_.end() && note->second.Covers(now, session.job.deadline - now, session.missing());
    if (!is_full && session.refusals < kMostFull) return;
    if (is_full) {
      session.full_for = std::min(session.full_for, note->second.until - now);
      session.is_late |= note->second.time_left != absl::InfiniteDuration();
      ++session.refusals;
    }
    ++session.attempt;
  }
}

absl::Status DecodeEngine::NoneHasRoom(const Session& session) {
  return Refusal(absl::ResourceExhaustedError("the prefill nodes that were asked have no room"),
                 session.is_late ? kDeadlineTooShort : kQueueFull, std::max(session.full_for, kLeastRetry));
}

void DecodeEngine::LogGivenUp(const Session& session, const std::string& reason) {
  spdlog::warn("request {}: prefill node {} is given up ({}); {} more to try", session.job.request_id,
               session.prefilled.prefill_node, reason, session.job.candidates.size() - session.attempt);
}

void DecodeEngine::OnStateEvent(JobId id, uint32_t call_number, StateEvent event) {
  const auto session =
      std::find_if(sessions_.begin(), sessions_.end(), [id](const Session& session) { return session.id == id; });
  if (session == sessions_.end()) return;
  session->prefilled.segment_bytes += event.wire_bytes;
  if (session->state != Session::State::kReceiving || session->call_number != call_number) return;
  session->last_event = clock_->Now();
  if (const absl::Status status = TakeStateEvent(*session, std::move(event)); !status.ok()) {
    if (const std::optional<absl::Duration> room = RetryAfter(status); absl::IsResourceExhausted(status) && room) {
      ++session->refusals;
      session->is_late |= ReasonOf(status) == kDeadlineTooShort;
      session->full_for = std::min(session->full_for, *room);
      if (full_.size() >= kMostNotes) full_.clear();
      full_[session->prefilled.prefill_node] =
          NoteOf(status, *room, clock_->Now(), session->job.deadline - session->asked, session->missing());
    }
    if (absl::IsResourceExhausted(status) || absl::IsNotFound(status)) {  // under overload there are many
      spdlog::debug("request {}: {} refuses: {}", session->job.request_id, session->prefilled.prefill_node,
                    status.ToString());
    } else {
      LogGivenUp(*session, status.ToString());
    }
    FetchNext(*session);
    if (!session->failed.ok()) End(session, session->failed);
  }
}

absl::Status DecodeEngine::TakeStateEvent(Session& session, StateEvent event) {
  if (const auto* accepted = std::get_if<StateAccepted>(&event.event)) {
    spdlog::debug("request {}: accepted by {}, {} tokens ahead", session.job.request_id, session.prefilled.prefill_node,
                  accepted->tokens_ahead);
  }
  if (const auto* head = std::get_if<StateHead>(&event.event)) {
    session.prefilled.cached_tokens = std::min(head->cached_tokens, session.missing());
    return session.receiver->AcceptHeader(head->header.bytes, device_);
  }
  if (const auto* progress = std::get_if<StateProgress>(&event.event)) {
    spdlog::debug("request {}: {} has computed {} tokens", session.job.request_id, session.prefilled.prefill_node,
                  progress->computed);
    if (progress->computed <= session.told_computed) return absl::OkStatus();
    session.told_computed = progress->computed;
  }
  session.last_advance = clock_->Now();
  if (auto* frame = std::get_if<StateFrame>(&event.event)) {
    return session.receiver->AcceptFrame(std::move(frame->frame), frame->checksum, device_);
  }
  if (const auto* ended = std::get_if<StateEnded>(&event.event)) {
    KEDGE_RETURN_IF_ERROR(ended->status);
    KEDGE_RETURN_IF_ERROR(session.receiver->Commit());
    session.prefilled.held_rows = session.receiver->num_left_out();
    session.call.reset();
    session.receiver.reset();
    session.prefilled.prefill_time = clock_->Now() - session.began;
    // What was kept of an answer comes sooner than what is computed.
    if (!session.has_begun()) fetch_time_ += kNewShare * (clock_->Now() - session.asked - fetch_time_);
    Run(session, std::nullopt);
    session.computation->StoreHere();
  }
  return absl::OkStatus();
}

void DecodeEngine::GiveUpSilent() {
  for (Session& session : sessions_) {
    if (session.state != Session::State::kReceiving) continue;
    const bool is_silent = clock_->Now() - session.last_event > options_.silence_limit;
    if (!is_silent && clock_->Now() - session.last_advance <= options_.stall_limit) continue;
    LogGivenUp(session, is_silent ? "it says nothing" : "it gets no further");
    FetchNext(session);
  }
}

}  // namespace kedge
