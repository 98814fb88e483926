// Tested by decode_messages_test.cc and by tests/simulation_test.cc.
#include "decode/decode_messages.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/convert.h"
#include "common/rpc/node_name.h"
#include "common/rpc/ranges.h"
#include "common/rpc/request_id.h"

namespace kedge {

using node::v1::DecodeResponse;

namespace {

constexpr int kMaxCandidates = 64;

absl::Status CheckCandidates(const node::v1::DecodeRequest& request) {
  if (request.prefill_candidates_size() > kMaxCandidates) {
    return absl::InvalidArgumentError(absl::StrCat("prefill_candidates: are ", request.prefill_candidates_size(),
                                                   "; at most ", kMaxCandidates, " are allowed"));
  }
  for (int i = 0; i < request.prefill_candidates_size(); ++i) {
    const node::v1::PrefillCandidate& candidate = request.prefill_candidates(i);
    const std::string field = absl::StrCat("prefill_candidates[", i, "]");
    KEDGE_RETURN_IF_ERROR(CheckNodeName(candidate.node_id(), absl::StrCat(field, ".node_id")));
    KEDGE_RETURN_IF_ERROR(CheckNodeAddress(candidate.address(), absl::StrCat(field, ".address")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DecodeJob> DecodeJobFromProto(const node::v1::DecodeRequest& request, absl::Time deadline) {
  KEDGE_RETURN_IF_ERROR(CheckRequestId(request.request_id(), "request_id"));
  KEDGE_RETURN_IF_ERROR(CheckCandidates(request));
  KEDGE_ASSIGN_OR_RETURN(Content content, ContentFromProto(request.content()));
  DecodeJob job{.request_id = request.request_id(),
                .content = std::move(content),
                .fingerprint = request.content().fingerprint(),
                .sampling = SamplingFromProto(request.sampling()),
                .deadline = deadline};
  for (const node::v1::PrefillCandidate& candidate : request.prefill_candidates()) {
    job.candidates.push_back({candidate.node_id(), candidate.address()});
  }
  return job;
}

absl::Status CheckCandidates(const node::v1::DecodeRequest& request, const Membership* member) {
  for (int i = 0; i < request.prefill_candidates_size(); ++i) {
    const node::v1::PrefillCandidate& candidate = request.prefill_candidates(i);
    const std::string field = absl::StrCat("prefill_candidates[", i, "].");
    // Without a name, the certificate would be held against the address, which is the caller's choice as well.
    if (candidate.node_id().empty()) return absl::InvalidArgumentError(absl::StrCat(field, "node_id: is empty"));
    KEDGE_RETURN_IF_ERROR(CheckPeerAddress(absl::StrCat(field, "address"), candidate.address(), member));
  }
  return absl::OkStatus();
}

void DecodeMessageSink::OnPrefilled(const PrefilledInfo& info) {
  DecodeResponse response;
  node::v1::Prefilled* prefilled = response.mutable_prefilled();
  prefilled->set_prefill_node(info.prefill_node);
  prefilled->set_kept_rows(info.kept_rows);
  prefilled->set_held_rows(info.held_rows);
  prefilled->set_adaptive_rows(info.adaptive_rows);
  prefilled->set_segment_bytes(info.segment_bytes);
  prefilled->set_row_bytes(row_bytes_);
  prefilled->set_queue_us(absl::ToInt64Microseconds(info.queue_time));
  prefilled->set_prefill_us(absl::ToInt64Microseconds(info.prefill_time));
  prefilled->set_numerics_class(numerics_class_);
  prefilled->set_cached_tokens(info.cached_tokens);
  RangesToProto(info.kept_ranges, prefilled->mutable_kept_ranges());
  if (info.salient.has_value()) RangesToProto(*info.salient, prefilled->mutable_salient()->mutable_ranges());
  output_.message(std::move(response));
}

void DecodeMessageSink::OnToken(uint32_t index, const SampledToken& token) {
  DecodeResponse response;
  response.set_first_index(index);
  node::v1::Token* proto = response.add_tokens();
  proto->set_id(token.id);
  if (token.logprob.has_value()) *proto->mutable_logprob() = LogprobToProto(*token.logprob);
  output_.message(std::move(response));
}

void DecodeMessageSink::OnEnd(const absl::Status& status, const FinishedInfo& info) {
  if (status.ok()) {
    DecodeResponse response;
    node::v1::Finished* finished = response.mutable_finished();
    finished->set_reason(info.end_id_sampled ? node::v1::END_REASON_END_ID : node::v1::END_REASON_LENGTH);
    if (info.end_id_sampled) finished->set_end_id(info.end_id);
    output_.message(std::move(response));
  }
  output_.end(status);
}

}  // namespace kedge
