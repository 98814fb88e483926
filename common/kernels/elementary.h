// Elementary functions in double with the same bits on every machine and with every C library: additions, products and
// fused multiply-adds only. They make the tables of rotary embeddings, which are part of the bit contract.
#ifndef KEDGE_COMMON_KERNELS_ELEMENTARY_H_
#define KEDGE_COMMON_KERNELS_ELEMENTARY_H_

#include "absl/types/span.h"

namespace kedge {

// Within 2 units in the last place of the true value. e^x is 0 below -700 and infinite above 709.
double ExpDouble(double x);
// x = e^x for each of many numbers, for x <= 0; below -700 as at -700. Within 2e-15 of the value. Products and sums
// alone, so that a compiler may take several numbers at a time; the same bits with whatever instructions it takes them.
void ExpEach(absl::Span<double> x);
// REQUIRES: x is positive, finite and normal.
double LogDouble(double x);

// Within 1e-15 of the true values. REQUIRES: |angle| < 1e9.
struct SinCos {
  double sin;
  double cos;
};
SinCos SinCosDouble(double angle);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_ELEMENTARY_H_
