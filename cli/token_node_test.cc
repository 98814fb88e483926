// Node and clients without a router between them, but for a relay.
#include "cli/token_node.h"

#include "cli/token_readers.h"
#include "cli/token_relay.h"
#include "common/base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

bool Never() { return false; }

class TokenNodeTest : public testing::Test {
 protected:
  std::unique_ptr<TokenReaders> Readers(uint32_t clients, const GivenAnswer& answer) {
    return ReadersOfNode(node_->address(), clients, &answer, &clock_);
  }

  const RealClock clock_;
  const GivenAnswer answer_{{5, 6, 7}, {"a", "b", "c"}};
  const std::unique_ptr<TokenNode> node_ = *TokenNode::Start({5, 6, 7}, &clock_);
};

TEST_F(TokenNodeTest, EachStreamGetsATokenInEachInterval) {
  const auto readers = Readers(4, answer_);
  for (uint32_t tokens : {3u, 2u}) {  // one work after another
    readers->Ask(tokens, absl::Seconds(30));
    ASSERT_TRUE(node_->WaitForStreams(4, absl::Seconds(30)).ok());
    const auto written = node_->Send(tokens, absl::Milliseconds(50), Never);
    ASSERT_TRUE(written.ok()) << written.status();
    const auto read = readers->Wait();
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_THAT(*written, SizeIs(4));
    ASSERT_THAT(read->times, SizeIs(4));
    EXPECT_THAT(*written, Each(SizeIs(tokens)));
    EXPECT_THAT(read->times, Each(SizeIs(tokens)));
    EXPECT_LE(read->messages, 4 * tokens);
    for (size_t stream = 0; stream < 4; ++stream) {
      for (size_t token = 0; token < tokens; ++token) {
        EXPECT_GT(read->times[stream][token], (*written)[stream][token]);
        EXPECT_GE((*written)[stream][token] - (*written)[0][0], absl::Milliseconds(50) * token);
      }
    }
  }
}

TEST_F(TokenNodeTest, TokensThatWaitTravelTogether) {
  std::vector<uint32_t> ids(5000, 9);
  const std::unique_ptr<TokenNode> node = *TokenNode::Start(ids, &clock_);
  const GivenAnswer answer(ids, std::vector<std::string>(ids.size(), "x"));
  const auto readers = ReadersOfNode(node->address(), 1, &answer, &clock_);
  readers->Ask(5000, absl::Seconds(30));
  ASSERT_TRUE(node->WaitForStreams(1, absl::Seconds(30)).ok());
  ASSERT_TRUE(node->Send(5000, absl::ZeroDuration(), Never).ok());
  const auto read = readers->Wait();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_LT(read->messages, 5000u);
}

TEST_F(TokenNodeTest, ARelayPassesTokensAndEndsOn) {
  const std::unique_ptr<TokenRelay> relay = *TokenRelay::Start(node_->address());
  const auto readers = ReadersOfNode(relay->address(), 3, &answer_, &clock_);
  for (uint32_t tokens : {3u, 2u}) {
    readers->Ask(tokens, absl::Seconds(30));
    ASSERT_TRUE(node_->WaitForStreams(3, absl::Seconds(30)).ok());
    ASSERT_TRUE(node_->Send(tokens, absl::Milliseconds(5), Never).ok());
    const auto read = readers->Wait();
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_THAT(read->times, SizeIs(3));
    EXPECT_THAT(read->times, Each(SizeIs(tokens)));
  }
}

TEST_F(TokenNodeTest, SaysHowManyStreamsHaveCome) {
  const auto readers = Readers(2, answer_);
  readers->Ask(1, absl::Seconds(30));
  const absl::Status status = node_->WaitForStreams(3, absl::Milliseconds(200));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("of 3 streams"));
}

TEST_F(TokenNodeTest, AnotherAnswerThanTheGivenOneIsDamage) {
  const GivenAnswer other({5, 6, 8}, {"a", "b", "d"});
  const auto readers = Readers(1, other);
  readers->Ask(3, absl::Seconds(30));
  ASSERT_TRUE(node_->WaitForStreams(1, absl::Seconds(30)).ok());
  ASSERT_TRUE(node_->Send(3, absl::ZeroDuration(), Never).ok());
  const absl::Status status = readers->Wait().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("token 2 is wrong"));
}

TEST_F(TokenNodeTest, AnAnswerThatIsTooShortIsDamage) {
  const auto readers = Readers(1, answer_);
  readers->Ask(3, absl::Seconds(30));
  ASSERT_TRUE(node_->WaitForStreams(1, absl::Seconds(30)).ok());
  ASSERT_TRUE(node_->Send(2, absl::ZeroDuration(), Never).ok());
  EXPECT_THAT(readers->Wait().status().message(), HasSubstr("ended after 2"));
}

TEST_F(TokenNodeTest, ASignalEndsTheSending) {
  const auto readers = Readers(1, answer_);
  readers->Ask(3, absl::Seconds(30));
  ASSERT_TRUE(node_->WaitForStreams(1, absl::Seconds(30)).ok());
  EXPECT_EQ(node_->Send(3, absl::Hours(1), [] { return true; }).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace kedge
