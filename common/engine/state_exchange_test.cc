// Damage on the way is an error and never a row.
#include "common/engine/state_exchange.h"

#include <memory>
#include <optional>

#include "common/anchor/segment.h"
#include "common/base/payload.h"
#include "common/engine/step.h"
#include "common/engine/testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "common/kv/page_pool.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;

class StateExchangeTest : public testing::Test {
 protected:
  StateExchangeTest() : pool_(device_.num_pages()) {
    content_ = {.ids = std::vector<uint32_t>(100), .prompt_length = 100, .policy = {.anchors = {3}, .sinks = 2}};
    for (uint32_t i = 0; i < 100; ++i) content_.ids[i] = i % 7;
    content_.policy.recent = 40;
  }

  std::unique_ptr<Sequence> NewSequence() {
    return std::make_unique<Sequence>(content_, pool_.Reserve(PagesFor(content_, 0, 16, 0)).value());
  }

  static void Step(Sequence* sequence, StepDevice* device) {
    const Slice slice{sequence, std::min(16u, sequence->pending())};
    EXPECT_TRUE(FinishStep({slice}, LaunchStep({slice}, device).get(), device).ok());
  }

  // Header and frames of State(100), computed in chunks of 16.
  void Send() {
    auto sequence = NewSequence();
    StateSender sender(sequence.get(), 100, "model");
    const Payload header = sender.TakeHeader(device_).value();
    header_.assign(header.bytes.begin(), header.bytes.end());
    while (sequence->pending() > 0) {
      Step(sequence.get(), &device_);
      sender.StartFrames(&device_);
      const std::vector<Payload> taken = sender.TakeFrames(false).value();
      for (const Payload& frame : taken) {
        frames_.push_back(std::vector<uint8_t>(frame.bytes.begin(), frame.bytes.end()));
      }
      sequence->DropUnseen();
    }
    ASSERT_TRUE(sender.complete());
    ASSERT_GT(frames_.size(), 2u);
  }

  // The first error of receiving these frames, or of the commit.
  absl::Status Receive(const std::vector<std::vector<uint8_t>>& frames) {
    auto sequence = NewSequence();
    StateReceiver receiver(sequence.get(), 100, "model");
    if (absl::Status status = receiver.AcceptHeader(header_, &device_); !status.ok()) return status;
    for (const auto& frame : frames) {
      if (absl::Status status = Accept(&receiver, frame); !status.ok()) return status;
    }
    return receiver.Commit();
  }

  // As it comes, with the checksum of the bytes that came.
  absl::Status Accept(StateReceiver* receiver, const std::vector<uint8_t>& frame) {
    const uint64_t checksum = FrameChecksum(frame, ParseSegmentHeader(header_)->chain);
    return receiver->AcceptFrame(Payload::Own(frame), checksum, &device_);
  }

  HashDevice device_{{.num_pages = 256, .vocab_size = kVocabulary}};
  PagePool pool_;
  Content content_;
  std::vector<uint8_t> header_;
  std::vector<std::vector<uint8_t>> frames_;
};

TEST_F(StateExchangeTest, WholeStateIsCommitted) {
  Send();
  EXPECT_TRUE(Receive(frames_).ok());
}

TEST_F(StateExchangeTest, FramesLeaveBeforeTheLastChunkIsComputed) {
  auto sequence = NewSequence();
  StateSender sender(sequence.get(), 100, "model");
  EXPECT_TRUE(sender.TakeHeader(device_).has_value());
  EXPECT_FALSE(sender.TakeHeader(device_).has_value());  // once
  const Slice slice{sequence.get(), 16};
  const auto step = LaunchStep({slice}, &device_);
  sender.StartFrames(&device_);
  EXPECT_FALSE(sender.copying());  // nobody knows yet whether its rows are numbers
  EXPECT_TRUE(FinishStep({slice}, step.get(), &device_).ok());
  sender.StartFrames(&device_);
  EXPECT_EQ(sender.TakeFrames(false).value().size(), 1u);
  EXPECT_FALSE(sender.complete());
}

TEST_F(StateExchangeTest, FramesComeWhenTheyAreReadyAndNobodyNeedsToWait) {
  Send();
  DeferredDevice device(std::make_unique<HashDevice>(HashDeviceOptions{.num_pages = 256, .vocab_size = kVocabulary}));
  auto sequence = NewSequence();
  std::optional<StateSender> sender;
  sender.emplace(sequence.get(), 100, "model");
  ASSERT_TRUE(sender->TakeHeader(device).has_value());
  std::vector<std::vector<uint8_t>> frames;
  int round = 0;
  while (!sender->complete()) {
    if (sequence->pending() > 0) Step(sequence.get(), &device);
    sender->StartFrames(&device);
    sequence->DropUnseen();
    const bool last = sequence->pending() == 0;
    const std::vector<Payload> taken = sender->TakeFrames(last).value();
    EXPECT_EQ(taken.empty(), ++round == 1) << round;  // a copy stands behind its step, and before the next one
    for (const Payload& frame : taken) frames.emplace_back(frame.bytes.begin(), frame.bytes.end());
  }
  EXPECT_EQ(frames, frames_);
}

