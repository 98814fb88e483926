// Tested by parse_queue_test.cc.
#include "router/parse_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/error_reason.h"
#include "common/base/steady_time.h"

namespace kedge {

ParseQueue::ParseQueue(int long_threads, uint64_t max_bytes) : max_bytes_(max_bytes) {
  for (int i = 0; i < long_threads; ++i) {
    threads_.emplace_back([this, i] { Run(i == 0 ? Slot::kAny : Slot::kGenerateOrShort); });
  }
  threads_.emplace_back([this] { Run(Slot::kShort); });
}

ParseQueue::~ParseQueue() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::Status ParseQueue::Post(Work work) {
  absl::MutexLock lock(&mutex_);
  if (bytes_ > 0 && bytes_ + work.bytes > max_bytes_) {
    return Refusal(absl::ResourceExhaustedError(absl::StrCat("requests to be read: ", bytes_, " bytes wait already")),
                   kMemoryFull, absl::Seconds(1));
  }
  bytes_ += work.bytes;
  const absl::Time due = SteadyNow() + absl::Microseconds(static_cast<int64_t>(work.bytes));
  waiting_.emplace(Order(due, posted_++), std::move(work));
  return absl::OkStatus();
}

bool ParseQueue::Drop(const void* owner) {
  std::map<Order, Work>::node_type dropped;  // dies without the lock
  absl::MutexLock lock(&mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [owner](const auto& entry) { return entry.second.owner == owner; });
  if (found == waiting_.end()) return false;
  bytes_ -= found->second.bytes;
  dropped = waiting_.extract(found);
  return true;
}

uint64_t ParseQueue::waiting_bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

std::map<ParseQueue::Order, ParseQueue::Work>::iterator ParseQueue::First(Slot slot) {
  return std::find_if(waiting_.begin(), waiting_.end(), [slot](const auto& entry) {
    const Work& work = entry.second;
    return slot == Slot::kAny || work.bytes <= kShortBytes || (slot == Slot::kGenerateOrShort && work.generates);
  });
}

void ParseQueue::Run(Slot slot) {
  for (;;) {
    std::function<void()> run;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this, slot]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || First(slot) != waiting_.end();
      };
      mutex_.Await(absl::Condition(&ready));
      const auto first = First(slot);
      if (first == waiting_.end()) return;  // stopping
      bytes_ -= first->second.bytes;
      run = std::move(first->second.run);
      waiting_.erase(first);
    }
    run();
  }
}

}  // namespace kedge
