#include "common/rpc/wire_limits.h"

#include <string>

#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/inference.pb.h"

namespace kedge {
namespace {

using inference::v1::GenerateRequest;

class WireLimitsTest : public testing::Test {
 protected:
  std::string Check(const std::string& bytes) const {
    google::protobuf::io::ArrayInputStream input(bytes.data(), static_cast<int>(bytes.size()), /*block_size=*/7);
    const absl::Status status = limits_.Check(GenerateRequest::descriptor(), &input);
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }
  std::string Check(const GenerateRequest& request) const { return Check(request.SerializeAsString()); }

  const WireLimits limits_{{
      {"kedge.inference.v1.TokenIds.ids", {.count = 3}},
      {"kedge.inference.v1.ChatMessages.messages", {.count = 2}},
      {"kedge.inference.v1.ChatMessage.role", {.bytes = 4}},
      {"kedge.inference.v1.ChatMessage.tool_calls", {.count = 3}},
      {"kedge.inference.v1.SamplingParams.stop", {.count = 2, .bytes = 5}},
      {"kedge.inference.v1.SamplingParams.logit_bias", {.count = 1}},
  }};
};

TEST_F(WireLimitsTest, WhatIsWithinThemPasses) {
  EXPECT_EQ(Check(GenerateRequest()), "");
  GenerateRequest request;
  for (const uint32_t id : {0u, 300u, UINT32_MAX}) request.mutable_token_ids()->add_ids(id);
  request.mutable_sampling_params()->add_stop("12345");
  request.mutable_sampling_params()->add_stop("");
  request.mutable_sampling_params()->set_temperature(1);
  request.mutable_sampling_params()->set_seed(UINT64_MAX);
  (*request.mutable_sampling_params()->mutable_logit_bias())[7] = 1;
  EXPECT_EQ(Check(request), "");
}

TEST_F(WireLimitsTest, NamesTheFieldThatHasTooMany) {
  GenerateRequest request;
  for (int i = 0; i < 4; ++i) request.mutable_token_ids()->add_ids(1);
  EXPECT_EQ(Check(request), "token_ids.ids: has more than 3 elements");
  for (int i = 0; i < 3; ++i) request.mutable_messages()->add_messages();
  EXPECT_EQ(Check(request), "messages.messages: has more than 2 elements");
  request.Clear();
  for (const uint32_t id : {1u, 2u}) (*request.mutable_sampling_params()->mutable_logit_bias())[id] = 1;
  EXPECT_EQ(Check(request), "sampling_params.logit_bias: has more than 1 elements");
}

TEST_F(WireLimitsTest, CountsOverTheWholeMessage) {
  GenerateRequest request;
  for (int i = 0; i < 2; ++i) {
    auto* message = request.mutable_messages()->add_messages();
    for (int call = 0; call < 2; ++call) message->add_tool_calls();
  }
  EXPECT_EQ(Check(request), "messages.messages[1].tool_calls: has more than 3 elements");
  // A field that comes again is merged by the parser: [token_ids: 2 ids] twice.
  GenerateRequest two;
  two.mutable_token_ids()->add_ids(1);
  two.mutable_token_ids()->add_ids(2);
  EXPECT_EQ(Check(two.SerializeAsString() + two.SerializeAsString()), "token_ids.ids: has more than 3 elements");
}

TEST_F(WireLimitsTest, NamesTheStringThatIsTooLong) {
  GenerateRequest request;
  request.mutable_sampling_params()->add_stop("1");
  request.mutable_sampling_params()->add_stop("123456");
  EXPECT_EQ(Check(request), "sampling_params.stop[1]: has 6 bytes; at most 5 are allowed");
  request.Clear();
  request.mutable_messages()->add_messages()->set_role("12345");
  EXPECT_EQ(Check(request), "messages.messages[0].role: has 5 bytes; at most 4 are allowed");
}

TEST_F(WireLimitsTest, UnpackedElementsCountAsWell) {
  std::string ids;
  for (int i = 0; i < 4; ++i) ids += std::string("\x08\x01", 2);  // TokenIds.ids, one by one
  EXPECT_EQ(Check("\x22" + std::string(1, static_cast<char>(ids.size())) + ids),
            "token_ids.ids: has more than 3 elements");
}

TEST_F(WireLimitsTest, FieldsThatNobodyKnowsAreBounded) {
  std::string bytes;
  for (uint32_t i = 0; i < WireLimits::kMaxUnknown; ++i) bytes += std::string("\xF8\x01\x01", 3);  // field 31: 1
  EXPECT_EQ(Check(bytes), "");
  bytes += std::string("\xF8\x01\x01", 3);
  EXPECT_EQ(Check(bytes), "the request has more than 256 fields that this server does not know");
}

TEST_F(WireLimitsTest, RefusesBytesThatAreNoMessage) {
  const std::string refusal = "the request is not a GenerateRequest";
  for (const std::string& bytes :
       {std::string("\xFF"),
        std::string("\x1A\x05"
                    "abc"),
        std::string("\x00", 1), std::string("\xFB\x01\xFC\x01"), std::string("\x22\x03\x08")}) {
    EXPECT_EQ(Check(bytes), refusal) << testing::PrintToString(bytes);
  }
  GenerateRequest request;
  request.set_text("some text");
  const std::string whole = request.SerializeAsString();
  for (size_t size = 1; size < whole.size(); ++size) EXPECT_EQ(Check(whole.substr(0, size)), refusal);
}

TEST_F(WireLimitsTest, ListsWhatHasNoBound) {
  const auto names =
      WireLimits({{"kedge.inference.v1.TokenIds.ids", {.count = 3}}}).Unbounded(inference::v1::TokenIds::descriptor());
  EXPECT_TRUE(names.empty());
  EXPECT_EQ(WireLimits({}).Unbounded(inference::v1::TokenIds::descriptor()),
            std::vector<std::string>{"kedge.inference.v1.TokenIds.ids"});
}

TEST(EarlyStringTest, FindsAStringThatComesFirst) {
  GenerateRequest request;
  request.set_request_id("abc");
  request.set_text("text");
  const auto find = [](const std::string& bytes) {
    google::protobuf::io::ArrayInputStream input(bytes.data(), static_cast<int>(bytes.size()));
    return EarlyString(1, &input, /*most_bytes=*/128);
  };
  EXPECT_EQ(find(request.SerializeAsString()), "abc");
  EXPECT_EQ(find(""), "");
  EXPECT_EQ(find("\x0A\x7F"
                 "abc"),
            "");
  request.set_request_id(std::string(200, 'x'));
  EXPECT_EQ(find(request.SerializeAsString()), "");
}

}  // namespace
}  // namespace kedge
