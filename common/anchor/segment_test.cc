#include "common/anchor/segment.h"

#include <xxhash.h>

#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/anchor/policy.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

absl::Span<const uint8_t> View(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

void ExpectDamage(const absl::Status& status, const std::string& part) {
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

SegmentHeader SmallHeader() {
  SegmentHeader header;
  header.fingerprint = "00ff";
  header.canonical_policy = "recent=2";
  header.numerics_class = "cpu-1";
  for (size_t i = 0; i < header.chain.size(); ++i) header.chain[i] = i;
  header.shape = {30, 3, 64, KvType::kF16};
  header.end = 1000;
  header.recent_begin = 998;
  header.positions = {0, 3, 299, 998, 999};
  header.salient = {{3, 5}, {299, 301}};
  header.left_out = {{1, 3}};
  return header;
}

// A header of few bytes a row, so that a frame is short. All rows follow.
SegmentHeader TinyHeader() {
  SegmentHeader header = SmallHeader();
  header.shape = {1, 2, 2, KvType::kBF16};
  header.left_out.clear();
  return header;
}

// Made independently, with Python and the xxHash library:
//
//   lib = ctypes.CDLL('libxxhash.so.0')  # XXH3_64bits: restype c_uint64, argtypes c_char_p, c_size_t
//   xxh = lambda b: struct.pack('<Q', lib.XXH3_64bits(b, len(b)))
//   u32 = lambda *v: struct.pack('<%dI' % len(v), *v)
//   s = lambda t: u32(len(t)) + t
//   chain = bytes(range(32))
//   body = u32(30, 3, 64) + bytes([2, 0, 0, 0]) + chain + u32(1000, 998, 5)
//   body += s(b'00ff') + s(b'recent=2') + s(b'cpu-1') + bytes([0, 2, 0xa7, 0x02, 0xba, 0x05, 0])
//   body += bytes([3, 3, 1, 0xa6, 0x02, 1]) + bytes([1, 1, 1])
//   h = b'KEDGESEG' + u32(3, 16 + len(body) + 8) + body
//   print((h + xxh(h)).hex())
//   f = u32(1, 2, 3, 0)
//   print((f + xxh(f + chain + b'payload')).hex())
constexpr char kGoldenHeader[] =
    "4b4544474553454703000000810000001e000000030000004000000002000000000102030405060708090a0b0c0d0e0f1011121314151617"
    "18191a1b1c1d1e1fe8030000e603000005000000040000003030666608000000726563656e743d32050000006370752d310002a702ba0500"
    "030301a60201010101ecd2585e5f77cedd";
constexpr char kGoldenFrame[] = "01000000020000000300000000000000947c4a504a4f7ab3";

TEST(SegmentHeader, AgreesWithAnIndependentImplementation) {
  const std::string bytes = EncodeSegmentHeader(SmallHeader());
  EXPECT_EQ(ToHex(View(bytes)), kGoldenHeader);
  const absl::StatusOr<SegmentHeader> parsed = ParseSegmentHeader(View(bytes));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, SmallHeader());
}

TEST(SegmentHeader, RoundTripsAtRandom) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  for (int run = 0; run < 500; ++run) {
    SegmentHeader header;
    header.fingerprint = std::string(random() % 70, 'f');
    header.canonical_policy = std::string(random() % 900, '\0');
    header.numerics_class = std::string(random() % 20, '\xff');
    for (uint8_t& byte : header.chain) byte = random();
    header.shape = {static_cast<uint32_t>(1 + random() % 100), static_cast<uint32_t>(1 + random() % 64),
                    static_cast<uint32_t>(1 + random() % 256), kKvTypes[random() % std::size(kKvTypes)]};
    const uint64_t widest = uint64_t{1} << (1 + random() % 24);  // of a gap between positions
    uint64_t position = random() % widest;
    for (uint64_t rows = random() % 100; rows > 0 && position < UINT32_MAX; --rows) {
      header.positions.push_back(position);
      position += 1 + random() % widest;
    }
    header.end = header.positions.empty() ? random() % 5 : header.positions.back() + 1;
    header.recent_begin = random() % (uint64_t{header.end} + 1);
    if (random() % 2 == 0) {
      header.salient.emplace();
      for (uint64_t begin = random() % widest; begin < header.end;
           begin = header.salient->back().end + random() % widest) {
        const uint64_t end = std::min<uint64_t>(begin + 1 + random() % widest, header.end);
        header.salient->push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
      }
    }
    uint32_t following = static_cast<uint32_t>(header.positions.size());
    for (uint32_t row = random() % 4; row < header.positions.size(); row += random() % 9) {
      const uint32_t end = std::min<uint32_t>(row + 1 + random() % 5, header.positions.size());
      header.left_out.push_back({row, end});
      following -= end - row;
      row = end;
    }
    EXPECT_EQ(header.num_following(), following);
    const std::string bytes = EncodeSegmentHeader(header);
    const absl::StatusOr<SegmentHeader> parsed = ParseSegmentHeader(View(bytes));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, header);
  }
}

