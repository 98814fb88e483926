// How much of messages that are not complete yet all connections of a process have sent, and which of them has the most.
#ifndef KEDGE_COMMON_RPC_UNREAD_BYTES_H_
#define KEDGE_COMMON_RPC_UNREAD_BYTES_H_

#include <atomic>
#include <cstdint>

namespace kedge {

// One bound for all connections. Thread-safe.
class UnreadBytes {
 public:
  explicit UnreadBytes(uint64_t limit) : limit_(limit) {}
  UnreadBytes(const UnreadBytes&) = delete;
  UnreadBytes& operator=(const UnreadBytes&) = delete;

  // One connection's part of them. Thread-safe. `all` must outlive it.
  class Share {
   public:
    explicit Share(UnreadBytes* all) : all_(all) {}
    ~Share() { Set(0); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // From now on it is so many.
    void Set(uint64_t bytes);
    // Whether all together are beyond the limit, and these are at least as many as the others have on average.
    bool IsTooMuch() const;

   private:
    UnreadBytes* const all_;
    std::atomic<uint64_t> bytes_ = 0;
  };

  uint64_t total() const { return total_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> total_ = 0;
  std::atomic<uint64_t> shares_ = 0;  // that are not 0
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_UNREAD_BYTES_H_
