// For TSan each queue is an actor of its own: what two queues do is ordered by events alone, and what the host does by
// queueing and waiting, whichever order the seed drew. Tested by emulated_runtime_test.cc.
#include "common/kernels/cuda/emulated/work_order.h"

#include <utility>

#include "common/base/check.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

namespace kedge::cuda::emulated {

struct WorkOrder::Work {
  std::function<void()> run;
  std::shared_ptr<EventState> awaited;  // or nullptr; at least this many records of it
  uint64_t count = 0;
  char sync = 0;
};

struct WorkQueue {
  bool IsReady() const {
    return !work.empty() && (work.front()->awaited == nullptr || work.front()->awaited->done >= work.front()->count);
  }

  std::deque<std::unique_ptr<WorkOrder::Work>> work;
  void* const actor = NewActor();
  char sync = 0;
};

WorkOrder::WorkOrder(std::optional<uint64_t> seed) {
  if (seed) random_.emplace(*seed);
}

WorkOrder::~WorkOrder() { KEDGE_CHECK(queues_.empty()); }

WorkQueue* WorkOrder::NewQueue() { return queues_.emplace_back(std::make_unique<WorkQueue>()).get(); }

void WorkOrder::DeleteQueue(WorkQueue* queue) {
  KEDGE_CHECK(queue->work.empty());
  DeleteActor(queue->actor);
  std::erase_if(queues_, [queue](const auto& each) { return each.get() == queue; });
}

void WorkOrder::Queue(WorkQueue& queue, std::unique_ptr<Work> work) {
  Release(work->sync);
  queue.work.push_back(std::move(work));
  Drift();
}

void WorkOrder::Add(WorkQueue& queue, std::function<void()> run) {
  auto work = std::make_unique<Work>();
  work->run = std::move(run);
  Queue(queue, std::move(work));
}

void WorkOrder::AddRecord(WorkQueue& queue, std::shared_ptr<EventState> event) {
  const uint64_t count = ++event->recorded;
  Add(queue, [event = std::move(event), count] {
    event->done = count;
    Release(event->sync);
    const Unseen unseen;  // the call looks written to TSan, on the stack of who waits
    event->when = std::chrono::steady_clock::now();
  });
}

void WorkOrder::AddWait(WorkQueue& queue, std::shared_ptr<EventState> event) {
  auto work = std::make_unique<Work>();
  work->run = [event] { Acquire(event->sync); };
  work->count = event->recorded;
  work->awaited = std::move(event);
  Queue(queue, std::move(work));
}

bool WorkOrder::Step() {
  std::vector<WorkQueue*> ready;
  for (const auto& queue : queues_) {
    if (queue->IsReady()) ready.push_back(queue.get());
  }
  if (ready.empty()) return false;
  WorkQueue& queue = *ready[random_ ? (*random_)() % ready.size() : 0];
  std::unique_ptr<Work> work = std::move(queue.work.front());
  queue.work.pop_front();
  void* const caller = RunningActor();
  BecomeActor(queue.actor);
  Acquire(work->sync);
  work->run();
  work.reset();  // here, where what the work did has been seen
  Release(queue.sync);
  BecomeActor(caller);
  return true;
}

void WorkOrder::Drift() {
  uint64_t steps = random_ ? (*random_)() % 3 : ~uint64_t{0};
  while (steps-- > 0 && Step()) {
  }
}

// An event that is waited for was recorded before, so some queue can always go on.
void WorkOrder::Finish(WorkQueue& queue) {
  while (!queue.work.empty()) KEDGE_CHECK(Step());
  Acquire(queue.sync);
}

void WorkOrder::Finish(EventState& event) {
  while (!event.IsDone()) KEDGE_CHECK(Step());
  Acquire(event.sync);
}

void WorkOrder::FinishAll() {
  while (Step()) {
  }
  for (const auto& queue : queues_) Acquire(queue->sync);
}

}  // namespace kedge::cuda::emulated