TEST(SegmentHeader, HoldsTheLastPositionThereIs) {
  SegmentHeader header = SmallHeader();
  header.end = UINT32_MAX;
  header.positions = {UINT32_MAX - 1};
  header.left_out = {{0, 1}};
  const absl::StatusOr<SegmentHeader> parsed = ParseSegmentHeader(View(EncodeSegmentHeader(header)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, header);
}

TEST(SegmentHeader, IsSmallBesideItsRows) {
  SegmentHeader header = SmallHeader();
  header.fingerprint = std::string(64, 'f');
  Policy policy;
  for (uint32_t id = 0; id < 147; ++id) policy.anchors.push_back(10000 + 200 * id);
  header.canonical_policy = CanonicalPolicy(policy);
  header.positions.clear();
  for (uint32_t i = 0; i < 300; ++i) header.positions.push_back(i < 172 ? 5 * i : 700 + i);
  const size_t rows = header.positions.size();
  const size_t frames = rows / RowsPerFrame(header.shape) + 1;
  const size_t overhead = EncodeSegmentHeader(header).size() + kFrameHeaderBytes * frames;
  EXPECT_LT(overhead, rows * header.shape.row_bytes() / 1000);  // a tenth of a percent
}

TEST(SegmentHeader, RejectsEveryTruncation) {
  const std::string bytes = EncodeSegmentHeader(SmallHeader());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ParseSegmentHeader(View(bytes.substr(0, size))).status().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(ParseSegmentHeader(View(bytes + "x")).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SegmentHeader, RejectsEveryFlippedBit) {
  std::string bytes = EncodeSegmentHeader(SmallHeader());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(ParseSegmentHeader(View(bytes)).status().code(), absl::StatusCode::kDataLoss) << "bit " << bit;
    bytes[bit / 8] ^= 1 << (bit % 8);
  }
}

// The header with `bytes` at `offset`, and a checksum that matches: what a parser that trusts checksums would take.
absl::Status ParseForged(size_t offset, const std::string& bytes) {
  std::string header = EncodeSegmentHeader(SmallHeader());
  header.replace(offset, bytes.size(), bytes);
  const uint64_t checksum = XXH3_64bits(header.data(), header.size() - 8);
  for (int i = 0; i < 8; ++i) header[header.size() - 8 + i] = static_cast<char>(checksum >> (8 * i));
  return ParseSegmentHeader(View(header)).status();
}

TEST(SegmentHeader, NamesTheFieldThatIsWrongUnderAGoodChecksum) {
  const auto bytes = [](const char* hex) { return absl::HexStringToBytes(hex); };
  ExpectDamage(ParseForged(0, "kedge"), "magic");
  ExpectDamage(ParseForged(8, bytes("01000000")), "version: 1 is not supported");
  ExpectDamage(ParseForged(12, bytes("79000000")), "header bytes: the field says 121");
  ExpectDamage(ParseForged(16, bytes("00000000")), "layers: 0");
  ExpectDamage(ParseForged(20, bytes("00000100")), "KV heads: 65536");
  ExpectDamage(ParseForged(24, bytes("00000000")), "head dim: 0");
  ExpectDamage(ParseForged(16, bytes("ffff0000ffff0000ffff0000")), "shape: a row has");
  ExpectDamage(ParseForged(28, bytes("00")), "KV type: 0");
  ExpectDamage(ParseForged(28, bytes("06")), "KV type: 6");
  ExpectDamage(ParseForged(30, bytes("01")), "reserved");
  ExpectDamage(ParseForged(64, bytes("e7030000")), "positions: 999 of row 4 is not below end");
  ExpectDamage(ParseForged(68, bytes("e9030000")), "recent begin: 1001 is above end");
  ExpectDamage(ParseForged(72, bytes("04000000")), "left out: range 0 ends at 5, after 4");
  ExpectDamage(ParseForged(72, bytes("06000000")), "positions: 1003 of row 5 is not below");
  ExpectDamage(ParseForged(72, bytes("ffffffff")), "positions: 4294967295 rows go beyond");
  ExpectDamage(ParseForged(76, bytes("ffffffff")), "fingerprint: 4294967295 bytes");
  ExpectDamage(ParseForged(76, bytes("00000100")), "fingerprint: goes beyond");
  ExpectDamage(ParseForged(84, bytes("ff000000")), "policy: goes beyond");
  ExpectDamage(ParseForged(96, bytes("ff000000")), "numerics class: goes beyond");
  ExpectDamage(ParseForged(105, bytes("8000")), "longer than it needs to be");
  ExpectDamage(ParseForged(105, bytes("ffffffff1f0000")), "above 32 bits");
  ExpectDamage(ParseForged(105, bytes("ffffffffff0000")), "more than 5 bytes");
  ExpectDamage(ParseForged(105, bytes("ffffffff0f0000")), "positions: 4294967295 of row 0 is not below end");
  ExpectDamage(ParseForged(112, bytes("ff7f")), "salient: 16382 ranges go beyond");
  ExpectDamage(ParseForged(112, bytes("06")), "salient: 5 ranges go beyond");
  ExpectDamage(ParseForged(114, bytes("ff7f")), "salient: range 0 ends at 16387, after 1000");
  ExpectDamage(ParseForged(118, bytes("00")), "left out: 2 bytes are left over");
  ExpectDamage(ParseForged(118, bytes("02")), "left out: 2 ranges go beyond");
  ExpectDamage(ParseForged(119, bytes("04")), "left out: range 0 ends at 6, after 5");
  EXPECT_TRUE(ParseForged(0, "").ok());
}

TEST(CheckSegmentHeader, NamesEachFieldThatDiffers) {
  const SegmentHeader expected = SmallHeader();
  EXPECT_TRUE(CheckSegmentHeader(expected, expected).ok());
  const auto check = [&expected](const auto& change, absl::StatusCode code, const std::string& part) {
    SegmentHeader got = expected;
    change(got);
    const absl::Status status = CheckSegmentHeader(expected, got);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  };
  constexpr absl::StatusCode kSetting = absl::StatusCode::kFailedPrecondition;
  constexpr absl::StatusCode kDamage = absl::StatusCode::kDataLoss;
  check([](SegmentHeader& h) { h.fingerprint = "aa"; }, kSetting, "fingerprint: the sender has \"aa\"");
  check([](SegmentHeader& h) { h.canonical_policy += ",sinks=1"; }, kSetting, "policy");
  check([](SegmentHeader& h) { h.numerics_class = "x"; }, kSetting, "numerics class: the sender has \"x\"");
  check([](SegmentHeader& h) { h.shape.layers = 1; }, kSetting, "shape: the sender has \"1 layers");
  check([](SegmentHeader& h) { h.shape.kv_heads = 1; }, kSetting, "shape");
  check([](SegmentHeader& h) { h.shape.head_dim = 1; }, kSetting, "shape");
  check([](SegmentHeader& h) { h.shape.type = KvType::kF32; }, kSetting, "shape");
  check([](SegmentHeader& h) { h.chain[31] ^= 1; }, kDamage, "chain");
  check([](SegmentHeader& h) { h.end = 1001; }, kDamage, "end: is 1001, not 1000");
  check([](SegmentHeader& h) { h.recent_begin = 997; }, kDamage, "recent begin: is 997, not 998");
  check([](SegmentHeader& h) { h.positions.pop_back(); }, kDamage, "positions: 4 rows, not 5");
  check([](SegmentHeader& h) { h.positions[2] = 300; }, kDamage, "positions: row 2 is 300, not 299");
  check([](SegmentHeader& h) { h.salient->pop_back(); }, kDamage, "salient");
  check([](SegmentHeader& h) { h.salient.reset(); }, kDamage, "salient");
}

TEST(CheckSegmentHeader, ShowsTheKeyInWhichLongPoliciesDiffer) {
  Policy policy;
  for (uint32_t id = 0; id < 1000; ++id) policy.anchors.push_back(id);
  SegmentHeader expected = SmallHeader();
  expected.canonical_policy = CanonicalPolicy(policy);
  policy.recent = 7;
  SegmentHeader got = SmallHeader();
  got.canonical_policy = CanonicalPolicy(policy);
  const absl::Status status = CheckSegmentHeader(expected, got);
  EXPECT_EQ(status.message(), "segment: policy: the sender has \"recent=7\", this node \"recent=0\"");
  got.canonical_policy = std::string(1 << 20, '\xff');
  EXPECT_LT(CheckSegmentHeader(expected, got).message().size(), 1000u);
}

// --- Frames ---

std::string Frame(const SegmentHeader& header, uint32_t index, uint32_t first_row, uint32_t row_count) {
  std::string frame(kFrameHeaderBytes + row_count * header.shape.row_bytes(), static_cast<char>('a' + index));
  EncodeFrameHeader({index, first_row, row_count, 0}, header.chain, FrameChecker::Payload(View(frame)),
                    reinterpret_cast<uint8_t*>(frame.data()));
  return frame;
}

TEST(FrameHeader, AgreesWithAnIndependentImplementation) {
  uint8_t bytes[kFrameHeaderBytes];
  EncodeFrameHeader({1, 2, 3, 0}, SmallHeader().chain, View("payload"), bytes);
  EXPECT_EQ(ToHex(bytes), kGoldenFrame);
}

TEST(FrameChecker, TakesFramesInTheirOrder) {
  const SegmentHeader header = TinyHeader();
  FrameChecker checker(header);
  EXPECT_EQ(checker.header(), header);
  const struct { uint32_t first_row, row_count; } frames[] = {{0, 2}, {2, 1}, {3, 2}};
  for (uint32_t index = 0; index < 3; ++index) {
    EXPECT_FALSE(checker.complete());
    const std::string frame = Frame(header, index, frames[index].first_row, frames[index].row_count);
    const absl::StatusOr<FrameHeader> accepted = checker.Accept(View(frame));
    ASSERT_TRUE(accepted.ok()) << accepted.status();
    EXPECT_EQ(accepted->first_row, frames[index].first_row);
    EXPECT_EQ(accepted->row_count, frames[index].row_count);
  }
  EXPECT_TRUE(checker.complete());
  ExpectDamage(checker.Accept(View(Frame(header, 3, 5, 1))).status(), "row count is 1; 0 rows are missing");
}

TEST(FrameChecker, RowsThatAreLeftOutDoNotFollow) {
  SegmentHeader header = TinyHeader();
  header.left_out = {{0, 1}, {2, 4}};
  EXPECT_EQ(header.num_following(), 2u);
  FrameChecker checker(header);
  ExpectDamage(checker.Accept(View(Frame(header, 0, 0, 3))).status(), "row count is 3; 2 rows are missing");
  EXPECT_TRUE(checker.Accept(View(Frame(header, 0, 0, 2))).ok());
  EXPECT_TRUE(checker.complete());
  header.left_out = {{0, 5}};
  EXPECT_TRUE(FrameChecker(header).complete());
}

TEST(FrameChecker, ASegmentWithoutRowsIsCompleteAtOnce) {
  SegmentHeader header = TinyHeader();
  header.positions.clear();
  EXPECT_TRUE(FrameChecker(header).complete());
}

TEST(FrameChecker, RejectsFramesOutOfTurn) {
  const SegmentHeader header = TinyHeader();
  const std::string first = Frame(header, 0, 0, 2);
  const std::string second = Frame(header, 1, 2, 2);
  const std::string third = Frame(header, 2, 4, 1);
  {
    FrameChecker checker(header);
    ExpectDamage(checker.Accept(View(second)).status(), "frame 0: index is 1");  // reordered
    // An error changes nothing: the right frame is still taken.
    EXPECT_TRUE(checker.Accept(View(first)).ok());
    ExpectDamage(checker.Accept(View(first)).status(), "frame 1: index is 0");  // doubled
    ExpectDamage(checker.Accept(View(third)).status(), "frame 1: index is 2");  // skipped
    EXPECT_TRUE(checker.Accept(View(second)).ok());
    EXPECT_FALSE(checker.complete());
  }
  FrameChecker checker(header);
  ExpectDamage(checker.Accept(View(Frame(header, 0, 1, 2))).status(), "first row is 1, not 0");
  ExpectDamage(checker.Accept(View(Frame(header, 0, 0, 0))).status(), "row count is 0");
  ExpectDamage(checker.Accept(View(Frame(header, 0, 0, 6))).status(), "row count is 6; 5 rows are missing");
}

TEST(FrameChecker, RejectsAFrameOfAnotherSegment) {
  SegmentHeader other = TinyHeader();
  other.chain[0] ^= 1;
  FrameChecker checker(TinyHeader());
  ExpectDamage(checker.Accept(View(Frame(other, 0, 0, 5))).status(), "checksum");
}

TEST(FrameChecker, RejectsEveryTruncation) {
  const SegmentHeader header = TinyHeader();
  const std::string frame = Frame(header, 0, 0, 5);
  FrameChecker checker(header);
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_EQ(checker.Accept(View(frame.substr(0, size))).status().code(), absl::StatusCode::kDataLoss) << size;
  }
  ExpectDamage(checker.Accept(View(frame + "x")).status(), "payload has");
  EXPECT_TRUE(checker.Accept(View(frame)).ok());
}

