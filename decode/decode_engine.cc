// Sessions in order of arrival; one step serves all that run, be it a prompt computed here or the next token of an
// answer. A session may be gone when its step is done: steps name sessions, and their rows and pages are safe, as what
// is written to them later has its turn later. Tested by decode_engine_test.cc, and with prefill nodes by
// tests/simulation_test.cc.
#include "decode/decode_engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/anchor/outline.h"
#include "common/anchor/tracker.h"
#include "common/base/error_reason.h"
#include "common/base/status.h"
#include "common/engine/state_exchange.h"
#include "decode/decode_session.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr absl::Duration kGivesWay = absl::Milliseconds(10);  // at most: a later refusal would be of no use

}  // namespace

DecodeEngine::DecodeEngine(const DecodeOptions& options, StepDevice* device, StateSource* source, const Clock* clock,
                           Post post, Post enter)
    : options_(options),
      device_(device),
      source_(source),
      clock_(clock),
      post_(std::move(post)),
      enter_(enter != nullptr ? std::move(enter) : post_),
      pool_(device->num_pages()),
      cache_({.fingerprint = options.fingerprint, .max_pages = options.cache_pages}, &options_.salience_heads, device,
             &pool_),
      held_({.fingerprint = options.fingerprint,
             .kv_type = KvTypeName(device->row_shape().type),
             .numerics_class = device->numerics_class()},
            options.held_bytes),
      offered_({.fingerprint = options.fingerprint,
                .context_length = options.context_length,
                .max_bytes = options.offered_bytes},
               device, clock),
      known_answers_(options.context_length, device, &pool_),
      steps_(device, clock, options.run_step) {}

DecodeEngine::~DecodeEngine() = default;

absl::Status DecodeEngine::Check(const DecodeJob& job) const {
  KEDGE_RETURN_IF_ERROR(CheckOwnModel(job.fingerprint, options_.fingerprint));
  KEDGE_RETURN_IF_ERROR(CheckContent(job.content, device_->vocab_size(), options_.context_length));
  if (job.content.prompt_length == 0) return absl::InvalidArgumentError("prompt_length: is 0");
  if (job.content.prompt_length > job.content.ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat("prompt_length: ", job.content.prompt_length, " is more than the ",
                                                   job.content.ids.size(), " ids"));
  }
  return CheckSampling(job.sampling, device_->vocab_size());
}

// Whether the state before the last id is to be asked for, unless rows of it are stored here.
bool DecodeEngine::IsRemote(const Session& session) const {
  return !ComputesHere({.missing = session.missing(), .candidates = session.attempt < session.job.candidates.size()},
                       options_.row_source);
}

DecodeEngine::JobId DecodeEngine::Add(DecodeJob job, std::shared_ptr<DecodeSink> sink) {
  Session& session = sessions_.emplace_back();
  session.id = next_id_++;
  session.job = std::move(job);
  session.sink = std::move(sink);
  session.arrived = clock_->Now();
  absl::Status status = Check(session.job);
  if (status.ok() && !IsRemote(session)) status = CheckChoosable(session.job.content, options_.salience_heads);
  if (status.ok()) {
    const absl::StatusOr<Room> room = FirstRoom(session.job, IsRemote(session) ? session.missing() : 0);
    status = room.status();
    if (room.ok()) session.room = *room;
  }
  if (status.ok() && !IsRemote(session)) {
    FindStored(session);
    session.wait = cache_.Await(session.job.content, session.missing(), session.stored);
  }
  if (status.ok() && !session.has_begun()) status = LetIn(session);
  if (status.ok() && !session.has_begun() && IsFullFor(session)) {
    const absl::Duration room = steps_.costs().known() ? std::max(stats().full_for, kLeastRetry) : absl::Seconds(1);
    status = WithRetryAfter(absl::ResourceExhaustedError(absl::StrCat("decode queue: ", options_.max_waiting,
                                                                      " requests wait for KV memory already")),
                            room);
  }
  auto self = std::prev(sessions_.end());
  if (!status.ok()) {
    End(self, status);
    return 0;
  }
  if (session.has_begun()) {
    const auto behind = std::find_if(sessions_.begin(), self, [](const Session& other) {
      return other.state == Session::State::kWaiting && !other.has_begun();
    });
    sessions_.splice(behind, sessions_, self);
  }
  FetchAtOnce(session);
  if (!session.failed.ok()) {
    End(self, session.failed);
    return 0;
  }
  return session.id;
}

