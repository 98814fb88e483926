#include "common/rpc/frame_meter.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

const std::string kBegin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum Type { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kContinuation = 9 };

std::string Frame(Type type, const std::string& payload, char stream = 1, char flags = 0) {
  const size_t size = payload.size();
  const std::string frame = {static_cast<char>(size >> 16),
                             static_cast<char>(size >> 8),
                             static_cast<char>(size),
                             static_cast<char>(type),
                             flags,
                             0,
                             0,
                             0,
                             stream};
  return frame + payload;
}

std::string Frame(Type type, size_t size, char fill = '\xff') { return Frame(type, std::string(size, fill)); }

// A message's prefix, and so many bytes of it.
std::string Message(uint32_t length, size_t there, char flag = 0) {
  const std::string prefix = {flag, static_cast<char>(length >> 24), static_cast<char>(length >> 16),
                              static_cast<char>(length >> 8), static_cast<char>(length)};
  return prefix + std::string(there, '\xff');
}

// Returns after how many bytes the meter says no; 0: it does not. Given `step` bytes at a time.
size_t RefusedAfter(const std::string& text, size_t step) {
  FrameMeter meter;
  size_t refused = 0;
  for (size_t i = 0; i < text.size(); i += step) {
    const std::string part = text.substr(i, step);
    const bool ok = meter.Add(part.data(), part.size()) == FrameMeter::Excess::kNone;
    if (!ok && refused == 0) refused = i + part.size();
    EXPECT_EQ(ok, refused == 0) << "once refused, refused for ever";
  }
  return refused;
}

TEST(FrameMeterTest, TakesManyRequestsOfAnySize) {
  std::string text = kBegin + Frame(kSettings, 0);
  for (int i = 0; i < 20; ++i) {
    text += Frame(kHeaders, 16384) + Frame(kContinuation, 16384) + Frame(kData, Message((1 << 20), 1 << 20)) +
            Frame(kData, 0);
  }
  for (const size_t step : {1, 9, 8192, 1 << 30}) EXPECT_EQ(RefusedAfter(text, step), 0u) << step;
}

TEST(FrameMeterTest, RefusesABlockAsSoonAsItsFramesSaySo) {
  const std::string most = kBegin + Frame(kHeaders, 1000) + Frame(kHeaders, 16384) + Frame(kContinuation, 16384) +
                           Frame(kContinuation, 16384) + Frame(kContinuation, 16384);
  for (const size_t step : {1, 7, 4096}) {
    EXPECT_EQ(RefusedAfter(most, step), 0u) << step;
    EXPECT_EQ(RefusedAfter(most + Frame(kContinuation, 1), 1), most.size() + 9) << step;
  }
  EXPECT_EQ(RefusedAfter(kBegin + Frame(kHeaders, (64 << 10) + 1), 1), kBegin.size() + 9);
}

TEST(FrameMeterTest, RefusesABlockOfManyFrames) {
  std::string text = kBegin + Frame(kHeaders, 1);
  for (uint32_t i = 1; i < FrameMeter::kMostHeaderFrames; ++i) text += Frame(kContinuation, i % 2);
  EXPECT_EQ(RefusedAfter(text, 5), 0u);
  EXPECT_NE(RefusedAfter(text + Frame(kContinuation, 0), 5), 0u);
}

TEST(FrameMeterTest, RefusesAMessageAsSoonAsItsLengthIsThere) {
  const uint32_t most = FrameMeter::kMostMessage;
  const std::string before = kBegin + Frame(kHeaders, 100);
  for (const size_t step : {1, 3, 4096}) {
    EXPECT_EQ(RefusedAfter(before + Frame(kData, Message(most, 1000)) + Frame(kData, 16384), step), 0u) << step;
    EXPECT_NE(RefusedAfter(before + Frame(kData, Message(most + 1, 1000)), step), 0u) << step;
  }
  EXPECT_EQ(RefusedAfter(before + Frame(kData, Message(most + 1, 1000)), 1), before.size() + 9 + 5);
  EXPECT_EQ(RefusedAfter(before + Frame(kData, Message(UINT32_MAX, 0)), 1), before.size() + 9 + 5);
  FrameMeter meter;
  const std::string text = before + Frame(kData, Message(most + 1, 0));
  EXPECT_EQ(meter.Add(text.data(), text.size()), FrameMeter::Excess::kMessage);
}

