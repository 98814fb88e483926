#include "router/answer_rounds.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "router/node_info_testing.h"

namespace kedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RightAnswerTest, TheMostVotesWinAndConfirmedOnesCountTwice) {
  EXPECT_EQ(RightAnswer({}), std::nullopt);
  EXPECT_EQ(RightAnswer({{"a"}}), "a");
  EXPECT_EQ(RightAnswer({{"a"}, {"b"}}), std::nullopt);
  EXPECT_EQ(RightAnswer({{"a"}, {"b"}, {"a"}}), "a");
  EXPECT_EQ(RightAnswer({{"a", true}, {"b"}}), "a");
  EXPECT_EQ(RightAnswer({{"b"}, {"a", true}, {"b"}, {"b"}}), "b");
  EXPECT_EQ(RightAnswer({{"a", true}, {"b", true}}), std::nullopt);
  EXPECT_EQ(RightAnswer({{"a"}, {"b"}, {"c"}, {"c"}}), "c");
}

class AnswerRoundsTest : public testing::Test, public NodeAsker {
 protected:
  void Ask(const NodeSnapshot& node, const std::vector<uint32_t>& ids, Answered answered) override {
    asked_.push_back(node.node_id);
    ids_ = ids;
    if (const auto given = answers_.find(node.node_id); given != answers_.end()) return answered(given->second);
    waiting_[node.node_id] = std::move(answered);
  }

  uint64_t Add(const std::string& id, node::v1::Role role = node::v1::ROLE_DECODE,
               const std::string& numerics_class = "c") {
    node::v1::NodeInfo info = InfoOfNode(id, id + ":1");
    info.set_role(role);
    info.set_numerics_class(numerics_class);
    return registry_.Register(info).value();
  }
  // Who was asked in this turn.
  std::vector<std::string> Turn() {
    asked_.clear();
    rounds_.Turn();
    return asked_;
  }
  std::string Out(const std::string& id) {
    for (const NodeSnapshot& node : registry_.Snapshot().nodes) {
      if (node.node_id == id) {
        EXPECT_EQ(node.ready, node.out.empty());
        return node.out;
      }
    }
    return "gone";
  }
  // Nodes go on living.
  void Pass(absl::Duration duration) {
    clock_.Advance(duration);
    for (const NodeSnapshot& node : registry_.Snapshot().nodes) {
      node::v1::Heartbeat heartbeat;
      heartbeat.set_engine_turns(++turns_);
      EXPECT_TRUE(registry_.Heartbeat(node.registration, heartbeat).ok());
    }
  }

  SimulatedClock clock_;
  NodeRegistry registry_{&clock_, "print", "", "", AnswerRounds::kNotYet};
  uint64_t drawn_ = 0, turns_ = 0;
  AnswerRounds rounds_{{.vocab_size = 50}, &clock_, &registry_, this, [this] { return ++drawn_ * 7; }};
  std::map<std::string, absl::StatusOr<std::string>> answers_;
  std::map<std::string, Answered> waiting_;
  std::vector<std::string> asked_;
  std::vector<uint32_t> ids_;
};

TEST_F(AnswerRoundsTest, ANodeIsUsedWhenItHasAnsweredAsTheOthersDid) {
  Add("d1");
  EXPECT_EQ(Out("d1"), AnswerRounds::kNotYet);
  EXPECT_FALSE(registry_.CanServe());
  EXPECT_THAT(Turn(), ElementsAre("d1"));
  EXPECT_EQ(ids_.size(), 64u);
  EXPECT_GT(std::set<uint32_t>(ids_.begin(), ids_.end()).size(), 40u);
  EXPECT_LT(*std::max_element(ids_.begin(), ids_.end()), 50u);
  EXPECT_THAT(Turn(), IsEmpty()) << "it is being asked";
  EXPECT_EQ(Out("d1"), AnswerRounds::kNotYet);
  waiting_["d1"]("right");
  EXPECT_EQ(Out("d1"), "");
  EXPECT_TRUE(registry_.CanServe());
  EXPECT_THAT(Turn(), IsEmpty());
  const std::vector<uint32_t> ids = ids_;
  answers_ = {{"p1", "right"}, {"d2", "right"}};
  Add("p1", node::v1::ROLE_PREFILL);
  Add("d2");
  EXPECT_THAT(Turn(), ElementsAre("d2", "p1"));
  EXPECT_EQ(ids_, ids) << "of one round all get the same";
  EXPECT_EQ(Out("p1"), "");
  EXPECT_EQ(Out("d2"), "");
}