TEST_F(StateExchangeTest, CopiesUnderWayAreNobodysWorryOnceTheyAreNotWanted) {
  DeferredDevice device(std::make_unique<HashDevice>(HashDeviceOptions{.num_pages = 256, .vocab_size = kVocabulary}));
  Send();
  auto sequence = NewSequence();
  auto sender = std::make_unique<StateSender>(sequence.get(), 100, "model");
  sender->TakeHeader(device);
  Step(sequence.get(), &device);
  sender->StartFrames(&device);
  EXPECT_TRUE(sender->copying());
  sender.reset();
  auto other = NewSequence();
  {
    StateReceiver receiver(other.get(), 100, "model");
    ASSERT_TRUE(receiver.AcceptHeader(header_, &device).ok());
    const uint64_t checksum = FrameChecksum(frames_[0], ParseSegmentHeader(header_)->chain);
    ASSERT_TRUE(receiver.AcceptFrame(Payload::Own(frames_[0]), checksum, &device).ok());
  }
  const RowBuffer rows = device.NewRowBuffer(device.row_shape().row_bytes());
  EXPECT_TRUE(device.ReadRows({{0, 0}}, rows)->Wait().ok());  // and all before it
}

TEST_F(StateExchangeTest, MissingDoubledAndSwappedFramesAreDamage) {
  Send();
  auto without_last = frames_;
  without_last.pop_back();
  EXPECT_EQ(Receive(without_last).code(), absl::StatusCode::kDataLoss);
  auto without_first = frames_;
  without_first.erase(without_first.begin());
  EXPECT_EQ(Receive(without_first).code(), absl::StatusCode::kDataLoss);
  auto doubled = frames_;
  doubled.insert(doubled.begin(), doubled.front());
  EXPECT_EQ(Receive(doubled).code(), absl::StatusCode::kDataLoss);
  auto swapped = frames_;
  std::swap(swapped[0], swapped[1]);
  EXPECT_EQ(Receive(swapped).code(), absl::StatusCode::kDataLoss);
}

TEST_F(StateExchangeTest, EveryFlippedBitIsDamage) {
  Send();
  for (size_t bit = 0; bit < frames_[1].size() * 8; bit += 5) {
    auto flipped = frames_;
    flipped[1][bit / 8] ^= 1 << (bit % 8);
    ASSERT_EQ(Receive(flipped).code(), absl::StatusCode::kDataLoss) << bit;
  }
}

TEST_F(StateExchangeTest, SegmentOfOtherTokensIsDamage) {
  Send();
  content_.ids[50] ^= 1;
  EXPECT_EQ(Receive(frames_).code(), absl::StatusCode::kDataLoss);
}

TEST_F(StateExchangeTest, ResetSequenceReceivesAgain) {
  Send();
  auto sequence = NewSequence();
  for (int attempt = 0; attempt < 3; ++attempt) {
    StateReceiver receiver(sequence.get(), 100, "model");
    ASSERT_TRUE(receiver.AcceptHeader(header_, &device_).ok());
    ASSERT_TRUE(Accept(&receiver, frames_[0]).ok());
    EXPECT_EQ(receiver.Commit().code(), absl::StatusCode::kDataLoss);
    sequence->Reset();
  }
  EXPECT_EQ(sequence->position(), 0u);
}

class SalientExchangeTest : public StateExchangeTest {
 protected:
  SalientExchangeTest() {
    content_.policy = {.anchors = {3},
                       .keep_anchors = false,
                       .sinks = 2,
                       .recent = 10,
                       .view = Policy::View::kAll,
                       .prefill_full = true,
                       .salient_millionths = 200000,
                       .write_full = true};
  }

  // Header and frames of State(99), without rows at these positions.
  Content SendSalient(std::vector<PositionRange> held = {}) {
    Sequence sequence(content_, pool_.Reserve(PagesFor(content_, 0, 16, 0)).value(), &kHeads);
    StateSender sender(&sequence, 99, "model", std::move(held));
    while (sequence.position() < 99) {
      EXPECT_FALSE(sender.TakeHeader(device_).has_value());
      const Slice slice{&sequence, std::min(16u, sequence.ready()), WantedLogits::kNone};
      EXPECT_TRUE(FinishStep({slice}, LaunchStep({slice}, &device_).get(), &device_).ok());
    }
    const Payload header = sender.TakeHeader(device_).value();
    header_.assign(header.bytes.begin(), header.bytes.end());
    sender.StartFrames(&device_);
    const std::vector<Payload> taken = sender.TakeFrames(false).value();
    for (const Payload& frame : taken) frames_.emplace_back(frame.bytes.begin(), frame.bytes.end());
    EXPECT_TRUE(sender.complete());
    return sequence.content();
  }

  const SalienceHeads kHeads = {.retrieval = {{0, 0}}};
};

