// Tested by answer_check_test.cc and, with bytes from outside, by tests/router_fuzzer.cc.
#include "router/answer_check.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/node_name.h"
#include "common/rpc/ranges.h"

namespace kedge {
namespace {

constexpr uint64_t kMostMicroseconds = 1'000'000'000'000'000;  // a generation; a Duration holds ten thousand years
constexpr uint64_t kMostBytes = uint64_t{1} << 50;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::DataLossError(absl::StrCat("sent ", parts...));
}

absl::Status CheckRangesOf(const google::protobuf::RepeatedPtrField<node::v1::PositionRange>& ranges, size_t limit,
                           absl::string_view field) {
  const absl::Status status = CheckRanges(RangesFromProto(ranges), static_cast<uint32_t>(limit), field);
  return status.ok() ? status : Wrong(status.message());
}

absl::Status CheckSalient(const node::v1::Prefilled& prefilled, const AskedFor& asked) {
  const size_t prompt = asked.request->prompt_ids.size();
  if (!prefilled.has_salient()) {
    if (!asked.request->chooses || prompt < 2) return absl::OkStatus();
    return Wrong("prefilled.salient: nothing, and the policy wants a choice");
  }
  if (!asked.request->chooses) return Wrong("prefilled.salient: a choice, and the policy makes none");
  KEDGE_RETURN_IF_ERROR(CheckRangesOf(prefilled.salient().ranges(), prompt - 1, "prefilled.salient"));
  if (asked.chosen.has_value() && !AreSameRanges(prefilled.salient().ranges(), asked.chosen->ranges())) {
    return Wrong("prefilled.salient: another choice than the request's");
  }
  return absl::OkStatus();
}

absl::Status CheckPrefilled(const node::v1::Prefilled& prefilled, const AskedFor& asked) {
  if (asked.has_prefilled) return Wrong("prefilled: a second time");
  for (const auto& [name, field] : {std::pair(&prefilled.prefill_node(), "prefilled.prefill_node"),
                                    std::pair(&prefilled.numerics_class(), "prefilled.numerics_class")}) {
    if (name->empty()) continue;
    const absl::Status status = CheckNodeName(*name, field);  // they stand in metadata and in logs
    if (!status.ok()) return Wrong(status.message());
  }
  const size_t rows = asked.request->prompt_ids.size() + asked.given_at_start;
  if (prefilled.kept_rows() > rows || prefilled.held_rows() > prefilled.kept_rows() ||
      prefilled.adaptive_rows() > prefilled.kept_rows() || prefilled.cached_tokens() > rows) {
    return Wrong("prefilled: ", prefilled.kept_rows(), " rows kept, ", prefilled.held_rows(), " held, ",
                 prefilled.adaptive_rows(), " adaptive, ", prefilled.cached_tokens(), " cached, of ", rows);
  }
  if (prefilled.segment_bytes() > kMostBytes || prefilled.row_bytes() > kMostBytes / (rows + 1) ||
      prefilled.queue_us() > kMostMicroseconds || prefilled.prefill_us() > kMostMicroseconds) {
    return Wrong("prefilled: ", prefilled.segment_bytes(), " bytes, ", prefilled.row_bytes(), " a row, ",
                 prefilled.queue_us(), " and ", prefilled.prefill_us(), " microseconds");
  }
  KEDGE_RETURN_IF_ERROR(
      CheckRangesOf(prefilled.kept_ranges(), asked.request->prompt_ids.size(), "prefilled.kept_ranges"));
  return CheckSalient(prefilled, asked);
}

absl::Status CheckTokens(const node::v1::DecodeResponse& message, const AskedFor& asked) {
  if (message.tokens().empty()) return absl::OkStatus();
  if (message.first_index() > asked.given) {
    return Wrong("token ", message.first_index(), " after ", asked.given, " tokens");
  }
  if (uint64_t{message.first_index()} + static_cast<uint64_t>(message.tokens_size()) > asked.request->max_tokens) {
    return Wrong("more than the ", asked.request->max_tokens, " tokens asked for");
  }
  const int most_rivals = static_cast<int>(asked.request->logprobs.value_or(0));
  for (const node::v1::Token& token : message.tokens()) {
    if (token.id() >= asked.vocab_size) {
      return Wrong("token id ", token.id(), ", which the vocabulary does not have");
    }
    const node::v1::TokenLogprob& logprob = token.logprob();
    if (logprob.top_ids_size() > most_rivals || logprob.top_logprobs_size() != logprob.top_ids_size()) {
      return Wrong("tokens.logprob: ", logprob.top_ids_size(), " ids and ", logprob.top_logprobs_size(),
                   " values; asked for were ", most_rivals);
    }
    for (const uint32_t id : logprob.top_ids()) {
      if (id >= asked.vocab_size) return Wrong("tokens.logprob: id ", id, ", which the vocabulary does not have");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFinished(const node::v1::Finished& finished, const AskedFor& asked) {
  if (finished.reason() == node::v1::END_REASON_LENGTH) return absl::OkStatus();
  if (finished.reason() != node::v1::END_REASON_END_ID) return Wrong("finished.reason: none that is known");
  if (finished.end_id() < asked.vocab_size) return absl::OkStatus();
  return Wrong("finished.end_id: ", finished.end_id(), ", which the vocabulary does not have");
}

}  // namespace

absl::Status CheckAnswer(const node::v1::DecodeResponse& message, const AskedFor& asked) {
  if (message.has_prefilled()) KEDGE_RETURN_IF_ERROR(CheckPrefilled(message.prefilled(), asked));
  KEDGE_RETURN_IF_ERROR(CheckTokens(message, asked));
  return message.has_finished() ? CheckFinished(message.finished(), asked) : absl::OkStatus();
}

}  // namespace kedge
