// The exp of draws has the bits of ExpEach. (That of floats: all of its users' tests.)
#include "common/kernels/cuda/exp.h"

#include <cstring>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/test_device.h"
#include "common/kernels/elementary.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

__global__ void ExpOf(const double* x, double* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = ExpDouble(x[i]);
}

TEST(Exp, DoublesAreThoseOfTheHost) {
  std::mt19937 random(1);
  std::vector<double> x = {0, -0.0, -1e-300, -700, -701, -1e300};
  while (x.size() < 64 * 64) x.push_back(-std::exponential_distribution<double>(random() % 2 ? 0.1 : 0.005)(random));
  TestDevice device(std::nullopt);
  double* out = device.New<double>(x.size());
  ASSERT_TRUE(Launch(device.stream(), {.grid = {64}, .block = {64}}, ExpOf, device.Upload(x), out).ok());
  const std::vector<double> exps = device.Download(out, x.size());
  ExpEach(absl::MakeSpan(x));
  EXPECT_EQ(std::memcmp(exps.data(), x.data(), x.size() * sizeof(double)), 0);
}

}  // namespace
}  // namespace kedge::cuda
