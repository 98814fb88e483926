#include "decode/decode_engine.h"

#include <optional>

#include "common/base/error_reason.h"
#include "decode/decode_engine_testing.h"

namespace kedge {
namespace {

TEST_F(DecodeEngineTest, WithoutCandidatesThePromptIsComputedHere) {
  const auto sink = Add(Job(30));
  Turns(10);
  ASSERT_TRUE(sink->ended.has_value());
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(sink->ids.size(), 5u);
  EXPECT_FALSE(sink->finished.end_id_sampled);
  EXPECT_EQ(sink->prefilled->prefill_node, "");
  EXPECT_EQ(sink->prefilled->kept_rows, 29u);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

TEST_F(DecodeEngineTest, RowsThatAreNoNumbersEndTheirOwnJobAlone) {
  const auto alone = Add(Job(30));
  Turns(10);
  bad_token_ = 98;
  NewEngine({.cache_pages = 32});
  const auto good = Add(Job(30));
  Turns(10);
  const uint64_t cached = engine_->stats().cached_rows;
  EXPECT_GT(cached, 0u);
  for (const uint32_t at : {3u, 29u}) {  // a row without and with logits
    DecodeJob job = Job(30);
    job.content.ids[at] = *bad_token_;
    const auto bad = Add(job);
    const auto other = Add(Job(30));
    Turns(10);
    ASSERT_TRUE(bad->ended.has_value());
    EXPECT_EQ(bad->ended->code(), absl::StatusCode::kInternal);
    EXPECT_TRUE(bad->ids.empty());
    EXPECT_TRUE(other->ended->ok());
    EXPECT_EQ(other->ids, alone->ids);
    EXPECT_EQ(engine_->stats().cached_rows, cached);  // nothing of the bad one is kept for others
    EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  }
  EXPECT_EQ(good->ids, alone->ids);
}

TEST_F(DecodeEngineTest, TheDeviceChoosesWhereLogitsAreAllThatIsNeeded) {
  std::vector<std::vector<uint32_t>> texts;
  for (const uint32_t undecided : {0, 3}) {
    undecided_ = undecided;
    for (const bool logprobs : {false, true}) {
      NewEngine({});
      DecodeJob job = Job(30, 12);
      job.sampling.temperature = 1;
      job.sampling.seed = 5;
      if (logprobs) job.sampling.logprobs = 2;
      const auto sink = Add(job);
      Turns(20);
      texts.push_back(sink->ids);
      EXPECT_EQ(device_->tokens, logprobs ? 0 : 12);
      EXPECT_EQ(device_->logits, logprobs ? 12 : 0);
    }
  }
  for (const auto& text : texts) EXPECT_EQ(text, texts[0]);
  EXPECT_EQ(texts[0].size(), 12u);

  // The first tokens may not be ends: these are the caller's, the others the device's.
  NewEngine({});
  DecodeJob job = Job(30, 12);
  job.sampling.min_tokens = 4;
  job.sampling.end_ids = {texts[0][0]};
  Add(job);
  Turns(20);
  EXPECT_EQ(device_->logits, 4);
}

TEST_F(DecodeEngineTest, TheNextStepIsLaunchedBeforeTheOneBeforeIsWaitedFor) {
  const auto in_turn = Add(Job(30, 8));
  Turns(8);
  EXPECT_EQ(device_->rows, 37);
  runs_ahead_ = true;
  NewEngine({});
  const auto sink = Add(Job(30, 8));
  for (int turn = 1; turn <= 8; ++turn) {
    EXPECT_TRUE(engine_->Turn());
    EXPECT_EQ(device_->steps, turn);
    EXPECT_EQ(sink->ids.size(), turn - 1u);
  }
  EXPECT_FALSE(engine_->Turn());
  EXPECT_EQ(sink->ids, in_turn->ids);
  EXPECT_EQ(device_->rows, 37);  // no row behind the last token
}

TEST_F(DecodeEngineTest, RowsBehindAnEndAndBehindUndecidedTokensAreTakenBack) {
  const auto all = Add(Job(30, 20));
  Turns(30);
  DecodeJob job = Job(30, 20);
  size_t end = 5;  // the first of its kind
  while (std::find(all->ids.begin(), all->ids.begin() + end, all->ids[end]) != all->ids.begin() + end) ++end;
  job.sampling.end_ids = {all->ids[end]};
  runs_ahead_ = true;
  for (const uint32_t undecided : {0, 2}) {
    undecided_ = undecided;
    NewEngine({.cache_pages = 32});
    const auto sink = Add(job);
    Turns(60);
    ASSERT_TRUE(sink->ended.has_value() && sink->ended->ok());
    EXPECT_TRUE(sink->finished.end_id_sampled);
    EXPECT_EQ(sink->ids, std::vector<uint32_t>(all->ids.begin(), all->ids.begin() + end));
    if (undecided == 0) {
      EXPECT_EQ(device_->rows, 30 + static_cast<int>(end) + 1);  // one in vain
    }
    EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  }
}

TEST_F(DecodeEngineTest, WhatNeedsLogitsOrItsOwnIdGoesInTurn) {
  for (const bool logprobs : {false, true}) {
    DecodeJob job = Job(30, 8);
    job.content.policy = {.anchors = {3, 5, 50}, .sinks = 2, .recent = 8};
    if (logprobs) {
      job.content.policy = {.recent = Policy::kAll};
      job.sampling.logprobs = 1;
    }
    runs_ahead_ = false;
    NewEngine({});
    const auto in_turn = Add(job);
    Turns(10);
    runs_ahead_ = true;
    NewEngine({});
    const auto sink = Add(job), other = Add(Job(20, 8));
    Turns(30);
    EXPECT_EQ(sink->ids, in_turn->ids);
    EXPECT_EQ(other->ids.size(), 8u);
    EXPECT_EQ(device_->rows, 37 + 27);  // every answer has a row in every step, and none in vain
    EXPECT_EQ(device_->steps, 8);
  }
}

TEST_F(DecodeEngineTest, JobsGoWithStepsUnderWay) {
  runs_ahead_ = true;
  bad_token_ = 98;
  NewEngine({.cache_pages = 32});
  const auto good = Add(Job(30, 20));
  Turns(5);
  DecodeJob job = Job(150, 5);  // in several steps, of which the first fails
  job.content.ids[10] = *bad_token_;
  const auto bad = Add(job);
  Add(Job(150, 50));
  Turns(2);
  engine_->Cancel(last_id_);
  Turns(40);
  ASSERT_TRUE(bad->ended.has_value());
  EXPECT_EQ(bad->ended->code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(good->ended->ok());
  EXPECT_EQ(good->ids.size(), 20u);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  EXPECT_FALSE(engine_->Turn());
}

TEST_F(DecodeEngineTest, EndIdEndsTheAnswerAndIsNoToken) {
  const auto all = Add(Job(30));
  Turns(10);
  DecodeJob job = Job(30);
  job.sampling.end_ids = {all->ids[2]};
  const auto sink = Add(job);
  Turns(10);
  EXPECT_TRUE(sink->finished.end_id_sampled);
  EXPECT_EQ(sink->finished.end_id, all->ids[2]);
  EXPECT_LE(sink->ids.size(), 2u);
}

TEST_F(DecodeEngineTest, AnswerGoesOnWhereItEnded) {
  const auto whole = Add(Job(30, 8));
  Turns(12);
  DecodeJob rest = Job(30, 8);
  rest.content.ids.insert(rest.content.ids.end(), whole->ids.begin(), whole->ids.begin() + 3);
  const auto sink = Add(rest);
  Turns(12);
  EXPECT_EQ(sink->ids, std::vector<uint32_t>(whole->ids.begin() + 3, whole->ids.end()));
  rest.content.ids.insert(rest.content.ids.end(), whole->ids.begin() + 3, whole->ids.end());
  const auto nothing = Add(rest);  // the node before died on its last message
  Turns(3);
  EXPECT_TRUE(nothing->ended->ok());
  EXPECT_TRUE(nothing->ids.empty());
}

TEST_F(DecodeEngineTest, ContextEndsTheAnswer) {
  const auto sink = Add(Job(398, 50));
  Turns(20);
  EXPECT_EQ(sink->ids.size(), 2u);
  EXPECT_TRUE(sink->ended->ok());
}

TEST_F(DecodeEngineTest, RequestsWaitForRowsInOrderAndTheQueueIsBounded) {
  NewEngine({.max_waiting = 1}, 14);  // one request of 300 rows at a time
  const auto first = Add(Job(300, 20));
  Turns(1);
  const auto second = Add(Job(300));
  const auto third = Add(Job(300));
  EXPECT_EQ(third->ended->code(), absl::StatusCode::kResourceExhausted);
  Turns(1);
  EXPECT_EQ(engine_->stats().waiting, 1u);
  Turns(40);
  EXPECT_TRUE(first->ended->ok());
  EXPECT_TRUE(second->ended->ok());
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
}

// A step takes 10 ms and 1 ms for each row, and the engine has seen some.
TEST_F(DecodeEngineTest, WhoWaitsForWhatAnotherOneComputesIsInTheQueue) {
  NewEngine({.cache_pages = 64, .max_waiting = 2});
  Add(Job(300));
  Turns(1);
  EXPECT_EQ(Add(Job(300))->ended, std::nullopt);
  EXPECT_EQ(Add(Job(300))->ended, std::nullopt);
  EXPECT_EQ(Add(Job(300))->ended->code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(DecodeEngineTest, AnAnswerHasRowsForWhatComesNextNotForAllThatMayCome) {
  NewEngine({}, 14);
  const auto sink = Add(Job(10, 300));
  Turns(1);
  const uint64_t at_first = engine_->stats().reserved_rows;
  EXPECT_GE(at_first, 10u + 64);
  EXPECT_LE(at_first, 10u + 64 + 2 * kPageRows);
  Turns(150);
  EXPECT_GE(engine_->stats().reserved_rows, 10u + 150);
  EXPECT_LE(engine_->stats().reserved_rows, 10u + 150 + 64 + 2 * kPageRows);
  Turns(200);
  EXPECT_TRUE(sink->ended->ok());
  EXPECT_EQ(sink->ids.size(), 300u);
  EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  EXPECT_EQ(Add(Job(10, 300))->ended, std::nullopt);
  NewEngine({}, 8);
  EXPECT_EQ(ReasonOf(*Add(Job(10, 300))->ended), kKvMemoryTooSmall);  // it could never end
}

TEST_F(DecodeEngineTest, WithoutMemoryTheYoungestGoesOnLaterAndTheOldestNeverWaits) {
  for (const bool runs_ahead : {false, true}) {
    runs_ahead_ = runs_ahead;
    constexpr int kCount = 3;
    std::vector<DecodeJob> jobs;
    std::vector<std::vector<uint32_t>> alone(kCount), ids(kCount);
    for (int i = 0; i < kCount; ++i) {
      jobs.push_back(Job(50, 300));  // 12 pages in the end
      jobs[i].content.ids.assign(50, 20 + i);
      NewEngine({}, 14);
      const auto sink = Add(jobs[i]);
      Turns(400);
      alone[i] = sink->ids;
      ASSERT_EQ(alone[i].size(), 300u);
    }
    NewEngine({.max_waiting = 0}, 20);
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (const DecodeJob& job : jobs) {
      sinks.push_back(Add(job));
      ASSERT_EQ(sinks.back()->ended, std::nullopt);
      Turns(1);
    }
    int moves = 0;
    std::vector<int> ends;
    for (int turn = 0; turn < 3000 && ends.size() < kCount; ++turn) {
      Turns(1);
      for (int i = 0; i < kCount; ++i) {
        if (sinks[i] == nullptr || !sinks[i]->ended.has_value()) continue;
        ids[i].insert(ids[i].end(), sinks[i]->ids.begin(), sinks[i]->ids.end());
        if (sinks[i]->ended->ok()) {
          ends.push_back(i);
          sinks[i] = nullptr;
          continue;
        }
        ASSERT_EQ(ReasonOf(*sinks[i]->ended), kMoved);
        EXPECT_EQ(sinks[i]->ended->code(), absl::StatusCode::kAborted);
        EXPECT_FALSE(sinks[i]->ids.empty());
        EXPECT_GT(i, 0);
        ++moves;
        DecodeJob rest = jobs[i];  // as the router would
        rest.content.ids.insert(rest.content.ids.end(), ids[i].begin(), ids[i].end());
        sinks[i] = Add(rest);
        ASSERT_EQ(sinks[i]->ended, std::nullopt) << "one that has begun is not refused";
      }
    }
    EXPECT_EQ(ends, (std::vector<int>{0, 1, 2}));
    EXPECT_GT(moves, 1);
    EXPECT_LT(moves, 10);
    EXPECT_EQ(ids, alone);
    EXPECT_EQ(engine_->stats().reserved_rows, 0u);
  }
  runs_ahead_ = false;
}

// What a whole step computes of 200 ids needs more pages than what one of 10 ids did.
TEST_F(DecodeEngineTest, AnAnswerThatWasLetInIsNotRefusedForWhatItHasWritten) {
  for (const bool runs_ahead : {false, true}) {
    runs_ahead_ = runs_ahead;
    for (const uint32_t recent : {1, 32}) {
      DecodeJob job = Job(10, 300);
      job.content.policy = {.recent = recent};
      const uint32_t pages = PagesFor(job.content, 0, 64, 300);
      NewEngine({}, pages);
      const auto whole = Add(job);
      Turns(400);
      ASSERT_EQ(whole->ids.size(), 300u);
      for (const uint32_t written : {1, 60, 200, 299}) {
        DecodeJob rest = job;
        rest.content.ids.insert(rest.content.ids.end(), whole->ids.begin(), whole->ids.begin() + written);
        const auto sink = Add(rest);
        ASSERT_EQ(sink->ended, std::nullopt) << written;
        Turns(700);
        ASSERT_TRUE(sink->ended.has_value());
        EXPECT_TRUE(sink->ended->ok()) << *sink->ended;
        EXPECT_EQ(sink->ids, std::vector<uint32_t>(whole->ids.begin() + written, whole->ids.end()));
      }
      EXPECT_EQ(engine_->stats().reserved_rows, 0u);
    }
  }
  runs_ahead_ = false;
}

TEST_F(DecodeEngineTest, SmallRequestsDoNotPileUpBehindALargeOne) {
  NewEngine({.max_waiting = 3}, 14);
  Add(Job(300, 20));  // begins, and so does not wait
  const auto large = Add(Job(300, 20));
  EXPECT_FALSE(Add(Job(5))->ended.has_value());
  EXPECT_FALSE(Add(Job(5))->ended.has_value());
  EXPECT_EQ(Add(Job(5))->ended->code(), absl::StatusCode::kResourceExhausted);
  Turns(1);
  EXPECT_EQ(engine_->stats().waiting, 3u);
}

TEST_F(DecodeEngineTest, MoreAnswersThanRowsOfAStepTakeTurns) {
  NewEngine({}, 1000);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 150; ++i) sinks.push_back(Add(Job(1, 30)));  // 64 rows a step
  Turns(20);
  for (const auto& sink : sinks) EXPECT_GE(sink->ids.size(), 4u);
}

TEST_F(DecodeEngineTest, TheSamePromptAgainIsAskedOfNobody) {
  NewEngine({.cache_pages = 64});
  const auto first = Add(Job(100, 8));
  Turns(20);
  DecodeJob job = Job(101, 8);  // the prompt before and one token more
  job.candidates = {{"p1", "one:1"}};
  const auto second = Add(job);
  Turns(20);
  EXPECT_TRUE(source_.addresses.empty());
  EXPECT_TRUE(second->ended.has_value() && second->ended->ok());
  EXPECT_EQ(second->prefilled->prefill_node, "");
  EXPECT_EQ(second->prefilled->cached_tokens, 100u);
  EXPECT_EQ(second->prefilled->kept_rows, 100u);
  EXPECT_EQ(first->prefilled->cached_tokens, 0u);
  NewEngine({});
  const auto alone = Add(Job(101, 8));
  Turns(20);
  EXPECT_EQ(second->ids, alone->ids);
}

TEST_F(DecodeEngineTest, WhatFollowsStoredRowsIsComputedHereIfItIsLittle) {
  NewEngine({.cache_pages = 64, .row_source = {.max_continued_tokens = 50}});
  Add(Job(100));
  Turns(20);
  DecodeJob job = Job(151);
  job.candidates = {{"p1", "one:1"}};
  const auto little = Add(job);
  Turns(20);
  EXPECT_TRUE(source_.addresses.empty());
  EXPECT_EQ(little->prefilled->cached_tokens, 100u);
  job = Job(230);
  job.candidates = {{"p1", "one:1"}};
  Add(job);
  Turns(1);
  EXPECT_EQ(source_.addresses.size(), 1u);
}

TEST_F(DecodeEngineTest, WhereRolesAgreeAnAnswerIsPartOfTheNextPrompt) {
  for (const bool agree : {false, true}) {
    roles_agree_ = agree;
    NewEngine({.cache_pages = 64});
    const auto first = Add(Job(100, 20));
    Turns(40);
    DecodeJob next = Job(100);
    next.content.ids.insert(next.content.ids.end(), first->ids.begin(), first->ids.end());
    next.content.ids.push_back(9);
    next.content.prompt_length = 121;
    const auto second = Add(next);
    Turns(20);
    EXPECT_EQ(second->prefilled->cached_tokens, agree ? 119u : 100u);  // the last token was never computed
  }
}

TEST_F(DecodeEngineTest, PromptsComputedHereTogetherAreComputedOnce) {
  NewEngine({.cache_pages = 64});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 3; ++i) sinks.push_back(Add(Job(300)));
  Turns(1);
  EXPECT_EQ(engine_->stats().waiting, 2u);
  Turns(30);
  for (const auto& sink : sinks) EXPECT_EQ(sink->ids, sinks[0]->ids);
  EXPECT_EQ(sinks[0]->ids.size(), 5u);
  EXPECT_EQ(sinks[1]->prefilled->cached_tokens, 299u);
}

TEST_F(DecodeEngineTest, AnswersShareEveryStepWhateverIsComputedBesideThem) {
  NewEngine({}, 400);
  const auto one = Add(Job(1, 100)), two = Add(Job(2, 100));
  Turns(5);
  const size_t before = one->ids.size();
  Add(Job(350));
  Add(Job(360));
  Turns(10);
  EXPECT_EQ(one->ids.size(), before + 10);  // a token in every step
  EXPECT_EQ(two->ids.size(), one->ids.size());
}

TEST_F(DecodeEngineTest, CancelFreesRowsAtOnceInEveryState) {
  for (int turns = 0; turns < 6; ++turns) {
    Add(Job(100, 50));
    Turns(turns);
    engine_->Cancel(last_id_);
    EXPECT_EQ(engine_->stats().reserved_rows, 0u);
    EXPECT_EQ(engine_->stats().running + engine_->stats().waiting, 0u);
  }
  DecodeJob job = Job(30);
  job.candidates = {{"p1", "one:1"}};
  Add(job);
  Turns(1);
  engine_->Cancel(last_id_);
  EXPECT_TRUE(source_.cancelled[0]);  // the prefill node is told at once
  source_.events[0]({StateEnded{absl::OkStatus()}});
  Turns(1);
}

TEST_F(DecodeEngineTest, ErrorsNameTheField) {
  auto error = [this](DecodeJob job) { return *Add(std::move(job))->ended; };
  DecodeJob job = Job(5);
  job.fingerprint = "other";
  EXPECT_EQ(error(job).code(), absl::StatusCode::kFailedPrecondition);
  job = Job(5);
  job.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(error(job).message().find("sampling.temperature"), std::string::npos);
  job = Job(5);
  job.sampling.logit_bias = {{1, std::numeric_limits<float>::infinity()}};
  EXPECT_NE(error(job).message().find("sampling.logit_bias[1]"), std::string::npos);
  job = Job(5);
  job.content.prompt_length = 0;
  EXPECT_NE(error(job).message().find("prompt_length"), std::string::npos);
  NewEngine({}, 2);
  EXPECT_EQ(error(Job(300)).code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kedge
