// States of a completion: waiting for a node, called, finished. PlaceCall leads from the first to the second,
// OnMessage to the third, CallFailed back to the first. Each call has a number; what comes from an earlier one is
// dropped, so a call that was given up (stop string, gap, cancellation) needs no state of its own.
//
// A request waits a while for its first node: a cluster may just be starting. One whose node failed waits only for a
// node that is registered; where there is none its client hears of the loss at once.
//
// Tokens come with their place in the answer: a repeated one is dropped, a missing one fails the call. So whatever a
// node does, the client gets each token of the answer once and in order, or an error.
//
// Tested by request_flow_test.cc and request_flow_failover_test.cc.
#include "router/request_flow.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/anchor/policy.h"
#include "common/base/error_reason.h"
#include "common/rpc/ranges.h"

namespace kedge {
namespace {

// Whether another node may do better.
bool MayRetry(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kResourceExhausted:
    // We take no events of calls that we cancelled: this one was cancelled by its node. gRPC servers that shut down do
    // that to some calls (most of them see kUnavailable).
    case absl::StatusCode::kCancelled:
      return true;
    default:
      return false;
  }
}

// What the client gets when no other node went on.
absl::Status FinalStatus(const std::string& node_id, const absl::Status& status) {
  absl::StatusCode code = status.code();
  if (code == absl::StatusCode::kUnknown || code == absl::StatusCode::kAborted ||
      code == absl::StatusCode::kCancelled) {
    code = absl::StatusCode::kUnavailable;
  }
  return WithDetailsOf(absl::Status(code, absl::StrCat("decode node ", node_id, ": ", status.message())), status);
}

void AddOnce(const std::string& id, std::vector<std::string>* ids) {
  if (std::find(ids->begin(), ids->end(), id) == ids->end()) ids->push_back(id);
}

bool ReducesPrompts(const std::string& canonical_policy) {
  const absl::StatusOr<Policy> policy = ParsePolicy(canonical_policy, {});
  return policy.ok() && policy->prefill_full;
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  duration = std::max(duration, absl::ZeroDuration());
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

}  // namespace

std::shared_ptr<RequestFlow> RequestFlow::Create(const FlowEnvironment* environment, RouterRequest request,
                                                 absl::Time arrival, absl::Time deadline, ResponseSink* sink) {
  return std::shared_ptr<RequestFlow>(new RequestFlow(environment, std::move(request), arrival, deadline, sink));
}

RequestFlow::RequestFlow(const FlowEnvironment* environment, RouterRequest request, absl::Time arrival,
                         absl::Time deadline, ResponseSink* sink)
    : environment_(environment),
      request_(std::move(request)),
      decode_has_answers_(!ReducesPrompts(request_.policy)),
      seed_(request_.seed.has_value() ? *request_.seed : environment->draw_seed()),
      arrival_(arrival),
      deadline_(deadline),
      sink_(sink) {
  for (uint32_t i = 0; i < request_.n; ++i) {
    runs_.push_back(std::make_unique<Run>(i, &request_, environment->tokenizer));
  }
}

void RequestFlow::Start() {
  strand_.Post([self = shared_from_this()] {
    const absl::Time now = self->environment_->clock->Now();
    for (const std::unique_ptr<Run>& run : self->runs_) run->waiting_since = now;
    if (self->request_.chooses) return self->PlaceCall(*self->runs_[0]);
    self->PlaceAll();
  });
}

// Calls of the completions that have none yet.
void RequestFlow::PlaceAll() {
  for (const std::unique_ptr<Run>& run : runs_) {
    if (sink_ != nullptr && run->call_number == 0 && !run->assembler.finished()) PlaceCall(*run);
  }
}

void RequestFlow::Cancel(const absl::Status& reason) {
  strand_.Post([self = shared_from_this(), reason] { self->Finish(reason); });
}

void RequestFlow::PlaceCall(Run& run) {
  if (sink_ == nullptr) return;  // finished while we waited
  const absl::Time now = environment_->clock->Now();
  if (now >= deadline_) {
    return Finish(absl::DeadlineExceededError("the deadline passed before a decode node was ready"));
  }

  const ClusterSnapshot cluster = environment_->registry->Snapshot();
  const std::vector<uint64_t> prefixes = Prefixes(run);
  const PlacementQuery query = QueryFor(run, prefixes);
  const std::optional<Placement> placement =
      run.moved_from != 0 ? PlaceMoved(cluster, query, run.moved_from) : Place(cluster, query);
  if (placement.has_value()) {
    const bool is_retry = !run.last_error.ok() && run.assembler.ids().empty();
    if (is_retry && environment_->retries != nullptr && !environment_->retries->TakeRetry()) {
      return absl::IsResourceExhausted(run.last_error) ? FinishFull(run) : Finish(run.last_error);
    }
    return StartCall(run, *placement, query, prefixes);
  }
  if (AllFullFor(cluster, query).has_value()) return FinishFull(run);

  const bool waited = now - run.waiting_since >= kNodeWait;
  if (run.last_error.ok()) {
    if (waited) {
      return Finish(Refusal(absl::UnavailableError("no decode node is ready"), kNoNode, absl::Seconds(1)));
    }
  } else if (absl::IsResourceExhausted(run.last_error)) {
    return FinishFull(run);
  } else if (waited || !MayComeToPlace(cluster, query)) {
    return Finish(run.last_error);
  }
  environment_->run_after(
      kNodePoll, [self = shared_from_this(), &run] { self->strand_.Post([self, &run] { self->PlaceCall(run); }); });
}

PlacementQuery RequestFlow::QueryFor(const Run& run, absl::Span<const uint64_t> prefixes) const {
  return {.tried = run.tried,
          .numerics_class = run.numerics_class,
          .tokens = static_cast<uint32_t>(request_.prompt_ids.size() + run.assembler.ids().size()),
          .held = environment_->prefixes->Find(prefixes),
          .time_left = deadline_ - environment_->clock->Now(),
          .has_begun = !run.assembler.ids().empty()};
}

void RequestFlow::FinishFull(Run& run) {
  const ClusterSnapshot cluster = environment_->registry->Snapshot();
  PlacementQuery query = QueryFor(run, Prefixes(run));
  const absl::Duration room = std::min(run.room, AllFullFor(cluster, query).value_or(absl::InfiniteDuration()));
  if (!absl::IsResourceExhausted(run.last_error)) {
    query.time_left = absl::InfiniteDuration();
    run.last_error = WithReason(absl::ResourceExhaustedError("all decode nodes have said that they are full"),
                                AllFullFor(cluster, query).has_value() ? kQueueFull : kDeadlineTooShort);
  }
  Finish(room == absl::InfiniteDuration() ? run.last_error : WithRetryAfter(run.last_error, room));
}

void RequestFlow::StartCall(Run& run, const Placement& placement, const PlacementQuery& query,
                            absl::Span<const uint64_t> prefixes) {
  const NodeSnapshot& node = placement.decode;
  if (!run.last_error.ok() && !absl::IsResourceExhausted(run.last_error)) ++failovers_;
  const bool is_first = run.last_error.ok() && run.assembler.ids().empty();
  if (is_first && environment_->retries != nullptr) environment_->retries->CountCall();
  run.moved_from = 0;
  run.call_number = next_call_number_++;
  run.node_id = node.node_id;
  run.registration = node.registration;
  run.call_numerics_class = node.numerics_class;
  run.call_start = environment_->clock->Now();
  run.ids_at_start = run.assembler.ids().size();
  run.has_prefilled = false;
  run.decode_assignment = environment_->registry->Assign(node.registration, query.tokens);
  // Noted before anything is there: who comes next with the same beginning waits for it at the same node.
  environment_->prefixes->Note(prefixes, node.registration);
  if (!placement.prefill.empty() && !placement.moved_from.has_value()) {  // nothing is left for it to compute
    const uint64_t registration = placement.prefill[0].registration;
    run.prefill_assignment = environment_->registry->Assign(registration, query.Missing(registration));
    environment_->prefixes->Note(prefixes, registration);
  }
  DecodeEvents events;
  events.on_message = [self = shared_from_this(), &run,
                       number = run.call_number](const node::v1::DecodeResponse& message) {
    self->strand_.Post([self, &run, number, message] { self->OnMessage(run, number, message); });
  };
  events.on_done = [self = shared_from_this(), &run, number = run.call_number](const absl::Status& status) {
    self->strand_.Post([self, &run, number, status] { self->OnDone(run, number, status); });
  };
  run.call = environment_->caller->Start(node, MakeDecodeRequest(run, placement), deadline_, std::move(events));
  WatchCall(run, run.call_number);
}

// A node that dies breaks its connection; one that hangs does not, and only its heartbeats tell.
void RequestFlow::WatchCall(Run& run, uint64_t call_number) {
  environment_->run_after(kWatchInterval, [self = shared_from_this(), &run, call_number] {
    self->strand_.Post([self, &run, call_number] {
      if (self->sink_ == nullptr || run.call_number != call_number) return;
      if (!self->environment_->registry->Hangs(run.registration)) return self->WatchCall(run, call_number);
      self->CallFailed(run, absl::UnavailableError("hangs"));
    });
  });
}

std::vector<uint64_t> RequestFlow::Prefixes(const Run& run) const {
  std::vector<uint32_t> ids = request_.prompt_ids;
  ids.insert(ids.end(), run.assembler.ids().begin(), run.assembler.ids().end());
  return PrefixHashes(request_.policy, request_.cache_domain, ids);
}

node::v1::DecodeRequest RequestFlow::MakeDecodeRequest(const Run& run, const Placement& placement) const {
  node::v1::DecodeRequest decode;
  decode.set_request_id(request_.request_id);
  node::v1::Content* content = decode.mutable_content();
  content->mutable_ids()->Add(request_.prompt_ids.begin(), request_.prompt_ids.end());
  content->mutable_ids()->Add(run.assembler.ids().begin(), run.assembler.ids().end());
  content->set_prompt_length(static_cast<uint32_t>(request_.prompt_ids.size()));
  content->mutable_no_anchor_positions()->Add(request_.no_anchor_positions.begin(), request_.no_anchor_positions.end());
  content->mutable_sequence_ends()->Add(request_.sequence_ends.begin(), request_.sequence_ends.end());
  content->set_policy(request_.policy);
  content->set_fingerprint(environment_->registry->fingerprint());
  RangesToProto(request_.pinned, content->mutable_pinned());
  content->set_turn_begin(request_.turn_begin);
  RangesToProto(request_.user, content->mutable_user());
  RangesToProto(request_.system, content->mutable_system());
  content->mutable_question_marks()->Add(request_.question_marks.begin(), request_.question_marks.end());
  content->set_cache_domain(request_.cache_domain);
  if (salient_.has_value()) *content->mutable_salient() = *salient_;

  node::v1::Sampling* sampling = decode.mutable_sampling();
  sampling->set_temperature(request_.temperature);
  sampling->set_top_p(request_.top_p);
  sampling->set_top_k(request_.top_k);
  sampling->set_min_p(request_.min_p);
  sampling->set_frequency_penalty(request_.frequency_penalty);
  sampling->set_presence_penalty(request_.presence_penalty);
  sampling->set_repetition_penalty(request_.repetition_penalty);
  for (const auto& [id, bias] : request_.logit_bias) (*sampling->mutable_logit_bias())[id] = bias;
  sampling->set_seed(seed_);
  sampling->set_completion_index(run.index);
  sampling->set_max_tokens(request_.max_tokens);
  sampling->set_min_tokens(request_.min_tokens);
  sampling->mutable_end_ids()->Add(request_.end_ids.begin(), request_.end_ids.end());
  if (request_.logprobs.has_value()) sampling->set_logprobs(*request_.logprobs);

  std::vector<NodeSnapshot> sources = placement.prefill;
  if (placement.moved_from.has_value()) sources.insert(sources.begin(), *placement.moved_from);
  SetPrefillCandidates(sources, &decode);
  return decode;
}

void RequestFlow::OnMessage(Run& run, uint64_t call_number, const node::v1::DecodeResponse& message) {
  if (sink_ == nullptr || run.call_number != call_number) return;
  if (const absl::Status status = CheckAnswer(message, AskedOf(run)); !status.ok()) return CallFailed(run, status);
  AddOnce(run.node_id, &served_by_.decode_nodes);
  AddOnce(run.node_id, &run.served_by.decode_nodes);
  if (message.has_prefilled()) {
    TakePrefilled(run, message.prefilled());
    if (sink_ == nullptr) return;  // the calls that had waited for it could not be made
  }
  TakeTokens(run, message);
  const bool was_cut = run.assembler.finished();
  if (message.has_finished() && !run.assembler.finished()) TakeFinished(run, message.finished());
  if (run.assembler.finished()) {
    if (run.index == 0) {
      last_token_time_ = environment_->clock->Now();
      first_token_time_ = std::min(first_token_time_, last_token_time_);  // an answer without tokens
    }
    if (decode_has_answers_) environment_->prefixes->Note(Prefixes(run), run.registration);
    EndCall(run, !message.has_finished());
    if (request_.chooses && !salient_.has_value()) PlaceAll();  // it needed none; nobody waits for it any more
    if (sink_ == nullptr) return;
    OfferToAudit(run, message, was_cut);
  }
  Emit(run);
  if (AllFinished()) Finish(absl::OkStatus());
}

AskedFor RequestFlow::AskedOf(const Run& run) const {
  return {.request = &request_,
          .vocab_size = environment_->vocab_size > 0 ? environment_->vocab_size
                                                     : static_cast<uint32_t>(environment_->tokenizer->vocab_size()),
          .given = run.assembler.ids().size(),
          .given_at_start = run.ids_at_start,
          .has_prefilled = run.has_prefilled,
          .chosen = salient_};
}

// `last`: the message that ended it; `was_cut`: by a stop string within its tokens.
void RequestFlow::OfferToAudit(const Run& run, const node::v1::DecodeResponse& last, bool was_cut) {
  if (environment_->audit == nullptr || numerics_changed_ || !environment_->audit->Wants()) return;
  GivenAnswer answer{.request = MakeDecodeRequest(run, Placement()),
                     .salient = salient_,
                     .ids = run.assembler.ids(),
                     .was_cut = was_cut,
                     .numerics_class = run.numerics_class,
                     .decode_nodes = run.served_by.decode_nodes,
                     .prefill_nodes = run.served_by.prefill_nodes};
  node::v1::Content* content = answer.request.mutable_content();
  content->mutable_ids()->Truncate(static_cast<int>(request_.prompt_ids.size()));
  content->clear_salient();
  if (last.has_finished() && last.finished().reason() == node::v1::END_REASON_END_ID) {
    answer.end_id = last.finished().end_id();
  }
  environment_->audit->Start(std::move(answer));
}

void RequestFlow::TakePrefilled(Run& run, const node::v1::Prefilled& prefilled) {
  run.has_prefilled = true;
  run.prefill_assignment.Release();
  if (!prefilled.numerics_class().empty()) run.call_numerics_class = prefilled.numerics_class();
  const std::vector<std::string>& own = run.served_by.decode_nodes;  // one that moved the answer is none that prefills
  if (!prefilled.prefill_node().empty() && std::count(own.begin(), own.end(), prefilled.prefill_node()) == 0) {
    AddOnce(prefilled.prefill_node(), &served_by_.prefill_nodes);
    AddOnce(prefilled.prefill_node(), &run.served_by.prefill_nodes);
  }
  segment_bytes_ += prefilled.segment_bytes();
  if (request_.chooses && !salient_.has_value()) {
    salient_ = prefilled.salient();
    for (const std::unique_ptr<Run>& other : runs_) other->waiting_since = environment_->clock->Now();
    PlaceAll();
  }
  if (kept_ranges_.empty()) kept_ranges_ = RangesFromProto(prefilled.kept_ranges());
  if (!prompt_counted_ && run.ids_at_start == 0) {  // the prompt alone: every such call of the request says the same
    prompt_counted_ = true;
    kept_rows_ = prefilled.kept_rows();
    held_rows_ = prefilled.held_rows();
    adaptive_rows_ = prefilled.adaptive_rows();
    full_bytes_ = request_.prompt_ids.size() * prefilled.row_bytes();
  }
  // Of several completions one may have computed what the others find.
  if (run.ids_at_start == 0) cached_tokens_ = std::min(cached_tokens_.value_or(UINT32_MAX), prefilled.cached_tokens());
  if (run.index == 0 && !prefill_timed_) {
    prefill_timed_ = true;
    queue_duration_ = run.call_start - arrival_ + absl::Microseconds(prefilled.queue_us());
    prefill_duration_ = absl::Microseconds(prefilled.prefill_us());
  }
}

void RequestFlow::TakeTokens(Run& run, const node::v1::DecodeResponse& message) {
  if (message.tokens().empty()) return;
  for (size_t i = run.assembler.ids().size() - message.first_index(); i < static_cast<size_t>(message.tokens_size());
       ++i) {
    if (run.numerics_class.empty()) {
      run.numerics_class = run.call_numerics_class;
    } else if (run.numerics_class != run.call_numerics_class) {
      numerics_changed_ = true;
      run.numerics_class = run.call_numerics_class;
    }
    if (run.index == 0) first_token_time_ = std::min(first_token_time_, environment_->clock->Now());
    run.assembler.Push(message.tokens(static_cast<int>(i)));
    if (run.assembler.finished()) break;  // a stop string
  }
}

void RequestFlow::TakeFinished(Run& run, const node::v1::Finished& finished) {
  if (finished.reason() == node::v1::END_REASON_END_ID) {
    run.assembler.FinishAtEndId(finished.end_id());
  } else {
    run.assembler.FinishAtLength();
  }
}

void RequestFlow::OnDone(Run& run, uint64_t call_number, const absl::Status& status) {
  if (sink_ == nullptr || run.call_number != call_number) return;
  CallFailed(run, status.ok() ? absl::InternalError("ended the call within the answer") : status);
}

void RequestFlow::CallFailed(Run& run, const absl::Status& status) {
  EndCall(run, /*cancel=*/true);
  run.last_error = FinalStatus(run.node_id, status);
  if (absl::IsResourceExhausted(status) && !run.assembler.ids().empty()) {
    // Its prompt is not too large for the cluster: the node that could hold it is lost.
    run.last_error = absl::UnavailableError(absl::StrCat("no node that is left can go on: ", run.last_error.message()));
  }
  if (!MayRetry(status)) return Finish(run.last_error);
  if (run.assembler.ids().size() >= request_.max_tokens) {  // only its last message is missing
    run.assembler.FinishAtLength();
    if (run.index == 0) last_token_time_ = environment_->clock->Now();
    Emit(run);
    if (AllFinished()) Finish(absl::OkStatus());
    return;
  }
  if (run.assembler.ids().size() > run.ids_at_start) {
    run.failures = 0;
    run.tried.clear();
  } else if (!absl::IsResourceExhausted(status) && ++run.failures >= kMaxAttempts) {
    return Finish(run.last_error);
  }
  if (ReasonOf(status) == kMoved) {  // nothing is wrong with it
    ++moves_;
    run.moved_from = run.registration;
    run.last_error = absl::OkStatus();
  } else {
    run.tried.push_back(run.registration);
  }
  if (absl::IsResourceExhausted(status)) TakeRefusal(run, status);
  if (run.assembler.ids().empty() && run.refusals >= kMostRefusals) return FinishFull(run);
  run.waiting_since = environment_->clock->Now();
  PlaceCall(run);
}

void RequestFlow::TakeRefusal(Run& run, const absl::Status& status) {
  ++run.refusals;
  const std::optional<absl::Duration> room = RetryAfter(status);
  if (!room.has_value()) return;  // it has not the memory, and never will
  run.room = std::min(run.room, std::max(*room, absl::ZeroDuration()));
  environment_->registry->NoteRefused(run.registration,
                                      NoteOf(status, *room, environment_->clock->Now(), deadline_ - run.call_start,
                                             static_cast<uint32_t>(request_.prompt_ids.size())));
}

void RequestFlow::EndCall(Run& run, bool cancel) {
  run.call_number = 0;
  if (std::shared_ptr<DecodeCall> call = std::exchange(run.call, nullptr); call != nullptr && cancel) call->Cancel();
  run.decode_assignment.Release();
  run.prefill_assignment.Release();
}

void RequestFlow::Emit(Run& run) {
  std::optional<inference::v1::Completion> piece = run.assembler.TakePiece();
  if (!piece.has_value()) return;
  inference::v1::GenerateStreamResponse message;
  message.set_request_id(request_.request_id);
  *message.add_completions() = *std::move(piece);
  if (!std::exchange(first_message_sent_, true)) {
    message.set_model(request_.model);
    FillPromptUsage(message.mutable_usage());
  }
  if (AllFinished()) FillSummary(&message);
  sink_->Message(std::move(message));
}

void RequestFlow::FillPromptUsage(inference::v1::Usage* usage) const {
  usage->set_prompt_tokens(static_cast<uint32_t>(request_.prompt_ids.size()));
  usage->set_kept_rows(kept_rows_);
  usage->set_held_rows(held_rows_);
  usage->set_adaptive_rows(adaptive_rows_);
  usage->set_segment_bytes(segment_bytes_);
  usage->set_full_bytes(full_bytes_);
  usage->set_cached_tokens(cached_tokens_.value_or(0));
}

void RequestFlow::FillSummary(inference::v1::GenerateStreamResponse* message) const {
  FillPromptUsage(message->mutable_usage());
  uint32_t tokens = 0;
  for (const std::unique_ptr<Run>& run : runs_) tokens += static_cast<uint32_t>(run->assembler.ids().size());
  message->mutable_usage()->set_completion_tokens(tokens);

  inference::v1::Timings* timings = message->mutable_timings();
  SetDuration(queue_duration_, timings->mutable_queue_duration());
  SetDuration(prefill_duration_, timings->mutable_prefill_duration());
  SetDuration(first_token_time_ - arrival_, timings->mutable_first_token_duration());
  SetDuration(last_token_time_ - arrival_, timings->mutable_total_duration());

  inference::v1::Provenance* provenance = message->mutable_provenance();
  provenance->set_seed(seed_);
  provenance->set_policy(request_.readable_policy);
  provenance->set_numerics_changed(numerics_changed_);
  provenance->set_failovers(failovers_);
  provenance->set_moves(moves_);
  RangesToProto(kept_ranges_, provenance->mutable_kept_ranges());
  if (request_.output_prompt_pieces) FillPromptPieces(message);
}

void RequestFlow::FillPromptPieces(inference::v1::GenerateStreamResponse* message) const {
  const auto size = static_cast<uint32_t>(request_.prompt_ids.size());
  uint32_t position = 0;
  const auto add = [&](uint32_t end, bool kept) {
    end = std::min(end, size);
    if (position >= end) return;
    inference::v1::PromptPiece* piece = message->add_prompt_pieces();
    Detokenizer detokenizer(environment_->tokenizer, /*skip_special_tokens=*/false);
    for (; position < end; ++position) piece->mutable_text()->append(detokenizer.Push(request_.prompt_ids[position]));
    piece->mutable_text()->append(detokenizer.Finish());
    piece->set_kept(kept);
  };
  for (const PositionRange& range : kept_ranges_) {
    add(range.begin, false);
    add(range.end, true);
  }
  add(size, false);
}

bool RequestFlow::AllFinished() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const auto& run) { return run->assembler.finished(); });
}

void RequestFlow::Finish(const absl::Status& status) {
  ResponseSink* const sink = std::exchange(sink_, nullptr);
  if (sink == nullptr) return;
  const absl::Status final_status = status;  // `status` may be part of what EndCall changes
  for (const std::unique_ptr<Run>& run : runs_) EndCall(*run, /*cancel=*/true);
  sink->Finish(final_status, served_by_);
}

}  // namespace kedge