TEST(FrameChecker, RejectsEveryFlippedBit) {
  const SegmentHeader header = TinyHeader();
  std::string frame = Frame(header, 0, 0, 5);
  FrameChecker checker(header);
  for (size_t bit = 0; bit < 8 * frame.size(); ++bit) {
    frame[bit / 8] ^= 1 << (bit % 8);
    EXPECT_EQ(checker.Accept(View(frame)).status().code(), absl::StatusCode::kDataLoss) << "bit " << bit;
    frame[bit / 8] ^= 1 << (bit % 8);
  }
  EXPECT_TRUE(checker.Accept(View(frame)).ok());
}

TEST(FrameChecker, AFrameIsAtMostAMebibyteOrOneRow) {
  SegmentHeader header = SmallHeader();
  EXPECT_EQ(header.shape.row_bytes(), 23040u);
  EXPECT_EQ(RowsPerFrame(header.shape), 45u);
  EXPECT_LE(kFrameHeaderBytes + RowsPerFrame(header.shape) * header.shape.row_bytes(), kMaxFrameBytes);
  header.shape.type = KvType::kQ8;  // 180 parts of 64 numbers and 2 scales
  EXPECT_EQ(RowsPerFrame(header.shape), 85u);
  header.shape.type = KvType::kF16;
  header.positions.clear();
  header.left_out.clear();
  for (uint32_t i = 0; i < 100; ++i) header.positions.push_back(i);
  FrameChecker checker(header);
  ExpectDamage(checker.Accept(View(Frame(header, 0, 0, 46))).status(), "row count is 46");
  EXPECT_TRUE(checker.Accept(View(Frame(header, 0, 0, 45))).ok());

  header.shape.layers = 2000;  // 1.5 MB a row
  EXPECT_EQ(RowsPerFrame(header.shape), 1u);
  EXPECT_TRUE(FrameChecker(header).Accept(View(Frame(header, 0, 0, 1))).ok());
}

}  // namespace
}  // namespace kedge