TEST_F(SalientExchangeTest, TheReceiverTakesTheChoiceAndKeepsIt) {
  const Content sent = SendSalient();
  ASSERT_TRUE(sent.salient.has_value());
  EXPECT_FALSE(sent.salient->empty());
  auto sequence = NewSequence();
  {
    StateReceiver receiver(sequence.get(), 99, "model");
    ASSERT_TRUE(receiver.AcceptHeader(header_, &device_).ok());
    EXPECT_EQ(receiver.AcceptHeader(header_, &device_).code(), absl::StatusCode::kDataLoss);
    for (const auto& frame : frames_) ASSERT_TRUE(Accept(&receiver, frame).ok());
    EXPECT_TRUE(receiver.Commit().ok());
  }
  EXPECT_EQ(sequence->content().salient, sent.salient);
  sequence->Reset();
  EXPECT_EQ(sequence->content().salient, sent.salient);
}

TEST_F(SalientExchangeTest, RowsThatComeAreHeldAndNeedNotComeAgain) {
  HeldRows held({.fingerprint = "model"}, 1 << 20);
  std::vector<uint32_t> positions;
  for (int turn = 0; turn < 2; ++turn) {
    SCOPED_TRACE(turn);
    auto sequence = NewSequence();
    StateReceiver receiver(sequence.get(), 99, "model", &held);
    EXPECT_EQ(receiver.held().empty(), turn == 0);
    header_.clear(), frames_.clear();
    SendSalient(receiver.held());
    const SegmentHeader header = ParseSegmentHeader(header_).value();
    EXPECT_EQ(header.left_out.empty(), turn == 0);
    // Of those behind the last full block of names all come again.
    EXPECT_EQ(header.num_following(), turn == 0 ? header.positions.size() : 99 % HeldRows::kNameTokens);
    ASSERT_TRUE(receiver.AcceptHeader(header_, &device_).ok());
    EXPECT_EQ(receiver.num_left_out(), header.positions.size() - header.num_following());
    for (const auto& frame : frames_) ASSERT_TRUE(Accept(&receiver, frame).ok());
    EXPECT_TRUE(receiver.Commit().ok());
  }
}

TEST_F(SalientExchangeTest, ARowLeftOutThatIsNotHeldIsDamage) {
  SendSalient({{0, 40}});
  auto sequence = NewSequence();
  HeldRows held({.fingerprint = "model"}, 1 << 20);
  for (HeldRows* rows : {static_cast<HeldRows*>(nullptr), &held}) {
    StateReceiver receiver(sequence.get(), 99, "model", rows);
    const absl::Status status = receiver.AcceptHeader(header_, &device_);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_NE(status.message().find("left out: the row at 0 is not held here"), std::string::npos) << status;
  }
  EXPECT_EQ(sequence->position(), 0u);
}

TEST_F(SalientExchangeTest, FramesThatFailTheirChecksAreNotHeld) {
  SendSalient();
  HeldRows held({.fingerprint = "model"}, 1 << 20);
  auto sequence = NewSequence();
  StateReceiver receiver(sequence.get(), 99, "model", &held);
  ASSERT_TRUE(receiver.AcceptHeader(header_, &device_).ok());
  frames_[0].back() ^= 1;
  EXPECT_EQ(Accept(&receiver, frames_[0]).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(held.num_bytes(), 0u);
}

TEST_F(SalientExchangeTest, WhatIsSaidToBeHeldIsChecked) {
  const auto check = [this](std::vector<PositionRange> ranges) { return CheckHeld(ranges, content_); };
  EXPECT_TRUE(check({}).ok());
  EXPECT_TRUE(check({{0, 1}, {5, 99}}).ok());
  for (const std::vector<PositionRange>& ranges :
       std::vector<std::vector<PositionRange>>{{{0, 100}}, {{5, 5}}, {{5, 4}}, {{5, 9}, {8, 10}}, {{9, 10}, {5, 6}}}) {
    const absl::Status status = check(ranges);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message().find("held["), 0u) << status;
  }
  content_.policy.prefill_full = false;
  EXPECT_TRUE(check({}).ok());
  EXPECT_EQ(check({{0, 1}}).message().find("held: "), 0u);
}

TEST_F(SalientExchangeTest, AnotherChoiceThanTheRequestsIsDamage) {
  SendSalient();
  content_.salient.emplace();
  auto sequence = NewSequence();
  StateReceiver receiver(sequence.get(), 99, "model");
  EXPECT_EQ(receiver.AcceptHeader(header_, &device_).code(), absl::StatusCode::kDataLoss);
}

TEST_F(SalientExchangeTest, AChoiceBeyondTheBudgetIsDamage) {
  content_.ids.resize(300);
  content_.prompt_length = 300;
  for (uint32_t i = 0; i < 300; ++i) content_.ids[i] = i % 10 == 9 ? 3 : 4 + i % 7;
  Content greedy = content_;
  greedy.salient = {{0, 200}};
  const std::string bytes = EncodeSegmentHeader(StateHeader(greedy, 299, "model", device_));
  auto sequence = NewSequence();
  StateReceiver receiver(sequence.get(), 299, "model");
  const absl::Status status =
      receiver.AcceptHeader({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, &device_);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("salient: takes"), std::string::npos) << status;
  EXPECT_FALSE(sequence->content().salient.has_value());
}

}  // namespace
}  // namespace kedge
