// In which order queued work is done: a stream's in turn, and what waits for an event behind it. Everything else is the
// device's choice, and here the seed's.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_WORK_ORDER_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_WORK_ORDER_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace kedge::cuda::emulated {

struct EventState {
  bool IsDone() const { return done >= recorded; }

  uint64_t recorded = 0, done = 0;  // how often
  std::chrono::steady_clock::time_point when;
  char sync = 0;  // for TSan
};

struct WorkQueue;

// Without a seed, work is done as soon as it is added. With one, it is done when somebody waits, or now and then, in an
// order drawn from the seed. Work is done on the thread that adds or waits. Thread-compatible.
class WorkOrder {
 public:
  explicit WorkOrder(std::optional<uint64_t> seed);
  ~WorkOrder();

  WorkQueue* NewQueue();
  void DeleteQueue(WorkQueue* queue);  // REQUIRES: Finish(queue)

  void Add(WorkQueue& queue, std::function<void()> run);
  void AddRecord(WorkQueue& queue, std::shared_ptr<EventState> event);
  // What is added from now on waits for the last record of the event.
  void AddWait(WorkQueue& queue, std::shared_ptr<EventState> event);

  // Work is done until that of the queue, in front of the event, or all, is.
  void Finish(WorkQueue& queue);
  void Finish(EventState& event);
  void FinishAll();
  // Does what the device might have done by now.
  void Drift();

 private:
  struct Work;
  void Queue(WorkQueue& queue, std::unique_ptr<Work> work);
  // Does one piece of work that may be done. False if there is none.
  bool Step();

  std::optional<std::mt19937_64> random_;
  std::vector<std::unique_ptr<WorkQueue>> queues_;

  friend struct WorkQueue;
};

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_WORK_ORDER_H_
