#include "common/transfer/frame_sums.h"

#include <string>
#include <utility>
#include <vector>

#include "common/anchor/segment.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

SegmentHeader Header() {
  SegmentHeader header{.fingerprint = std::string(64, 'a'),
                       .canonical_policy = "sinks=0,recent=8",
                       .numerics_class = "hash-1",
                       .shape = {.layers = 1, .kv_heads = 1, .head_dim = 2, .type = KvType::kF32},
                       .end = 3,
                       .positions = {0, 1, 2}};
  header.chain[5] = 7;
  return header;
}

StateEvent Head(const std::string& bytes) {
  return {StateHead{.header = Payload::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()))}};
}

std::vector<uint8_t> Frame() {
  std::vector<uint8_t> frame(kFrameHeaderBytes + 3 * Header().shape.row_bytes(), 9);
  EncodeFrameHeader({.index = 0, .first_row = 0, .row_count = 3}, Header().chain,
                    absl::MakeConstSpan(frame).subspan(kFrameHeaderBytes), frame.data());
  return frame;
}

uint64_t SumOf(FrameSums* sums, std::vector<uint8_t> bytes) {
  StateEvent event{StateFrame{Payload::Own(std::move(bytes))}};
  sums->Add(&event);
  return std::get<StateFrame>(event.event).checksum;
}

TEST(FrameSumsTest, AreWhatTheCheckerWants) {
  FrameSums sums;
  StateEvent head = Head(EncodeSegmentHeader(Header()));
  sums.Add(&head);
  const std::vector<uint8_t> frame = Frame();
  EXPECT_TRUE(FrameChecker(Header()).Accept(frame, SumOf(&sums, frame)).ok());
  std::vector<uint8_t> flipped = frame;
  flipped.back() ^= 1;
  EXPECT_EQ(FrameChecker(Header()).Accept(flipped, SumOf(&sums, flipped)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(SumOf(&sums, {1, 2, 3}), 0u);
}

TEST(FrameSumsTest, WithoutAHeaderThereAreNone) {
  FrameSums sums;
  EXPECT_EQ(SumOf(&sums, Frame()), 0u);
  StateEvent head = Head("no header");
  sums.Add(&head);
  EXPECT_EQ(SumOf(&sums, Frame()), 0u);
}

}  // namespace
}  // namespace kedge