// What the next turn would do for it, where that asks nothing of the device: a state may come while a step is computed.
void DecodeEngine::FetchAtOnce(Session& newest) {
  NextTurn next(this);
  for (Session& session : sessions_) {
    const bool begins = next.Begins(session);
    if (&session != &newest) continue;
    if (!begins || session.not_before > session.arrived || !IsRemote(session)) return;
    FindStored(session);
    Room here;
    if (!IsFetched(session, &here)) return;
    session.waits_since = session.arrived;
    TakeRows(session);
    return FetchNext(session);
  }
}

absl::Status DecodeEngine::LetIn(Session& session) {
  const std::optional<AnswerRefusal> refused = CheckTime(session);
  if (!refused.has_value()) return absl::OkStatus();
  if (!refused->has_time) return TooLate(std::min(refused->room, session.full_for));
  session.not_before = clock_->Now() + std::min(refused->room, kGivesWay);
  return absl::OkStatus();
}

bool DecodeEngine::IsFullFor(const Session& newest) const {
  NextTurn next(this);
  uint32_t waiting = 0;
  for (const Session& session : sessions_) {
    const bool begins = next.Begins(session);
    waiting += session.state == Session::State::kWaiting && !begins;
    if (&session == &newest && begins) return false;
  }
  return waiting > options_.max_waiting;
}

void DecodeEngine::Cancel(JobId id) {
  sessions_.remove_if([this, id](const Session& session) {
    if (session.id != id) return false;
    if (session.computation != nullptr) session.computation->StoreHere();  // a chat may go on behind half an answer
    // A stop string, or a client who has enough.
    if (session.prefilled_sent) length_.Record(session.generated(), session.job.sampling.max_tokens);
    return true;
  });
}

void DecodeEngine::End(SessionIt session, absl::Status status, const FinishedInfo& finished) {
  const std::shared_ptr<DecodeSink> sink = std::move(session->sink);
  if (PrefixComputation* const computation = session->computation.get(); computation != nullptr) {
    if (status.ok() || absl::IsDeadlineExceeded(status) || absl::IsAborted(status)) {
      computation->StoreHere();
    } else {  // a step failed
      computation->Abandon();
    }
  }
  sessions_.erase(session);  // rows first, so that whoever hears of the end finds them free
  sink->OnEnd(status, finished);
}

bool DecodeEngine::MayBegin(const Session& session, absl::Time now) {
  return session.state == Session::State::kWaiting && session.failed.ok() && session.not_before <= now &&
         (session.wait == nullptr || session.wait->over());
}

void DecodeEngine::Admit() {
  const absl::Time now = clock_->Now();
  for (Session& session : sessions_) {
    if (session.waits_since == absl::InfinitePast()) session.waits_since = now;
  }
  for (Session& session : sessions_) {
    if (!MayBegin(session, now)) continue;
    // Who has given way is let in, unless it has no more time itself.
    if (std::exchange(session.not_before, absl::InfinitePast()) != absl::InfinitePast()) {
      if (!IsRemote(session)) FindStored(session);
      if (const std::optional<AnswerRefusal> refused = CheckTime(session); refused.has_value() && !refused->has_time) {
        session.failed = TooLate(refused->room);
        continue;
      }
    }
    if (session.room.pages > FreePages()) return;  // in order of arrival: nobody overtakes, so nobody starves
    Begin(session);
  }
}

std::optional<CachedPrefix> DecodeEngine::FindStored(Session& session) {
  const Content& content = session.job.content;
  std::optional<CachedPrefix> hit;
  if (CheckChoosable(content, options_.salience_heads).ok()) hit = cache_.Find(content, session.missing());
  session.stored = hit.has_value() ? hit->rows.end : 0;
  return hit;
}

bool DecodeEngine::IsFetched(const Session& session, Room* here) const {
  if (!IsRemote(session)) return false;
  const RowSourceQuery query{.missing = session.missing(), .stored = session.stored};
  if (session.stored == 0 || !ComputesHere(query, options_.row_source)) return true;
  const absl::StatusOr<Room> room =
      FirstRoom(session.job, session.job.content.policy.prefill_full ? 0 : session.stored);
  if (!room.ok() || room->pages > pool_.num_free()) return true;
  *here = *room;
  return false;
}

