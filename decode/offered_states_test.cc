#include "decode/offered_states.h"

#include <memory>
#include <vector>

#include "common/engine/step.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "common/kv/page_pool.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

struct RecordingSink : StateSink {
  void Send(StateEvent event) override { events.push_back(std::move(event)); }
  bool Congested() const override { return is_congested; }
  absl::Status end() const { return std::get<StateEnded>(events.back().event).status; }
  bool has_ended() const { return !events.empty() && std::holds_alternative<StateEnded>(events.back().event); }
  std::vector<StateEvent> events;
  bool is_congested = false;
};

class OfferedStatesTest : public testing::Test {
 protected:
  static constexpr uint64_t kRowBytes = 32;

  OfferedStatesTest()
      : device_(std::make_unique<HashDevice>(HashDeviceOptions{.num_pages = 64, .max_rows = 128, .vocab_size = 100})),
        pool_(device_.num_pages()),
        offered_({.fingerprint = "model", .context_length = 400, .max_bytes = 100 * kRowBytes}, &device_, &clock_) {}

  // An answer of 20 ids to a prompt of 20, all of one id.
  static Content ContentOf(uint32_t id) {
    return {.ids = std::vector<uint32_t>(40, id), .prompt_length = 20, .policy = {.recent = Policy::kAll}};
  }

  std::unique_ptr<Sequence> Computed(const Content& content) {
    auto sequence = std::make_unique<Sequence>(content, pool_.Reserve(PagesFor(content, 0, 128, 1)).value());
    const Slice slice{sequence.get(), sequence->ready()};
    EXPECT_TRUE(FinishStep({slice}, LaunchStep({slice}, &device_).get(), &device_).ok());
    return sequence;
  }

  std::shared_ptr<RecordingSink> Ask(const Content& content, const std::string& fingerprint = "model") {
    auto sink = std::make_shared<RecordingSink>();
    last_ = offered_.Add({.request_id = "r", .content = content, .fingerprint = fingerprint, .kv_type = "f32"}, sink,
                         absl::InfiniteFuture());
    return sink;
  }

  SimulatedClock clock_;
  DeferredDevice device_;
  PagePool pool_;
  OfferedStates offered_;
  StateServer::JobId last_ = 0;
};

TEST_F(OfferedStatesTest, AStateIsWhatItWasWhateverBecameOfThePages) {
  auto sequence = Computed(ContentOf(7));
  offered_.Offer(*sequence);
  sequence.reset();
  EXPECT_EQ(pool_.num_free(), 64u);  // its pages may be written to
  auto other = Computed(ContentOf(8));
  EXPECT_EQ(offered_.num_bytes(), 40 * kRowBytes);
  const auto sink = Ask(ContentOf(7));
  offered_.Turn(/*wait=*/true);
  ASSERT_TRUE(sink->has_ended());
  ASSERT_TRUE(sink->end().ok());

  Sequence received(ContentOf(7), pool_.Reserve(PagesFor(ContentOf(7), 40, 64, 1)).value());
  StateReceiver receiver(&received, 40, "model");
  for (StateEvent& event : sink->events) {
    if (const auto* head = std::get_if<StateHead>(&event.event)) {
      EXPECT_EQ(head->cached_tokens, 40u);
      ASSERT_TRUE(receiver.AcceptHeader(head->header.bytes, &device_).ok());
    } else if (auto* frame = std::get_if<StateFrame>(&event.event)) {
      const uint64_t sum = FrameChecksum(frame->frame.bytes, StateHeader(ContentOf(7), 40, "model", device_).chain);
      ASSERT_TRUE(receiver.AcceptFrame(frame->frame, sum, &device_).ok());
    }
  }
  EXPECT_TRUE(receiver.Commit().ok());
}

