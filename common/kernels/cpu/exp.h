// e^x in float, the same bits in scalar and vector code: the constants, and the scalar function that the vector code
// follows operation by operation.
#ifndef KEDGE_COMMON_KERNELS_CPU_EXP_H_
#define KEDGE_COMMON_KERNELS_CPU_EXP_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace kedge::exp_constants {

inline constexpr float kLowest = -87.3f;  // e^x stays a normal number
inline constexpr float kHighest = 88.0f;  // and finite
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693359375f;        // 9 bits: n * kLn2High is exact
inline constexpr float kLn2Low = -2.12194440e-4f;      // ln 2 - kLn2High
inline constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
// Taylor coefficients 1/k!; |r| <= ln(2) / 2, so the first one left out is below 2^-27.
inline constexpr float kCoefficient[8] = {1.0f,      1.0f,       1.0f / 2,   1.0f / 6,
                                          1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};

}  // namespace kedge::exp_constants

namespace kedge {

// Within 2 units in the last place for x in [-87.3, 88]; outside as at those ends. NaN for NaN.
inline float ExpFloat(float x) {
  namespace c = exp_constants;
  x = c::kLowest > x ? c::kLowest : x;    // written like the vector instructions, which return the second operand
  x = c::kHighest < x ? c::kHighest : x;  // where one is NaN
  const float shifted = std::fma(x, c::kLog2E, c::kRoundToInteger);
  const float n = shifted - c::kRoundToInteger;
  float r = std::fma(-n, c::kLn2High, x);
  r = std::fma(-n, c::kLn2Low, r);
  float sum = c::kCoefficient[7];
  for (int k = 6; k >= 0; --k) sum = std::fma(sum, r, c::kCoefficient[k]);
  const uint32_t two_to_n = (std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u;  // the bits of 2^n
  return sum * std::bit_cast<float>(two_to_n);
}

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_EXP_H_
