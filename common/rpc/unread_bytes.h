// How much of messages that are not complete yet all connections of a process have sent, and which of them has too
// much.
#ifndef KEDGE_COMMON_RPC_UNREAD_BYTES_H_
#define KEDGE_COMMON_RPC_UNREAD_BYTES_H_

#include <atomic>
#include <cstdint>

namespace kedge {

// One bound for all connections. Beyond it whoever has the limit's part for one of them, or more, has too much: there
// always is somebody. Who is never judged, because no more comes, keeps what it had: n connections that stop just below
// their part one after the other have the limit times 1 + 1/2 + ... + 1/n. Thread-safe.
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
    // Whether all together are beyond the limit, and these are their part of it or more.
    bool IsTooMuch() const;

   private:
    UnreadBytes* const all_;
    std::atomic<uint64_t> bytes_ = 0;
  };

  uint64_t limit() const { return limit_; }
  uint64_t total() const { return total_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> total_ = 0;
  std::atomic<uint64_t> shares_ = 0;  // that are not 0
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_UNREAD_BYTES_H_
