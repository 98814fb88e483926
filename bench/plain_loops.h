// The loops that limits are measured with, one for each instruction set.
#ifndef KEDGE_BENCH_PLAIN_LOOPS_H_
#define KEDGE_BENCH_PLAIN_LOOPS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kedge {

// Multiply-adds from registers: operands are there already, and enough sums are under way to hide their latency.
struct MultiplyLoop {
  const char* instruction;
  bool (*is_available)();  // on this processor; may ask the kernel for what a process must ask for
  void (*run)(uint64_t rounds);
  uint64_t products;  // of one round
};

// Best first; the last one runs anywhere.
const std::vector<MultiplyLoop>& Int8Loops();
const std::vector<MultiplyLoop>& FloatLoops();

// Reads all of it once. Returns the bits that are set anywhere, so that no read can be left out. REQUIRES: 64 divides
// the address, kReadUnit the size.
inline constexpr size_t kReadUnit = 512;
uint64_t ReadOnce(const uint8_t* data, size_t bytes);

}  // namespace kedge

#endif  // KEDGE_BENCH_PLAIN_LOOPS_H_
