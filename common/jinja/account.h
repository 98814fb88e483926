// What one rendering has used of its limits.
#ifndef KEDGE_COMMON_JINJA_ACCOUNT_H_
#define KEDGE_COMMON_JINJA_ACCOUNT_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace kedge::jinja {

// What a rendering may use; what goes beyond is kResourceExhausted and names the limit.
struct Limits {
  int64_t steps = 10'000'000;       // expressions, statements, items and pieces of 256 bytes that are read or made
  size_t output_bytes = 64 << 20;   // of the rendered text
  size_t memory_bytes = 256 << 20;  // of all the strings, lists and dicts that it holds at a time
  int depth = 1000;                 // of expressions, blocks and macros within each other
};

// Counts them for one rendering; owned by it, used by one thread. Strings, lists and dicts that are made on an account
// give their bytes back when they end, so it must outlive them.
class Account {
 public:
  explicit Account(const Limits& limits) : limits_(limits) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  // kResourceExhausted when there are no `steps` left.
  absl::Status Step(int64_t steps = 1);
  // For work that grows with `bytes` of text.
  absl::Status StepBytes(size_t bytes) { return Step(static_cast<int64_t>(bytes / 256)); }

  // Takes `bytes` of memory; kResourceExhausted, and nothing is taken, when they are not there.
  absl::Status Take(size_t bytes);
  // The same, but nothing is taken: for work that would use them up before it is done.
  absl::Status Check(size_t bytes) const;
  void GiveBack(size_t bytes) { held_ -= bytes; }

  const Limits& limits() const { return limits_; }
  int64_t steps() const { return steps_; }  // taken so far

 private:
  const Limits limits_;
  int64_t steps_ = 0;
  size_t held_ = 0;
};

// Bytes that were taken from an account, given back when this ends. Movable.
class Holding {
 public:
  Holding() = default;
  Holding(Account* account, size_t bytes) : account_(account), bytes_(bytes) {}
  Holding(Holding&& other) noexcept : account_(other.account_), bytes_(other.bytes_) { other.account_ = nullptr; }
  Holding& operator=(Holding&& other) noexcept {
    Release();
    account_ = other.account_;
    bytes_ = other.bytes_;
    other.account_ = nullptr;
    return *this;
  }
  ~Holding() { Release(); }

 private:
  void Release() {
    if (account_ != nullptr) account_->GiveBack(bytes_);
    account_ = nullptr;
  }
  Account* account_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_ACCOUNT_H_
