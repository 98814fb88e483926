#include "common/rpc/header_meter.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

const std::string kBegin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum Type { kData = 0, kHeaders = 1, kSettings = 4, kContinuation = 9 };

std::string Frame(Type type, size_t size, char fill = '\xff') {
  std::string frame = {static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size),
                       static_cast<char>(type), 0, 0, 0, 0, 1};
  return frame + std::string(size, fill);
}

// Returns after how many bytes the meter says no; 0: it does not. Given `step` bytes at a time.
size_t RefusedAfter(const std::string& text, size_t step) {
  HeaderMeter meter;
  size_t refused = 0;
  for (size_t i = 0; i < text.size(); i += step) {
    const std::string part = text.substr(i, step);
    const bool ok = meter.Add(part.data(), part.size());
    if (!ok && refused == 0) refused = i + part.size();
    EXPECT_EQ(ok, refused == 0) << "once refused, refused for ever";
  }
  return refused;
}

TEST(HeaderMeterTest, TakesManyRequestsOfAnySize) {
  std::string text = kBegin + Frame(kSettings, 0);
  for (int i = 0; i < 20; ++i) {
    text += Frame(kHeaders, 16384) + Frame(kContinuation, 16384) + Frame(kData, 1 << 20, '\x09') + Frame(kData, 0);
  }
  for (const size_t step : {1, 9, 8192, 1 << 30}) EXPECT_EQ(RefusedAfter(text, step), 0u) << step;
}

TEST(HeaderMeterTest, RefusesABlockAsSoonAsItsFramesSaySo) {
  const std::string most = kBegin + Frame(kHeaders, 1000) + Frame(kHeaders, 16384) + Frame(kContinuation, 16384) +
                           Frame(kContinuation, 16384) + Frame(kContinuation, 16384);
  for (const size_t step : {1, 7, 4096}) {
    EXPECT_EQ(RefusedAfter(most, step), 0u) << step;
    EXPECT_EQ(RefusedAfter(most + Frame(kContinuation, 1), 1), most.size() + 9) << step;
  }
  EXPECT_EQ(RefusedAfter(kBegin + Frame(kHeaders, (64 << 10) + 1), 1), kBegin.size() + 9);
}

TEST(HeaderMeterTest, RefusesABlockOfManyFrames) {
  std::string text = kBegin + Frame(kHeaders, 1);
  for (uint32_t i = 1; i < HeaderMeter::kMostFrames; ++i) text += Frame(kContinuation, i % 2);
  EXPECT_EQ(RefusedAfter(text, 5), 0u);
  EXPECT_NE(RefusedAfter(text + Frame(kContinuation, 0), 5), 0u);
}

}  // namespace
}  // namespace kedge