TEST(FrameMeterTest, FollowsTheMessagesOfEachCall) {
  // Two calls in turn, whose messages and prefixes go over the ends of frames; then one that is too long.
  const std::string a = Message(10, 10) + Message(0, 0) + Message(300, 300), b = Message(5000, 5000);
  std::string text = kBegin;
  for (size_t at = 0; at < 320; at += 4) {
    text += Frame(kData, a.substr(at, 4), 1) + Frame(kData, b.substr(at, 4), 3) + Frame(kData, 0);
  }
  text += Frame(kData, b.substr(320), 3);
  const std::string huge = Message(UINT32_MAX, 100);
  for (const size_t step : {1, 7, 1 << 20}) {
    EXPECT_EQ(RefusedAfter(text, step), 0u) << step;
    EXPECT_NE(RefusedAfter(text + Frame(kData, huge, 1), step), 0u) << step;
    EXPECT_NE(RefusedAfter(text + Frame(kData, huge, 3), step), 0u) << step;
    EXPECT_NE(RefusedAfter(text + Frame(kData, huge.substr(0, 3), 3) + Frame(kData, huge.substr(3), 3), step), 0u);
  }
}

TEST(FrameMeterTest, ACallThatEndedHasNoMessageLeft) {
  const std::string part = Message(1000, 10), huge = Message(UINT32_MAX, 10);
  const char ends = 1;  // END_STREAM
  for (const std::string& end :
       {Frame(kData, "", 1, ends), Frame(kReset, std::string(4, '\0'), 1), Frame(kHeaders, "trailers", 1, ends)}) {
    EXPECT_EQ(RefusedAfter(kBegin + Frame(kData, part) + Frame(kData, huge), 1), 0u);  // of the first one's 1000 bytes
    EXPECT_NE(RefusedAfter(kBegin + Frame(kData, part) + end + Frame(kData, huge), 1), 0u);
  }
}

TEST(FrameMeterTest, CountsWhatIsNotComplete) {
  FrameMeter meter;
  const auto unread = [&](const std::string& text) {
    EXPECT_EQ(meter.Add(text.data(), text.size()), FrameMeter::Excess::kNone);
    return meter.unread();
  };
  EXPECT_EQ(unread(kBegin + Frame(kHeaders, 500)), 0u);
  EXPECT_EQ(unread(Frame(kData, Message(100, 40), 1)), 40u);
  EXPECT_EQ(unread(Frame(kData, Message(100, 100) + Message(200, 30), 3)), 70u);
  EXPECT_EQ(unread(Frame(kData, std::string(59, 'a'), 1)), 129u);
  EXPECT_EQ(unread(Frame(kData, std::string(1, 'a'), 1)), 30u);
  EXPECT_EQ(unread(Frame(kData, Message(1000, 500), 1)), 530u);
  EXPECT_EQ(unread(Frame(kReset, std::string(4, '\0'), 1)), 30u);
  EXPECT_EQ(unread(Frame(kData, std::string(100, 'a'), 3, /*END_STREAM*/ 1)), 0u);
  const std::string half = Frame(kData, Message(100, 90), 5);
  EXPECT_EQ(unread(half.substr(0, 40)), 40u - 9 - 5);
  EXPECT_EQ(unread(half.substr(40)), 90u);
}

TEST(FrameMeterTest, RefusesMessagesOfMoreCallsThanThereCanBe) {
  const auto begin = [](uint32_t stream) {
    std::string frame = Frame(kData, Message(100, 1));
    for (int i = 0; i < 4; ++i) frame[5 + i] = static_cast<char>(stream >> (24 - 8 * i));
    return frame;
  };
  FrameMeter meter;
  meter.Add(kBegin.data(), kBegin.size());
  for (uint32_t i = 0; i < FrameMeter::kMostBegun; ++i) {
    const std::string frame = begin(2 * i + 1);
    ASSERT_EQ(meter.Add(frame.data(), frame.size()), FrameMeter::Excess::kNone);
  }
  EXPECT_EQ(meter.unread(), FrameMeter::kMostBegun);  // none is forgotten
  const std::string frame = begin(1'000'001);
  EXPECT_EQ(meter.Add(frame.data(), frame.size()), FrameMeter::Excess::kCalls);
}

TEST(FrameMeterTest, PaddingIsNoMessage) {
  const char padded = 8;
  const auto pad = [](const std::string& payload, uint8_t count) {
    return std::string(1, static_cast<char>(count)) + payload + std::string(count, '\xff');
  };
  const std::string fine = Message(20, 20), huge = Message(UINT32_MAX, 10);
  for (const size_t step : {1, 8, 4096}) {
    EXPECT_EQ(RefusedAfter(kBegin + Frame(kData, pad(fine, 200), 1, padded) + Frame(kData, fine), step), 0u) << step;
    EXPECT_EQ(RefusedAfter(kBegin + Frame(kData, pad("", 0), 1, padded) + Frame(kData, fine), step), 0u) << step;
    EXPECT_NE(RefusedAfter(kBegin + Frame(kData, pad(huge, 255), 1, padded), step), 0u) << step;
    // More padding than there is: whoever reads the frame ends the connection.
    EXPECT_EQ(RefusedAfter(kBegin + Frame(kData, std::string(10, '\xff'), 1, padded) + Frame(kData, fine), step), 0u);
  }
}

}  // namespace
}  // namespace kedge