void DecodeEngine::TakeRows(Session& session) {
  session.sequence =
      std::make_unique<Sequence>(session.job.content, *pool_.Reserve(session.room.pages), &options_.salience_heads);
  if (session.began == absl::InfinitePast()) session.began = clock_->Now();
  session.prefilled.queue_time = session.began - session.arrived;
}

// Gives a job its rows and starts it. REQUIRES: session.room.pages are free.
void DecodeEngine::Begin(Session& session) {
  const std::optional<CachedPrefix> hit = FindStored(session);
  if (IsFetched(session, &session.room)) {
    TakeRows(session);
    return FetchNext(session);
  }
  if (!IsRemote(session)) {
    session.wait = cache_.Await(session.job.content, session.missing(), session.stored);
    if (session.wait != nullptr) return;
  }
  TakeRows(session);
  session.prefilled.prefill_node.clear();
  session.prefilled.cached_tokens = std::min(session.stored, session.job.content.prompt_length);
  Run(session, hit);
}

void DecodeEngine::Run(Session& session, const std::optional<CachedPrefix>& hit) {
  session.computation = cache_.Start(session.sequence.get(), hit);
  session.state = Session::State::kRunning;
}

void DecodeEngine::EndFailed() {
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto current = session++;
    if (!current->failed.ok()) End(current, current->failed);
  }
}

bool DecodeEngine::Turn() {
  EndLate();
  Admit();
  GiveUpSilent();
  EndFailed();
  Step();
  known_answers_.Finish(/*wait=*/steps_.empty());
  const bool is_copying = offered_.Turn(/*wait=*/steps_.empty());
  if (!steps_.empty() || known_answers_.HasWork() || is_copying) return true;
  const auto first = std::find_if(sessions_.begin(), sessions_.end(),
                                  [now = clock_->Now()](const Session& session) { return MayBegin(session, now); });
  const bool goes_on = (first != sessions_.end() && first->room.pages <= FreePages()) ||
                       std::any_of(sessions_.begin(), sessions_.end(), [](const Session& session) {
                         return session.state == Session::State::kRunning;
                       });
  if (!goes_on) steps_.Rest();
  return goes_on;
}

// The jobs of the next step, in turn where there are more than a step has rows.
std::vector<DecodeEngine::SessionIt> DecodeEngine::Running() {
  std::vector<SessionIt> running;
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto current = session++;
    if (current->state != Session::State::kRunning || current->is_about_to_move) continue;
    if (current->generated() >= current->job.sampling.max_tokens) {  // the node before died on its last message
      End(current, absl::OkStatus());
    } else if (HasRoom(*current) && (!current->output.has_value() || !IsLastToken(*current))) {
      running.push_back(current);
    }
  }
  const uint32_t count = static_cast<uint32_t>(running.size());
  if (count > device_->max_rows())
    std::rotate(running.begin(), running.begin() + steps_.count() * device_->max_rows() % count, running.end());
  return running;
}

void DecodeEngine::Step() {
  const bool launched = Launch();
  if (!steps_.empty() && (!launched || steps_.full())) FinishOldest();
}

// Whether no row will follow the next token.
bool DecodeEngine::IsLastToken(const Session& session) const {
  return session.generated() + 1 >= session.job.sampling.max_tokens ||
         session.content().ids.size() + 1 >= options_.context_length;
}

// How the row of a token under way is to choose the next one; nullopt if it cannot be planned before that token is
// here.
std::optional<TokenChoice> DecodeEngine::ChoiceAhead(const Session& session) const {
  const bool is_chosen = ChoiceByLogitsAlone(session.job.sampling, session.generated()).has_value();
  if (!is_chosen || !session.sequence->KnowsNext() || !session.computation->may_go_on()) return std::nullopt;
  return ChoiceByLogitsAlone(session.job.sampling, session.generated() + 1);
}

