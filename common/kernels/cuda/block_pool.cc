// Tested by block_pool_test.cc.
#include "common/kernels/cuda/block_pool.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/base/status.h"

namespace kedge::cuda {

bool Block::IsFree() const {
  if (last_use_ == nullptr) return true;
  const absl::StatusOr<bool> done = last_use_->IsDone();
  return done.ok() && *done;
}

absl::StatusOr<std::shared_ptr<Block>> BlockPool::Take(size_t bytes) {
  constexpr size_t kLeast = 4096;
  const size_t size = std::bit_ceil(std::max(bytes, kLeast));
  std::unique_ptr<Block> block;
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    const auto [begin, end] = state_->unused.equal_range(size);
    const auto free = std::find_if(begin, end, [](const auto& entry) { return entry.second->IsFree(); });
    if (free != end) {
      block = std::move(free->second);
      state_->unused.erase(free);
    }
  }
  if (block == nullptr) {
    KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<Memory> memory, state_->allocate(size));
    block = std::make_unique<Block>(std::move(memory));
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->all[block->data()] = size;
  }
  return std::shared_ptr<Block>(block.release(), [state = state_, size](Block* returned) {
    const std::lock_guard<std::mutex> lock(state->mutex);
    state->unused.emplace(size, returned);
  });
}

bool BlockPool::Holds(const uint8_t* data, size_t bytes) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  auto it = state_->all.upper_bound(data);
  if (it == state_->all.begin()) return false;
  --it;
  return data + bytes <= it->first + it->second;
}

}  // namespace kedge::cuda
