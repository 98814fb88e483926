// What a sequence does between two steps costs the thread that launches them no wait and no byte on the host.
#include "common/engine/sequence.h"

#include <memory>
#include <random>

#include "common/engine/step.h"
#include "common/engine/testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "common/kv/page_pool.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// What has come to be done, of what was asked for.
struct Done {
  int steps = 0, host_copies = 0, copies = 0;
};

class CountingDevice : public HashDevice {
 public:
  explicit CountingDevice(Done* done) : HashDevice({.num_pages = 64}), done_(done) {}
  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    ++done_->steps;
    return HashDevice::Launch(std::move(plan));
  }
  std::unique_ptr<StepFuture> ReadRows(std::vector<RowRef> rows, RowBuffer out) override {
    ++done_->host_copies;
    return HashDevice::ReadRows(std::move(rows), std::move(out));
  }
  void WriteRows(std::vector<RowRef> rows, Payload in) override {
    ++done_->host_copies;
    HashDevice::WriteRows(std::move(rows), std::move(in));
  }
  void CopyRows(std::vector<RowRef> from, std::vector<RowRef> to) override {
    ++done_->copies;
    HashDevice::CopyRows(std::move(from), std::move(to));
  }

 private:
  Done* const done_;
};

class SequenceTest : public testing::Test {
 protected:
  SequenceTest() : device_(std::make_unique<CountingDevice>(&done_)), pool_(device_.num_pages()) {}

  std::unique_ptr<Sequence> NewSequence(const Content& content) {
    return std::make_unique<Sequence>(content, pool_.Reserve(PagesFor(content, 0, 100, 0)).value());
  }
  void Step(Sequence* sequence, uint32_t rows) {
    const Slice slice{sequence, rows};
    EXPECT_TRUE(FinishStep({slice}, LaunchStep({slice}, &device_).get(), &device_).ok());
  }

  Done done_;
  DeferredDevice device_;
  PagePool pool_;
};

TEST_F(SequenceTest, AReductionIsCopiedByTheDeviceInItsTurn) {
  Content content{.ids = std::vector<uint32_t>(60, 7), .prompt_length = 60};
  content.policy = {.sinks = 4, .recent = 8, .prefill_full = true};
  const auto sequence = NewSequence(content);
  Step(sequence.get(), 59);
  EXPECT_TRUE(sequence->knows_state());
  EXPECT_EQ(done_.copies, 0) << "somebody waited for the reduction";
  Step(sequence.get(), 1);
  EXPECT_EQ(done_.copies, 1);
  EXPECT_EQ(done_.host_copies, 0);
}

TEST_F(SequenceTest, SharedRowsAreCopiedByTheDeviceInTheirTurn) {
  const Content content{.ids = std::vector<uint32_t>(60, 7), .prompt_length = 60, .policy = {.recent = Policy::kAll}};
  const auto first = NewSequence(content), second = NewSequence(content);
  Step(first.get(), 50);
  second->Resume(first->Stored().value(), &device_);
  EXPECT_EQ(second->position(), 50u);
  EXPECT_EQ(done_.copies, 0) << "somebody waited for the rows of the open page";
  Step(second.get(), 10);
  EXPECT_EQ(done_.copies, 1);
  EXPECT_EQ(done_.host_copies, 0);
  EXPECT_EQ(done_.steps, 2);
}

// Where a request has been let in, it may come again with a part of its answer, and go on row by row.
TEST(PagesForTest, ARequestThatHasWrittenAPartNeedsNoMoreThanAtFirst) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    SCOPED_TRACE(i);
    Content content = RandomContent(50, 150, random);
    content.policy.salient_millionths = 0;
    const uint32_t size = static_cast<uint32_t>(content.ids.size());
    content.prompt_length = size;
    const uint32_t answer = 1 + random() % 100;
    const uint32_t received = PagesFor(content, size - 1, 64, answer);
    const uint32_t computed = PagesFor(content, 0, 64, answer);
    for (uint32_t written = 1; written <= answer; ++written) {
      content.ids.push_back(random() % 50);
      const uint32_t now = static_cast<uint32_t>(content.ids.size());
      ASSERT_LE(PagesFor(content, now - 1, 64, answer - written), received) << written;
      ASSERT_LE(PagesFor(content, 0, 1, answer - written), computed) << written;
    }
  }
}

}  // namespace
}  // namespace kedge
