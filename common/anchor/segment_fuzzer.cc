// Fuzz target of the segment's parsers. An input is a header and, behind it, one frame. Random bytes never have the
// right checksums, so each is parsed as it is and once more with lengths and checksums put right: only then are the
// fields behind them reached.
#include <xxhash.h>

#include <algorithm>

#include "common/anchor/segment.h"
#include "common/base/check.h"
#include "common/testing/fuzz_driver.h"

namespace {

using kedge::ChainKey;
using kedge::FrameChecker;
using kedge::FrameHeader;
using kedge::SegmentHeader;

using Bytes = absl::Span<const uint8_t>;

void PutUint(uint64_t value, int count, std::string& out, size_t offset) {
  for (int i = 0; i < count; ++i) out[offset + i] = static_cast<char>(value >> (8 * i));
}

Bytes View(const std::string& text) { return Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()); }

std::string Repaired(Bytes bytes) {
  std::string header(bytes.begin(), bytes.end());
  if (header.size() < 24) return header;
  header.replace(0, 8, "KEDGESEG");
  PutUint(kedge::kSegmentFormatVersion, 4, header, 8);
  PutUint(header.size(), 4, header, 12);
  PutUint(XXH3_64bits(header.data(), header.size() - 8), 8, header, header.size() - 8);
  return header;
}

void TryFrame(const SegmentHeader& header, Bytes frame) {
  FrameChecker checker(header);
  const absl::StatusOr<FrameHeader> accepted = checker.Accept(frame);
  if (accepted.ok()) {
    KEDGE_CHECK(accepted->row_count >= 1 && accepted->row_count <= header.num_following());
    KEDGE_CHECK(FrameChecker::Payload(frame).size() == accepted->row_count * header.shape.row_bytes());
    KEDGE_CHECK(checker.complete() == (accepted->row_count == header.num_following()));
  }
}

void TryHeader(Bytes bytes, Bytes frame) {
  const absl::StatusOr<SegmentHeader> header = kedge::ParseSegmentHeader(bytes);
  if (!header.ok()) return;
  const std::string again = EncodeSegmentHeader(*header);
  KEDGE_CHECK(View(again) == bytes);  // one encoding only
  TryFrame(*header, frame);
  if (frame.size() < kedge::kFrameHeaderBytes) return;
  std::string repaired(frame.begin(), frame.end());
  FrameHeader fields{0, 0, 1, 0};
  fields.row_count = frame[8];
  kedge::EncodeFrameHeader(fields, header->chain, FrameChecker::Payload(frame),
                           reinterpret_cast<uint8_t*>(repaired.data()));
  TryFrame(*header, View(repaired));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes bytes(data, size);
  size_t header_size = size;
  if (size >= 16) header_size = std::min<size_t>(data[12] | data[13] << 8, size);
  const Bytes header = bytes.first(header_size);
  const Bytes frame = bytes.subspan(header_size);
  TryHeader(bytes, Bytes());
  TryHeader(header, frame);
  TryHeader(View(Repaired(header)), frame);
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  SegmentHeader header;
  header.fingerprint = "00ff";
  header.canonical_policy =
      "anchors=33+46,insert=off,longest=512,keep=anchors,sinks=4,recent=8,view=all,prefill=anchored,salient=0,"
      "write=anchored";
  header.numerics_class = "cpu-1";
  header.chain[5] = 7;
  header.shape = {1, 1, 2, kedge::KvType::kF16};
  header.end = 600;
  header.recent_begin = 598;
  header.positions = {0, 3, 300, 598, 599};
  const std::string header_bytes = EncodeSegmentHeader(header);

  std::string frame(kedge::kFrameHeaderBytes + 5 * header.shape.row_bytes(), 'r');
  kedge::EncodeFrameHeader({0, 0, 5, 0}, header.chain, FrameChecker::Payload(View(frame)),
                           reinterpret_cast<uint8_t*>(frame.data()));

  SegmentHeader empty = header;
  empty.positions.clear();
  empty.salient = {{2, 9}, {9, 10}, {300, 512}};

  SegmentHeader part = header;  // rows 0, 300 and 598 follow
  part.left_out = {{1, 2}, {4, 5}};
  std::string part_frame(kedge::kFrameHeaderBytes + 3 * header.shape.row_bytes(), 'r');
  kedge::EncodeFrameHeader({0, 0, 3, 0}, header.chain, FrameChecker::Payload(View(part_frame)),
                           reinterpret_cast<uint8_t*>(part_frame.data()));
  return {header_bytes, header_bytes + frame, EncodeSegmentHeader(empty), EncodeSegmentHeader(part) + part_frame};
}