TEST_F(OfferedStatesTest, WhatIsNotHereIsSaidAtOnce) {
  auto sequence = Computed(ContentOf(7));
  offered_.Offer(*sequence);
  EXPECT_EQ(Ask(ContentOf(8))->end().code(), absl::StatusCode::kNotFound);
  Content content = ContentOf(7);
  content.cache_domain = "another tenant's";
  EXPECT_EQ(Ask(content)->end().code(), absl::StatusCode::kNotFound);
  content = ContentOf(7);
  content.prompt_length = 41;  // a prompt's
  EXPECT_EQ(Ask(content)->end().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Ask(ContentOf(7), "other")->end().code(), absl::StatusCode::kFailedPrecondition);
  content.ids[0] = 1000;
  EXPECT_EQ(Ask(content)->end().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(Ask(ContentOf(7))->has_ended());
}

TEST_F(OfferedStatesTest, WhoGivesItUpLeavesItToTheNext) {
  auto sequence = Computed(ContentOf(7));
  offered_.Offer(*sequence);
  const auto first = Ask(ContentOf(7));
  offered_.Cancel(last_);
  const auto second = Ask(ContentOf(7)), third = Ask(ContentOf(7));
  offered_.Turn(/*wait=*/true);
  EXPECT_FALSE(first->has_ended());
  EXPECT_TRUE(second->end().ok());  // and fails, perhaps, with what it has got
  EXPECT_EQ(second->events.size(), 4u);
  EXPECT_EQ(third->events.size(), 4u);
  const auto fourth = Ask(ContentOf(7));
  offered_.Turn(/*wait=*/false);
  EXPECT_EQ(fourth->events.size(), 4u);
}

TEST_F(OfferedStatesTest, WhoTakesNothingGetsNoMoreAndKeepsItNoLonger) {
  auto sequence = Computed(ContentOf(7));
  offered_.Offer(*sequence);
  const auto slow = Ask(ContentOf(7)), stuck = Ask(ContentOf(7));
  slow->is_congested = stuck->is_congested = true;
  EXPECT_FALSE(offered_.Turn(/*wait=*/true));
  EXPECT_EQ(slow->events.size(), 2u);
  EXPECT_EQ(offered_.num_bytes(), 40 * kRowBytes);
  slow->is_congested = false;
  offered_.Turn(/*wait=*/false);
  EXPECT_TRUE(slow->end().ok());
  clock_.Advance(OfferedStates::kKept);
  offered_.Turn(/*wait=*/false);
  EXPECT_EQ(stuck->end().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(stuck->events.size(), 3u);
  EXPECT_EQ(offered_.num_bytes(), 0u);
}

TEST_F(OfferedStatesTest, TheOldestGoAndThoseFirstThatSomebodyHasAndNoneStaysLong) {
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::shared_ptr<RecordingSink> late;
  for (uint32_t id = 1; id <= 3; ++id) {
    sequences.push_back(Computed(ContentOf(id)));
    offered_.Offer(*sequences.back());
    if (id == 1) late = Ask(ContentOf(1));
  }
  EXPECT_EQ(late->end().code(), absl::StatusCode::kNotFound);  // it was on its way
  EXPECT_EQ(offered_.num_bytes(), 80 * kRowBytes);
  Content large = ContentOf(4);
  large.ids.resize(101, 4);
  sequences.push_back(Computed(large));
  offered_.Offer(*sequences.back());
  EXPECT_EQ(offered_.num_bytes(), 80 * kRowBytes);
  Ask(ContentOf(3));
  offered_.Turn(/*wait=*/true);
  sequences.push_back(Computed(ContentOf(5)));
  offered_.Offer(*sequences.back());
  EXPECT_EQ(Ask(ContentOf(3))->end().code(), absl::StatusCode::kNotFound);  // somebody has it
  EXPECT_FALSE(Ask(ContentOf(2))->has_ended());
  clock_.Advance(OfferedStates::kKept);
  offered_.Turn(/*wait=*/false);
  EXPECT_EQ(offered_.num_bytes(), 0u);
  EXPECT_EQ(Ask(ContentOf(5))->end().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace kedge