// Every answer gets a row in every step, or, where there are more answers than rows of a step, in its turn. Returns
// whether a step was launched: there may be nothing to do, or an answer that cannot go on before its token is here.
bool DecodeEngine::Launch() {
  GrowAnswers();
  const std::vector<SessionIt> running = Running();
  std::vector<Claim> claims;
  std::vector<std::optional<TokenChoice>> choices;
  for (const SessionIt session : running) {
    if (session->output.has_value()) {
      choices.push_back(ChoiceAhead(*session));
      if (!choices.back().has_value()) return false;
      claims.push_back({.ready = 1, .left = 1});
    } else {
      choices.push_back(ChoiceByLogitsAlone(session->job.sampling, session->generated()));
      claims.push_back({.ready = std::min(session->computation->ready(), session->room.chunk),
                        .left = session->computation->left()});
    }
  }
  const uint32_t count = static_cast<uint32_t>(running.size());
  const std::vector<uint32_t> rows =
      DivideStep(claims, std::min(std::max(steps_.budget(), count), device_->max_rows()));
  std::vector<Slice> slices;
  std::vector<SessionIt> sessions;  // of the slices
  uint32_t used = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    if (rows[i] == 0) continue;
    slices.push_back({.sequence = running[i]->sequence.get(),
                      .rows = rows[i],
                      .choice = choices[i],
                      .chosen_before = running[i]->output,
                      .request = running[i]->id});
    sessions.push_back(running[i]);
    used += rows[i];
  }
  known_answers_.AddSlice(RowsLeft(used, steps_.budget(), device_->max_rows()), &slices);
  if (slices.empty()) return false;
  const StepUnderWay& step = steps_.Launch(slices);
  for (size_t i = 0; i < sessions.size(); ++i) sessions[i]->output = step.parts[i].output;
  return true;
}

void DecodeEngine::FinishOldest() {
  const auto [step, status] = steps_.FinishOldest();
  absl::flat_hash_map<JobId, SessionIt> sessions;  // some may have gone meanwhile
  sessions.reserve(sessions_.size());
  for (auto session = sessions_.begin(); session != sessions_.end(); ++session) sessions.emplace(session->id, session);
  for (const StepUnderWay::Part& part : step.parts) {
    if (KnownAnswers::Owns(part)) {
      known_answers_.Settle(step, part, status);
      continue;
    }
    const auto found = sessions.find(part.request);
    if (part.is_taken_back || found == sessions.end()) continue;
    const SessionIt session = found->second;
    const absl::Status settled = status.ok() ? SettlePart(step, part, session->sequence.get(), device_) : status;
    if (!settled.ok()) {
      spdlog::error("request {}: {}", session->job.request_id, std::string(settled.message()));
      End(session, settled);
      continue;
    }
    session->computation->Settle();
    if (!session->sequence->is_under_way()) {
      session->output.reset();
      session->sequence->DropUnseen();
    }
    if (part.output.has_value()) TakeToken(session, *step.future, *part.output);
  }
}

void DecodeEngine::TakeToken(SessionIt session, const StepFuture& step, size_t output) {
  const SamplingParams& sampling = session->job.sampling;
  Sequence& sequence = *session->sequence;
  if (!session->prefilled_sent) {
    session->prefilled_sent = true;
    PrefilledInfo& prefilled = session->prefilled;
    if (prefilled.prefill_node.empty()) prefilled.prefill_time = clock_->Now() - session->began;
    const Content& content = sequence.content();
    AnchorTracker tracker(&content);
    tracker.AdvanceTo(session->missing());
    prefilled.kept_rows = static_cast<uint32_t>(tracker.State().num_rows());
    prefilled.adaptive_rows = AdaptiveRows(content);
    prefilled.kept_ranges = VisiblePrompt(content);
    prefilled.salient = content.salient;
    session->sink->OnPrefilled(prefilled);
  }
  const uint32_t index = session->generated();
  std::optional<uint32_t> chosen;
  if (ChoiceByLogitsAlone(sampling, index).has_value()) chosen = step.Token(output);
  const SampledToken token = chosen.has_value() ? SampledToken{.id = *chosen}
                                                : SampleToken(step.Logits(output), sampling, sequence.content().ids,
                                                              sequence.content().prompt_length);
  if (sequence.has_unknown() && (!chosen.has_value() || sampling.IsEndId(token.id))) TakeBack(*session);
  if (sampling.IsEndId(token.id)) {
    length_.Record(index, sampling.max_tokens);
    End(session, absl::OkStatus(), {.end_id_sampled = true, .end_id = token.id});
    return;
  }
  sequence.Append(token.id);
  session->sink->OnToken(index, token);
  if (session->generated() >= sampling.max_tokens || sequence.content().ids.size() >= options_.context_length) {
    length_.Record(session->generated(), sampling.max_tokens);
    End(session, absl::OkStatus());
  }
}

// The row that stands on another token than the one before chose, or on an end.
void DecodeEngine::TakeBack(Session& session) {
  session.sequence->TakeBack();
  session.output.reset();
  for (StepUnderWay::Part& part : steps_.newest().parts) part.is_taken_back |= part.request == session.id;
}

}  // namespace kedge
