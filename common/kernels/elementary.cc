// Each function reduces its argument to a small interval and sums a Taylor series there: no table, and terms until the
// next one is below the precision of a double. Constants are split in two so that the reduction itself does not round.
// std::fma, floor, ldexp and frexp are exactly defined by IEEE 754, whoever implements them.
// Tested by elementary_test.cc.
#include "common/kernels/elementary.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kedge {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;
constexpr double kLn2Low = 2.3190468138462996e-17;  // ln 2 - kLn2
constexpr double kTwoOverPi = 0.6366197723675814;
constexpr double kHalfPi = 1.5707963267948966;
constexpr double kHalfPiLow = 6.123233995736766e-17;  // pi / 2 - kHalfPi

// Inlined into functions for several sets of instructions, which all give the same bits: there is nothing here that a
// compiler may fuse (-ffp-contract=off) or take in another order.
[[gnu::always_inline]] inline void ExpOfEach(double* x, size_t size) {
  constexpr double kRoundToInteger = 6755399441055744.0;   // 1.5 * 2^52: adding it leaves an integer in the low bits
  constexpr double kLn2High = 6.93147180369123816490e-01;  // 33 bits: n * kLn2High is exact
  constexpr double kLn2Rest = 1.90821492927058770002e-10;
  constexpr double kCoefficients[] = {
      1,         1,          1. / 2,      1. / 6,       1. / 24,       1. / 120,      1. / 720,
      1. / 5040, 1. / 40320, 1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600};
  const auto exp = [&](double value) {
    value = value < -700 ? -700 : value;
    const double shifted = value * kLog2E + kRoundToInteger;
    const double n = shifted - kRoundToInteger;
    const double r = (value - n * kLn2High) - n * kLn2Rest;
    double sum = kCoefficients[12];
    for (int k = 11; k >= 0; --k) sum = sum * r + kCoefficients[k];
    const uint64_t two_to_n = (std::bit_cast<uint64_t>(shifted) << 52) + 0x3ff0000000000000u;  // the bits of 2^n
    return sum * std::bit_cast<double>(two_to_n);
  };
  constexpr size_t kAtOnce = 16;  // of fixed length, so that the inner loop becomes vectors
  size_t i = 0;
  for (; i + kAtOnce <= size; i += kAtOnce) {
    for (size_t k = 0; k < kAtOnce; ++k) x[i + k] = exp(x[i + k]);
  }
  for (; i < size; ++i) x[i] = exp(x[i]);
}

void ExpPlain(double* x, size_t size) { ExpOfEach(x, size); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) void ExpAvx2(double* x, size_t size) { ExpOfEach(x, size); }
__attribute__((target("avx512f,avx512dq,prefer-vector-width=512"))) void ExpAvx512(double* x, size_t size) {
  ExpOfEach(x, size);
}
#endif

void (*BestExp())(double*, size_t) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return ExpAvx512;
  if (__builtin_cpu_supports("avx2")) return ExpAvx2;
#endif
  return ExpPlain;
}

}  // namespace

double ExpDouble(double x) {
  if (x < -700) return 0;
  if (x > 709) return std::numeric_limits<double>::infinity();
  const double n = std::floor(std::fma(x, kLog2E, 0.5));
  const double r = std::fma(-n, kLn2Low, std::fma(-n, kLn2, x));  // |r| <= ln(2) / 2
  double sum = 1;
  for (int k = 15; k >= 1; --k) sum = std::fma(sum, r / k, 1.0);  // 1 + r/1 (1 + r/2 (1 + ...))
  return std::ldexp(sum, static_cast<int>(n));
}

void ExpEach(absl::Span<double> x) {
  static void (*const exp)(double*, size_t) = BestExp();
  exp(x.data(), x.size());
}

double LogDouble(double x) {
  int exponent;
  double m = std::frexp(x, &exponent);  // in [0.5, 1)
  if (m < 0.7071067811865476) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1);  // log m = 2 artanh(s), |s| < 0.172
  const double s2 = s * s;
  double sum = 0;
  for (int k = 23; k >= 3; k -= 2) sum = std::fma(sum, s2, 1.0 / k);
  const double log_m = std::fma(2 * s * s2, sum, 2 * s);
  return std::fma(exponent, kLn2, std::fma(exponent, kLn2Low, log_m));
}

SinCos SinCosDouble(double angle) {
  const double n = std::floor(std::fma(angle, kTwoOverPi, 0.5));
  const double r = std::fma(-n, kHalfPiLow, std::fma(-n, kHalfPi, angle));  // |r| <= pi / 4
  const double minus_r2 = -r * r;
  double sin = 1;
  double cos = 1;
  for (int k = 18; k >= 2; k -= 2) {
    sin = std::fma(sin, minus_r2 / (k * (k + 1)), 1.0);
    cos = std::fma(cos, minus_r2 / (k * (k - 1)), 1.0);
  }
  sin *= r;
  switch (static_cast<long long>(n) & 3) {
    case 0:
      return {sin, cos};
    case 1:
      return {cos, -sin};
    case 2:
      return {-sin, -cos};
    default:
      return {-cos, sin};
  }
}

}  // namespace kedge
