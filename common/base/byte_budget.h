// One budget of bytes for what a process holds of what others sent it, and of what they have not taken yet.
#ifndef KEDGE_COMMON_BASE_BYTE_BUDGET_H_
#define KEDGE_COMMON_BASE_BYTE_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kedge {

// New work is admitted while at most 80 % are held; the rest is for what was admitted, which may grow. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t limit) : limit_(limit) {}
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  // So many bytes of the budget, until it dies. Move-only; owned by one thread. The budget must outlive it.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept;
    ~Hold();

    // Holds `bytes` from now on, more or less than before. kResourceExhausted, reason MEMORY_FULL, and as before: there
    // are not so many.
    absl::Status Resize(uint64_t bytes);
    uint64_t bytes() const { return bytes_; }

   private:
    friend class ByteBudget;
    Hold(ByteBudget* budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {}

    ByteBudget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // kResourceExhausted, reason MEMORY_FULL: come back later.
  absl::StatusOr<Hold> Admit(uint64_t bytes);

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }

 private:
  bool Take(uint64_t bytes, uint64_t limit);
  absl::Status Full(uint64_t bytes) const;

  const uint64_t limit_;
  std::atomic<uint64_t> used_ = 0;  // a count that orders nothing else: relaxed
};

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_BYTE_BUDGET_H_
