#include "common/model/key_shift.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::ElementsAre;

// Two heads of four turned dimensions and two that are not. The first pair turns by 10 radians over the context, the
// second one by half a radian.
TEST(KeyShiftTest, TakesOffWhatIsNearlyTheSameInEveryKey) {
  const RopeTable table = {.inverse_frequencies = {0.1f, 0.005f}, .magnitude = 2};
  const std::vector<float> bias = {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60};
  EXPECT_THAT(KeyShift(bias, table, 6, 100), ElementsAre(0, 0, -6, -8, -5, -6, 0, 0, -60, -80, -50, -60));
  EXPECT_THAT(KeyShift(bias, table, 6, 10), ElementsAre(-2, -4, -6, -8, -5, -6, -20, -40, -60, -80, -50, -60));
  EXPECT_THAT(KeyShift({}, table, 6, 10), ElementsAre());
}

}  // namespace
}  // namespace kedge
