#include "router/request_limits.h"

#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "gtest/gtest.h"
#include "kedge/inference/v1/inference.pb.h"
#include "kedge/inference/v1/model.pb.h"

namespace kedge {
namespace {

TEST(RequestLimitsTest, EveryFieldThatCanGrowHasABound) {
  const WireLimits limits = RequestLimits(512);
  for (const google::protobuf::Descriptor* message :
       {inference::v1::GenerateRequest::descriptor(), inference::v1::TokenizeRequest::descriptor(),
        inference::v1::DetokenizeRequest::descriptor()}) {
    EXPECT_TRUE(limits.Unbounded(message).empty()) << testing::PrintToString(limits.Unbounded(message));
  }
}

TEST(RequestLimitsTest, IdsAreBoundedByTheContext) {
  inference::v1::GenerateRequest request;
  for (int i = 0; i < 513; ++i) request.mutable_token_ids()->add_ids(1);
  const std::string bytes = request.SerializeAsString();
  google::protobuf::io::ArrayInputStream input(bytes.data(), static_cast<int>(bytes.size()));
  EXPECT_EQ(RequestLimits(512).Check(request.GetDescriptor(), &input).message(),
            "token_ids.ids: has more than 512 elements");
}

}  // namespace
}  // namespace kedge
