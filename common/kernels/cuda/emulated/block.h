// The block of threads that runs: what its threads share, and where they wait for each other. For the files of this
// folder; kernels see what stand_in/ and device.h declare.
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_BLOCK_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/kernels/cuda/emulated/fiber.h"
#include "common/kernels/cuda/emulated/guarded_memory.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/emulated/stand_in/cuda_runtime.h"

namespace kedge::cuda::emulated {

// Two addresses for TSan, used in turn: a thread that is late must not be ordered behind what others did since.
struct Turns {
  char& At(uint32_t generation) { return sync[generation % 2]; }
  char sync[2] = {};
};

// Copies of 16 bytes by a thread, done when it waits for them.
struct AsyncCopy {
  void* to;
  const void* from;
  uint32_t value[4];  // of `from` when the copy was asked for
  uint32_t group;
};

struct Thread;

// Threads that wait for the same: a list.
struct Waiters {
  Thread* first = nullptr;
};

struct Thread {
  explicit Thread(void (*entry)()) : fiber(entry) {}

  Fiber fiber;
  uint3 index{};
  int lane = 0, warp = 0;
  uint32_t turn = 0;  // its place in the block's order
  bool waited_for_previous = false;
  const char* where = nullptr;  // it waits; or nullptr
  Thread* next = nullptr;       // of those that wait for the same
  std::vector<AsyncCopy> copies;
  uint32_t copy_group = 0;
};

// Where all threads of a block meet.
struct BlockBarrier {
  uint32_t generation = 0, arrived = 0;
  int yes[2] = {};  // how many came with a true predicate
  Waiters waiters;
  Turns turns;
};

// What a lane brings to a meeting of its warp.
struct Offer {
  uint32_t words[8];
};
// What who completes a meeting does for all, on the offers of those who came.
using Conclusion = void (*)(Offer (&offers)[32], uint32_t present);

// Where the lanes of one mask meet.
struct Meeting {
  explicit Meeting(uint32_t mask) : mask(mask) {}

  const uint32_t mask;
  uint32_t generation = 0, arrived = 0;
  const char* what = nullptr;
  Conclusion conclusion = nullptr;
  // Of this generation and the one before, which lanes may still read. All ones of who did not come.
  Offer offers[2][32];
  uint32_t present[2] = {};
  Waiters waiters;
  Turns turns;
};

struct Warp {
  uint32_t live = 0;  // lanes that have not ended
  std::vector<std::unique_ptr<Meeting>> meetings;
};

// A barrier in shared memory (mbarrier): phases that end when as many arrived, and as many bytes came, as were named.
struct PhaseBarrier {
  uint32_t phase = 0, expected = 0, pending = 0;
  int64_t bytes = 0;
  Waiters waiters;
  Turns turns;
};

// A copy by nobody's thread, which reports to a barrier. It is done when all threads wait: as late as can be.
struct BulkCopy {
  void* to;
  const void* from;
  uint32_t bytes;
  PhaseBarrier* barrier;
  char sync = 0;
};

// One is used again and again, so it may have more threads than the block that runs.
struct Block {
  Block() : copier(NewActor()) {}
  ~Block() { DeleteActor(copier); }

  std::optional<GuardedMemory> shared;
  Fiber scheduler;
  std::deque<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Thread*> turns;    // in which order threads run
  std::vector<uint64_t> ready;   // a bit for each turn: whether its thread has not ended and does not wait
  BlockBarrier barrier;
  uint32_t live = 0;  // threads that have not ended
  std::unordered_map<const void*, PhaseBarrier> phase_barriers;
  std::list<BulkCopy> bulk_copies;  // which do not move: `sync` is an address
  void* const copier;               // the actor that makes them
};

extern __thread Block* running_block;
extern __thread Thread* running_thread;
inline Block& RunningBlock() { return *running_block; }
inline Thread& RunningThread() { return *running_thread; }

// Ends the program with this text and who runs. For mistakes of kernels.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void Fail(const char* format, ...);

// Lets other threads run until somebody wakes those who wait there. `where` is for the report of a deadlock.
void Wait(Waiters& waiters, const char* where);
void Wake(Waiters& waiters);

// Returns when all lanes of the mask that have not ended have come to `what`; the meeting's offers of the generation
// that is returned may be read until the thread's next call with this mask.
struct Met {
  const Offer* offers;  // [32]
  uint32_t present;
};
enum class Ordering { kNone, kMemory };
Met Meet(uint32_t mask, const char* what, const Offer& offer, Ordering ordering, Conclusion conclusion = nullptr);

// After a thread came or ended: lets those go who have waited for it only.
void OpenIfComplete(Block& block, BlockBarrier& barrier);
void OpenIfComplete(const Warp& warp, Meeting& meeting);
void OpenIfComplete(PhaseBarrier& barrier);

}  // namespace kedge::cuda::emulated

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_BLOCK_H_
