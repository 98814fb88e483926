#include "router/audit.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "router/request_flow_testing.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// The calls of a request, and the audit's of its answer, are both the test's to play.
class AuditTest : public RequestFlowTest {
 protected:
  AuditTest() {
    environment_.audit = &audit_;
    request_.seed = 7;
  }
  ~AuditTest() override {
    for (const auto& call : caller_.calls) call->events = {};
  }
  // A request to d1 and p1 that was answered so.
  void Answer(const std::vector<uint32_t>& ids) {
    Start();
    SendPrefilled(0);
    SendTokens(0, 0, ids);
    SendFinished(0);
    ASSERT_TRUE(sink_.status.has_value());
    EXPECT_TRUE(sink_.status->ok());
  }
  std::vector<std::string> Out() {
    std::vector<std::string> out;
    for (const NodeSnapshot& node : registry_.Snapshot().nodes) {
      if (!node.out.empty()) out.push_back(node.node_id);
    }
    return out;
  }

  Audit audit_{1.0, &clock_, &registry_, &caller_, [] { return uint64_t{1} << 40; }};
};

TEST_F(AuditTest, AnAnswerIsComputedAgainElsewhereAndFromNothing) {
  AddNode("d1");
  AddNode("d2");
  AddNode("d3", node::v1::ROLE_DECODE, "another-class");
  AddNode("p1", node::v1::ROLE_PREFILL);
  AddNode("p2", node::v1::ROLE_PREFILL);
  Answer({30, 31});
  ASSERT_EQ(caller_.calls.size(), 2u);
  const FakeCall& again = *caller_.calls[1];
  EXPECT_EQ(again.node.node_id, "d2");
  EXPECT_THAT(again.request.content().ids(), ElementsAre(20, 21, 22));
  EXPECT_EQ(again.request.content().prompt_length(), 3u);
  EXPECT_FALSE(again.request.content().has_salient());
  EXPECT_EQ(again.request.sampling().seed(), 7u);
  EXPECT_EQ(again.request.sampling().max_tokens(), 100u);
  EXPECT_EQ(again.request.content().cache_domain().size(), 32u);
  ASSERT_EQ(again.request.prefill_candidates_size(), 1);
  EXPECT_EQ(again.request.prefill_candidates(0).node_id(), "p2");
  SendTokens(1, 0, {30});
  SendTokens(1, 1, {31});
  EXPECT_EQ(audit_.num_compared(), 0u);
  SendFinished(1);
  EXPECT_EQ(audit_.num_compared(), 1u);
  EXPECT_EQ(audit_.num_different(), 0u);
  EXPECT_THAT(Out(), ElementsAre());
  EXPECT_EQ(caller_.calls.size(), 2u) << "an audit is not audited";
}

TEST_F(AuditTest, AnotherTokenPutsAllOutThatTookPart) {
  AddNode("d1");
  AddNode("d2");
  AddNode("p1", node::v1::ROLE_PREFILL);
  AddNode("p3", node::v1::ROLE_PREFILL);
  AddNode("d4");
  Answer({30, 31, 32});
  SendTokens(1, 0, {30, 40, 32});
  SendFinished(1);
  EXPECT_EQ(audit_.num_different(), 1u);
  EXPECT_THAT(Out(), UnorderedElementsAre("d1", "d2", "p1"));
  for (const NodeSnapshot& node : registry_.Snapshot().nodes) {
    if (node.node_id != "d1") continue;
    EXPECT_FALSE(node.ready);
    EXPECT_THAT(node.out, HasSubstr("d1, p1, d2 computes something else (d2: token 1 was 31, and is 40 there)"));
  }
}

TEST_F(AuditTest, ADifferentEndIsADifference) {
  AddNode("d1");
  AddNode("d2");
  Answer({30, 31});
  SendTokens(1, 0, {30});
  SendFinished(1);
  EXPECT_EQ(audit_.num_different(), 1u);
  EXPECT_THAT(Out(), UnorderedElementsAre("d1", "d2"));
}

TEST_F(AuditTest, GoingOnIsADifference) {
  AddNode("d1");
  AddNode("d2");
  Answer({30, 31});
  SendTokens(1, 0, {30, 31, 32});
  SendFinished(1);
  EXPECT_EQ(audit_.num_different(), 1u);
}

TEST_F(AuditTest, AnotherChoiceOfSequencesIsADifference) {
  AddNode("d1");
  AddNode("d2");
  request_.chooses = true;
  const auto prefilled = [&](size_t call, uint32_t end) {
    node::v1::DecodeResponse message;
    node::v1::PositionRange* range = message.mutable_prefilled()->mutable_salient()->add_ranges();
    range->set_begin(0);
    range->set_end(end);
    caller_.calls[call]->events.on_message(message);
  };
  Start();
  prefilled(0, 1);
  SendTokens(0, 0, {30});
  SendFinished(0);
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_FALSE(caller_.calls[1]->request.content().has_salient());
  prefilled(1, 2);
  SendTokens(1, 0, {30});
  SendFinished(1);
  EXPECT_EQ(audit_.num_different(), 1u);
}

// Where a stop string ended it the node would have gone on, and the second one is not asked to.
TEST_F(AuditTest, OfAnAnswerThatWasCutWhatThereIsIsCompared) {
  AddNode("d1");
  AddNode("d2");
  const std::vector<uint32_t> ids = Ids("one two");
  request_.stop = {"two"};
  Start();
  SendPrefilled(0);
  SendTokens(0, 0, ids);
  ASSERT_EQ(caller_.calls.size(), 2u);
  EXPECT_EQ(caller_.calls[1]->request.sampling().max_tokens(), ids.size());
  SendTokens(1, 0, ids);
  SendFinished(1, node::v1::END_REASON_LENGTH);
  EXPECT_EQ(audit_.num_compared(), 1u);
  EXPECT_EQ(audit_.num_different(), 0u);
}

TEST_F(AuditTest, ALostNodeHasSaidNothing) {
  AddNode("d1");
  AddNode("d2");
  Answer({30, 31});
  SendTokens(1, 0, {30});
  EndCall(1, absl::UnavailableError("connection reset"));
  EXPECT_EQ(audit_.num_compared(), 0u);
  EXPECT_THAT(Out(), ElementsAre());
}

TEST_F(AuditTest, NothingIsComparedWithoutAnotherNodeOfTheClassNorAfterTheEnd) {
  AddNode("d1");
  AddNode("d3", node::v1::ROLE_DECODE, "another-class");
  Answer({30, 31});
  EXPECT_EQ(caller_.calls.size(), 1u);
  EXPECT_TRUE(audit_.Wants());
  audit_.Stop();
  EXPECT_FALSE(audit_.Wants());
}

TEST_F(AuditTest, TheShareIsThatOfWhatIsDrawn) {
  uint64_t drawn = 0;
  Audit audit(0.25, &clock_, &registry_, &caller_, [&] { return drawn += uint64_t{1} << 56; });
  int wanted = 0;
  for (int i = 0; i < 256; ++i) wanted += audit.Wants();
  EXPECT_EQ(wanted, 64);
  EXPECT_FALSE(Audit(0, &clock_, &registry_, &caller_, [] { return uint64_t{0}; }).Wants());
}

TEST_F(AuditTest, StopEndsWhatIsUnderWay) {
  AddNode("d1");
  AddNode("d2");
  Answer({30});
  EXPECT_FALSE(caller_.calls[1]->cancelled);
  audit_.Stop();
  EXPECT_TRUE(caller_.calls[1]->cancelled);
}

}  // namespace
}  // namespace kedge
