#include "router/parse_queue.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "common/base/error_reason.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint64_t kLong = 10 << 20;

// Keeps a thread busy until it dies.
class Blocker {
 public:
  Blocker(ParseQueue* queue, uint64_t bytes, bool generates) {
    EXPECT_TRUE(queue
                    ->Post({this, bytes, generates,
                            [this] {
                              began_.Notify();
                              go_.WaitForNotification();
                              done_.Notify();
                            }})
                    .ok());
  }
  ~Blocker() {
    go_.Notify();
    done_.WaitForNotification();
  }
  bool Begins(absl::Duration limit = absl::Seconds(10)) { return began_.WaitForNotificationWithTimeout(limit); }

 private:
  absl::Notification began_, go_, done_;
};

TEST(ParseQueueTest, LongWorkNeverHoldsUpGenerateNorWhatIsShort) {
  ParseQueue queue(2, 1 << 30);
  std::optional<Blocker> tokenize;
  tokenize.emplace(&queue, kLong, false);
  EXPECT_TRUE(tokenize->Begins());
  Blocker other(&queue, kLong, false);  // waits for the first
  EXPECT_FALSE(other.Begins(absl::Milliseconds(50)));
  {
    Blocker generate(&queue, kLong, true);
    EXPECT_TRUE(generate.Begins());
    Blocker small(&queue, 10, false);
    EXPECT_TRUE(small.Begins());
  }
  EXPECT_FALSE(other.Begins(absl::Milliseconds(50)));
  tokenize.reset();
  EXPECT_TRUE(other.Begins());
}

TEST(ParseQueueTest, ShortWorkGoesFirst) {
  ParseQueue queue(1, 1 << 30);
  absl::Mutex mutex;
  std::vector<std::string> order;
  absl::BlockingCounter done(3);
  int owners[3];
  const std::vector<std::pair<std::string, uint64_t>> works = {
      {"long", kLong}, {"medium", 100 * ParseQueue::kShortBytes}, {"middle", 20 * ParseQueue::kShortBytes}};
  {
    Blocker any(&queue, kLong, true);
    EXPECT_TRUE(any.Begins());
    Blocker small(&queue, 1, false);
    EXPECT_TRUE(small.Begins());
    for (size_t i = 0; i < works.size(); ++i) {
      EXPECT_TRUE(queue
                      .Post({&owners[i], works[i].second, false,
                             [&, i] {
                               absl::MutexLock lock(&mutex);
                               order.push_back(works[i].first);
                               done.DecrementCount();
                             }})
                      .ok());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  done.Wait();
  EXPECT_EQ(order, (std::vector<std::string>{"middle", "medium", "long"}));
}

TEST(ParseQueueTest, WhatIsDroppedNeverRuns) {
  ParseQueue queue(1, 1 << 30);
  bool ran = false;
  int owner = 0;
  {
    Blocker any(&queue, kLong, false);
    EXPECT_TRUE(any.Begins());
    EXPECT_FALSE(queue.Drop(&any));  // it runs
    EXPECT_TRUE(queue.Post({&owner, kLong, false, [&] { ran = true; }}).ok());
    EXPECT_EQ(queue.waiting_bytes(), kLong);
    EXPECT_TRUE(queue.Drop(&owner));
    EXPECT_FALSE(queue.Drop(&owner));
    EXPECT_EQ(queue.waiting_bytes(), 0u);
  }
  Blocker last(&queue, kLong, false);
  EXPECT_TRUE(last.Begins());
  EXPECT_FALSE(ran);
}

TEST(ParseQueueTest, WhatWaitsIsBoundedByBytes) {
  ParseQueue queue(1, 3 * kLong);
  Blocker any(&queue, kLong, false);
  EXPECT_TRUE(any.Begins());
  int owners[3];
  EXPECT_TRUE(queue.Post({&owners[0], kLong, false, [] {}}).ok());
  EXPECT_TRUE(queue.Post({&owners[1], 2 * kLong, false, [] {}}).ok());
  const absl::Status refused = queue.Post({&owners[2], 1, false, [] {}});
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), kMemoryFull);
  EXPECT_TRUE(queue.Drop(&owners[1]));
  EXPECT_TRUE(queue.Post({&owners[2], 1, false, [] {}}).ok());
}

}  // namespace
}  // namespace kedge
