// Field by field. Tested by convert_test.cc.
#include "common/rpc/convert.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/rpc/protocol.h"
#include "common/rpc/ranges.h"

namespace kedge {

absl::StatusOr<Content> ContentFromProto(const node::v1::Content& proto) {
  Content content{.ids = {proto.ids().begin(), proto.ids().end()},
                  .prompt_length = proto.prompt_length(),
                  .no_anchor_positions = {proto.no_anchor_positions().begin(), proto.no_anchor_positions().end()},
                  .sequence_ends = {proto.sequence_ends().begin(), proto.sequence_ends().end()},
                  .pinned = RangesFromProto(proto.pinned()),
                  .turn_begin = proto.turn_begin()};
  content.user = RangesFromProto(proto.user());
  content.system = RangesFromProto(proto.system());
  content.question_marks = {proto.question_marks().begin(), proto.question_marks().end()};
  content.cache_domain = proto.cache_domain();
  if (proto.has_salient()) content.salient = RangesFromProto(proto.salient().ranges());
  if (proto.policy().empty()) return absl::InvalidArgumentError("content.policy: is empty");
  absl::StatusOr<Policy> policy = ParsePolicy(proto.policy(), {});
  if (!policy.ok()) {
    return absl::Status(policy.status().code(), absl::StrCat("content.policy: ", policy.status().message()));
  }
  content.policy = *std::move(policy);
  return content;
}

node::v1::Content ContentToProto(const Content& content, const std::string& fingerprint) {
  node::v1::Content proto;
  proto.mutable_ids()->Add(content.ids.begin(), content.ids.end());
  proto.set_prompt_length(content.prompt_length);
  proto.mutable_no_anchor_positions()->Add(content.no_anchor_positions.begin(), content.no_anchor_positions.end());
  proto.mutable_sequence_ends()->Add(content.sequence_ends.begin(), content.sequence_ends.end());
  proto.set_policy(CanonicalPolicy(content.policy));
  proto.set_fingerprint(fingerprint);
  RangesToProto(content.pinned, proto.mutable_pinned());
  proto.set_turn_begin(content.turn_begin);
  RangesToProto(content.user, proto.mutable_user());
  RangesToProto(content.system, proto.mutable_system());
  proto.mutable_question_marks()->Add(content.question_marks.begin(), content.question_marks.end());
  proto.set_cache_domain(content.cache_domain);
  if (content.salient.has_value()) RangesToProto(*content.salient, proto.mutable_salient()->mutable_ranges());
  return proto;
}

SamplingParams SamplingFromProto(const node::v1::Sampling& proto) {
  SamplingParams params{.temperature = proto.temperature(),
                        .top_p = proto.top_p(),
                        .top_k = proto.top_k(),
                        .min_p = proto.min_p(),
                        .frequency_penalty = proto.frequency_penalty(),
                        .presence_penalty = proto.presence_penalty(),
                        .repetition_penalty = proto.repetition_penalty(),
                        .logit_bias = {proto.logit_bias().begin(), proto.logit_bias().end()},
                        .seed = proto.seed(),
                        .completion_index = proto.completion_index(),
                        .max_tokens = proto.max_tokens(),
                        .min_tokens = proto.min_tokens(),
                        .end_ids = {proto.end_ids().begin(), proto.end_ids().end()}};
  if (proto.has_logprobs()) params.logprobs = proto.logprobs();
  return params;
}

node::v1::TokenLogprob LogprobToProto(const Logprob& logprob) {
  node::v1::TokenLogprob proto;
  proto.set_logprob(logprob.logprob);
  proto.set_rank(logprob.rank);
  proto.mutable_top_ids()->Add(logprob.top_ids.begin(), logprob.top_ids.end());
  proto.mutable_top_logprobs()->Add(logprob.top_logprobs.begin(), logprob.top_logprobs.end());
  return proto;
}

uint32_t WireMilliseconds(absl::Duration duration) {
  duration = std::clamp(duration, absl::ZeroDuration(), absl::Milliseconds(kMostMilliseconds));
  return static_cast<uint32_t>(absl::ToInt64Milliseconds(absl::Ceil(duration, absl::Milliseconds(1))));
}

node::v1::Heartbeat HeartbeatFrom(const NodeStats& stats, uint64_t engine_turns) {
  node::v1::Heartbeat heartbeat;
  heartbeat.set_engine_turns(engine_turns);
  heartbeat.set_engine_steps(stats.steps);
  heartbeat.set_running_requests(stats.running);
  heartbeat.set_waiting_requests(stats.waiting);
  heartbeat.set_waiting_tokens(stats.waiting_tokens);
  heartbeat.set_reserved_rows(stats.reserved_rows);
  heartbeat.set_cached_rows(stats.cached_rows);
  heartbeat.set_held_rows(stats.held_rows);
  heartbeat.set_work_ahead_ms(WireMilliseconds(stats.work_ahead));
  heartbeat.set_token_us(WireMilliseconds(stats.token_time * 1000));
  heartbeat.set_full_ms(WireMilliseconds(stats.full_for));
  return heartbeat;
}

}  // namespace kedge
