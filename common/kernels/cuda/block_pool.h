// Memory that work in streams uses for a while, and then other work.
#ifndef KEDGE_COMMON_KERNELS_CUDA_BLOCK_POOL_H_
#define KEDGE_COMMON_KERNELS_CUDA_BLOCK_POOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "common/kernels/cuda/runtime.h"

namespace kedge::cuda {

// A block out of a pool. Its holder says until when work uses it; it is given out again when nobody holds it and that
// work is done. Thread-compatible.
class Block {
 public:
  explicit Block(std::unique_ptr<Memory> memory) : memory_(std::move(memory)) {}

  uint8_t* data() const { return memory_->data(); }
  size_t bytes() const { return memory_->bytes(); }
  // What was recorded last ends the last work that uses the block.
  void UsedUntil(std::shared_ptr<Event> event) { last_use_ = std::move(event); }
  bool IsFree() const;
  absl::Status WaitUntilFree() const;

 private:
  const std::unique_ptr<Memory> memory_;
  std::shared_ptr<Event> last_use_;  // null: none
};

// Pinning and allocating make a device wait, so blocks are kept: as many as were used at once. Thread-safe. Blocks may
// outlive the pool.
class BlockPool {
 public:
  using Allocate = std::function<absl::StatusOr<std::unique_ptr<Memory>>(size_t bytes)>;
  explicit BlockPool(Allocate allocate) : state_(std::make_shared<State>(std::move(allocate))) {}

  // Of at least so many bytes. Where no more memory can be had, waits for work that uses a block that nobody holds;
  // kResourceExhausted if there is none.
  absl::StatusOr<std::shared_ptr<Block>> Take(size_t bytes);
  // Whether the bytes lie in a block of the pool.
  bool Holds(const uint8_t* data, size_t bytes) const;

 private:
  struct State {
    explicit State(Allocate allocate) : allocate(std::move(allocate)) {}
    // A block of this size that nobody holds; null: none of those that have been unused for longest is free.
    std::unique_ptr<Block> TakeFree(size_t size);
    // The largest, whatever its work; null: there is none.
    std::unique_ptr<Block> TakeLargest();

    const Allocate allocate;
    std::mutex mutex;  // not Abseil's, which TSan does not see through
    std::multimap<size_t, std::unique_ptr<Block>> unused;  // by size; their work may still go on
    std::map<const uint8_t*, size_t> all;
  };
  const std::shared_ptr<State> state_;
};

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_BLOCK_POOL_H_
