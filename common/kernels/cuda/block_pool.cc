// Tested by block_pool_test.cc.
#include "common/kernels/cuda/block_pool.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "common/base/status.h"

namespace kedge::cuda {

bool Block::IsFree() const {
  if (last_use_ == nullptr) return true;
  const absl::StatusOr<bool> done = last_use_->IsDone();
  return done.ok() && *done;
}

absl::Status Block::WaitUntilFree() const { return last_use_ == nullptr ? absl::OkStatus() : last_use_->Wait(); }

std::unique_ptr<Block> BlockPool::State::TakeFree(size_t size) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto [begin, end] = unused.equal_range(size);
  int asked = 0;  // a question to the device each: with many copies under way most are busy
  for (auto it = begin; it != end && asked < 4; ++it, ++asked) {
    if (!it->second->IsFree()) continue;
    std::unique_ptr<Block> block = std::move(it->second);
    unused.erase(it);
    return block;
  }
  return nullptr;
}

std::unique_ptr<Block> BlockPool::State::TakeLargest() {
  const std::lock_guard<std::mutex> lock(mutex);
  if (unused.empty()) return nullptr;
  const auto last = std::prev(unused.end());
  std::unique_ptr<Block> block = std::move(last->second);
  unused.erase(last);
  all.erase(block->data());
  return block;
}

absl::StatusOr<std::shared_ptr<Block>> BlockPool::Take(size_t bytes) {
  constexpr size_t kLeast = 4096;
  const size_t size = std::bit_ceil(std::max(bytes, kLeast));
  std::unique_ptr<Block> block = state_->TakeFree(size);
  while (block == nullptr) {
    absl::StatusOr<std::unique_ptr<Memory>> memory = state_->allocate(size);
    if (memory.ok()) {
      block = std::make_unique<Block>(*std::move(memory));
      const std::lock_guard<std::mutex> lock(state_->mutex);
      state_->all[block->data()] = size;
      break;
    }
    if (!absl::IsResourceExhausted(memory.status())) return memory.status();
    // Gives memory back, block by block, until there is enough or nothing is left.
    const std::unique_ptr<Block> largest = state_->TakeLargest();
    if (largest == nullptr) return memory.status();
    KEDGE_RETURN_IF_ERROR(largest->WaitUntilFree());
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
