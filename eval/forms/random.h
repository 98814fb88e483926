// Random numbers that are the same on every machine, which the standard library's distributions are not.
#ifndef KEDGE_EVAL_FORMS_RANDOM_H_
#define KEDGE_EVAL_FORMS_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace kedge {

// SplitMix64 (Steele, Lea and Flood 2014). Owned by one thread.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t Below(size_t bound) { return Next() % bound; }
  // The numbers 0 .. bound - 1, shuffled.
  std::vector<size_t> Order(size_t bound) {
    std::vector<size_t> order(bound);
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t i = bound; i > 1; --i) std::swap(order[i - 1], order[Below(i)]);
    return order;
  }

 private:
  uint64_t state_;
};

}  // namespace kedge

#endif  // KEDGE_EVAL_FORMS_RANDOM_H_
