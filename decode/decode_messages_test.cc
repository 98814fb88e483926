#include "decode/decode_messages.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(DecodeMessagesTest, JobsKeepEveryField) {
  node::v1::DecodeRequest request;
  request.set_request_id("r1");
  request.mutable_content()->add_ids(5);
  request.mutable_content()->set_prompt_length(1);
  request.mutable_content()->set_policy("full");
  request.mutable_content()->set_fingerprint("print");
  request.mutable_sampling()->set_seed(9);
  request.mutable_sampling()->set_max_tokens(3);
  request.add_prefill_candidates()->set_node_id("p1");
  request.mutable_prefill_candidates(0)->set_address("a:1");
  const absl::StatusOr<DecodeJob> job = DecodeJobFromProto(request, absl::UnixEpoch());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->request_id, "r1");
  EXPECT_EQ(job->content.policy.recent, Policy::kAll);
  EXPECT_EQ(job->fingerprint, "print");
  EXPECT_EQ(job->sampling.seed, 9u);
  EXPECT_EQ(job->sampling.max_tokens, 3u);
  EXPECT_EQ(job->candidates.at(0).address, "a:1");
  EXPECT_EQ(job->deadline, absl::UnixEpoch());
  const auto error = [&] { return std::string(DecodeJobFromProto(request, absl::UnixEpoch()).status().message()); };
  request.mutable_prefill_candidates(0)->set_address("unix:/tmp/socket");
  EXPECT_EQ(error().find("prefill_candidates[0].address: "), 0u) << error();
  request.mutable_prefill_candidates(0)->set_address("a:1");
  request.mutable_prefill_candidates(0)->set_node_id("p\x1b");
  EXPECT_EQ(error().find("prefill_candidates[0].node_id: "), 0u) << error();
  request.mutable_prefill_candidates(0)->set_node_id("p1");
  for (int i = 0; i < 64; ++i) *request.add_prefill_candidates() = request.prefill_candidates(0);
  EXPECT_EQ(error().find("prefill_candidates: are 65"), 0u) << error();
  request.clear_prefill_candidates();
  request.set_request_id("a\nb");
  EXPECT_EQ(error().find("request_id: "), 0u) << error();
  request.set_request_id("r1");
  request.mutable_content()->set_policy("nonsense");
  EXPECT_EQ(DecodeJobFromProto(request, absl::UnixEpoch()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DecodeMessagesTest, CandidatesOfOtherMachinesNeedCertificates) {
  node::v1::DecodeRequest request;
  node::v1::PrefillCandidate* candidate = request.add_prefill_candidates();
  candidate->set_node_id("p");
  candidate->set_address("127.0.0.1:1");
  EXPECT_TRUE(CheckCandidates(request, nullptr).ok());
  *request.add_prefill_candidates() = *candidate;
  for (const char* address : {"10.0.0.1:1", "unix:/run/socket", "unix:1", "dns:///localhost:1", ""}) {
    request.mutable_prefill_candidates(1)->set_address(address);
    const absl::Status status = CheckCandidates(request, nullptr);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_EQ(status.message().find("prefill_candidates[1].address: "), 0u) << status;
  }
  candidate = request.mutable_prefill_candidates(0);
  candidate->clear_node_id();
  EXPECT_EQ(CheckCandidates(request, nullptr).message(), "prefill_candidates[0].node_id: is empty");
}

}  // namespace
}  // namespace kedge
