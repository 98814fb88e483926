// What this machine can do at best, measured: the plain loops beside which figures are told as shares.
#ifndef KEDGE_BENCH_LIMITS_H_
#define KEDGE_BENCH_LIMITS_H_

#include <cstddef>
#include <string>

namespace kedge {

// Rates per second, of all threads together.
struct Limits {
  double read_bytes = 0;         // reading a buffer from one end to the other, again and again
  double int8_products = 0;      // multiply-adds of int8 into int32, from registers
  double float_products = 0;     // fused multiply-adds of floats, from registers
  std::string int8_instruction;  // that the loop used: the best that this processor has
  std::string float_instruction;
};

// The best of several short passes each; less than a second in all. `read_buffer`: bytes of the buffer that is read;
// take the weights' size, as a small one lies in caches.
Limits MeasureLimits(int threads, size_t read_buffer);

}  // namespace kedge

#endif  // KEDGE_BENCH_LIMITS_H_