TEST_F(AnswerRoundsTest, TheOddOneIsOutUntilItRegistersAgain) {
  answers_ = {{"d1", "right"}, {"p1", "right"}, {"d2", "wrong"}};
  Add("d1");
  Add("p1", node::v1::ROLE_PREFILL);
  Turn();
  const uint64_t odd = Add("d2");
  Turn();
  EXPECT_EQ(Out("d2"), "its answer to 64 random ids is not that of d1, p1");
  EXPECT_EQ(Out("d1"), "");
  EXPECT_TRUE(registry_.Hangs(odd)) << "calls to it are given up";
  answers_.at("d2") = "right";
  for (int round = 0; round < 3; ++round) {
    Pass(absl::Minutes(10));
    EXPECT_THAT(Turn(), ElementsAre("d1", "p1")) << "it is asked no more";
    EXPECT_THAT(Out("d2"), HasSubstr("is not that of"));
  }
  registry_.Remove(odd);
  Add("d2");
  EXPECT_THAT(Turn(), ElementsAre("d2"));
  EXPECT_EQ(Out("d2"), "");
}

TEST_F(AnswerRoundsTest, WhatChangesLaterIsFoundInTheNextRound) {
  answers_ = {{"d1", "right"}, {"d2", "right"}, {"d3", "right"}};
  for (const char* id : {"d1", "d2", "d3"}) Add(id);
  Turn();
  const std::vector<uint32_t> ids = ids_;
  Pass(absl::Minutes(10) - absl::Seconds(1));
  EXPECT_THAT(Turn(), IsEmpty());
  answers_.at("d1") = "wrong";
  Pass(absl::Seconds(1));
  EXPECT_THAT(Turn(), ElementsAre("d1", "d2", "d3"));
  EXPECT_NE(ids_, ids);
  EXPECT_EQ(Out("d1"), "its answer to 64 random ids is not that of d2, d3");
  EXPECT_EQ(Out("d2"), "");
}

// Two that disagree: nobody knows which one is right, until a third has come.
TEST_F(AnswerRoundsTest, WhereItIsUndecidedNobodyIsUsed) {
  answers_ = {{"d1", "right"}, {"p1", "wrong"}, {"d3", "right"}};
  Add("d1");
  Turn();
  Add("p1", node::v1::ROLE_PREFILL);
  Turn();
  EXPECT_EQ(Out("d1"), "its answer to 64 random ids is not that of p1, and which one is right is undecided");
  EXPECT_FALSE(registry_.CanServe());
  Add("d3");
  Turn();
  EXPECT_EQ(Out("d1"), "");
  EXPECT_EQ(Out("d3"), "");
  EXPECT_EQ(Out("p1"), "its answer to 64 random ids is not that of d1, d3");
}

TEST_F(AnswerRoundsTest, AnotherNumericsClassIsComparedWithItsOwn) {
  answers_ = {{"d1", "a"}, {"d2", "b"}};
  Add("d1");
  Add("d2", node::v1::ROLE_DECODE, "another");
  Turn();
  EXPECT_EQ(Out("d1"), "");
  EXPECT_EQ(Out("d2"), "");
}

TEST_F(AnswerRoundsTest, WhoDoesNotAnswerIsAskedAgainAndUsedOnlyIfItEverDid) {
  answers_ = {{"d1", "right"}, {"d2", absl::UnavailableError("refused")}};
  Add("d1");
  Add("d2");
  Turn();
  EXPECT_EQ(Out("d2"), "its known answer: UNAVAILABLE: refused");
  EXPECT_THAT(Turn(), IsEmpty());
  Pass(absl::Seconds(1));
  answers_.at("d2") = "right";
  EXPECT_THAT(Turn(), ElementsAre("d2"));
  EXPECT_EQ(Out("d2"), "");
  answers_.at("d2") = absl::UnavailableError("refused");
  Pass(absl::Minutes(10));
  Turn();
  EXPECT_EQ(Out("d2"), "");
  // An answer that comes when its round is over says nothing.
  answers_.clear();
  Pass(absl::Minutes(10));
  Turn();
  const Answered late = waiting_["d1"];
  answers_ = {{"d1", "right"}, {"d2", "right"}};
  Pass(absl::Minutes(10));
  EXPECT_THAT(Turn(), ElementsAre("d1", "d2"));
  late("of the round before");
  EXPECT_EQ(Out("d1"), "");
}

}  // namespace
}  // namespace kedge
