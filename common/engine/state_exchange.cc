// The rows of a state are the first rows of K and a run of R; frames cut that list into pieces of at most 1 MiB.
// Tested by score_test.cc (equality) and state_exchange_test.cc (damage).
#include "common/engine/state_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/anchor/shared_rows.h"
#include "common/anchor/tracker.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace kedge {

SegmentHeader StateHeader(const Content& content, uint32_t end, const std::string& fingerprint,
                          const StepDevice& device) {
  KEDGE_CHECK(end <= content.ids.size());
  SegmentHeader header{.fingerprint = fingerprint,
                       .canonical_policy = CanonicalPolicy(content.policy),
                       .numerics_class = device.numerics_class(),
                       .shape = device.row_shape(),
                       .end = end};
  const ChainRoot root{.fingerprint = fingerprint,
                       .canonical_policy = header.canonical_policy,
                       .kv_type = KvTypeName(header.shape.type),
                       .numerics_class = header.numerics_class};
  header.chain = NamePrefixes(content, root, {end}).front();
  AnchorTracker tracker(&content);
  tracker.AdvanceTo(end);
  StateShape state = tracker.State();
  header.recent_begin = state.recent_begin;
  header.positions = std::move(state.kept);
  for (uint32_t i = state.recent_begin; i < end; ++i) header.positions.push_back(i);
  header.salient = content.salient;
  return header;
}

namespace {

StateShape ShapeOf(const SegmentHeader& header) {
  StateShape shape{.recent_begin = header.recent_begin, .end = header.end};
  const auto recent = std::lower_bound(header.positions.begin(), header.positions.end(), header.recent_begin);
  shape.kept.assign(header.positions.begin(), recent);
  return shape;
}

}  // namespace

std::optional<Payload> StateSender::TakeHeader(const StepDevice& device) {
  if (header_.has_value() || !sequence_->knows_state()) return std::nullopt;
  header_ = StateHeader(sequence_->content(), end_, fingerprint_, device);
  shape_ = ShapeOf(*header_);
  const std::string bytes = EncodeSegmentHeader(*header_);
  return Payload::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()));
}

void StateSender::StartFrames(StepDevice* device) {
  if (!header_.has_value()) return;
  const auto ready = std::lower_bound(header_->positions.begin(), header_->positions.end(), sequence_->computed());
  const uint32_t end_row = static_cast<uint32_t>(ready - header_->positions.begin());
  const uint32_t rows_per_frame = RowsPerFrame(header_->shape);
  while (next_row_ < end_row) {
    Copy& copy = copies_.emplace_back();
    copy.header = {
        .index = next_frame_++, .first_row = next_row_, .row_count = std::min(rows_per_frame, end_row - next_row_)};
    copy.frame = device->NewRowBuffer(kFrameHeaderBytes + copy.header.row_count * header_->shape.row_bytes());
    copy.frame.sum = std::make_shared<RowSum>(RowSum{.prefix = SummedPrefix(copy.header, header_->chain)});
    copy.done = device->ReadRows(sequence_->StateRows(shape_, next_row_, copy.header.row_count),
                                 copy.frame.From(kFrameHeaderBytes));
    next_row_ += copy.header.row_count;
  }
}

absl::StatusOr<std::vector<Payload>> StateSender::TakeFrames(bool wait) {
  std::vector<Payload> frames;
  for (; !copies_.empty() && (wait || copies_.front().done->Ready()); copies_.pop_front()) {
    const Copy& copy = copies_.front();
    KEDGE_RETURN_IF_ERROR(copy.done->Wait());
    uint8_t* const bytes = copy.frame.bytes.data();
    if (copy.frame.sum->xxh3.has_value()) {
      EncodeFrameHeader(copy.header, *copy.frame.sum->xxh3, bytes);
    } else {
      EncodeFrameHeader(copy.header, header_->chain, copy.frame.bytes.subspan(kFrameHeaderBytes), bytes);
    }
    frames.push_back(copy.frame.Share());
  }
  return frames;
}

absl::Status StateReceiver::AcceptHeader(absl::Span<const uint8_t> bytes, const StepDevice& device) {
  if (checker_.has_value()) return absl::DataLossError("segment: a second header");
  KEDGE_ASSIGN_OR_RETURN(SegmentHeader header, ParseSegmentHeader(bytes));
  const Content& own = sequence_->content();
  if (own.NeedsChoice()) {
    Content content = own;
    content.salient = header.salient;
    const absl::Status granted = content.salient.has_value() ? CheckContent(content, device.vocab_size(), UINT32_MAX)
                                                             : absl::InvalidArgumentError("salient: has no choice");
    if (!granted.ok()) return absl::DataLossError(absl::StrCat("segment: ", granted.message()));
    // Believed only with all the rest of the header.
    KEDGE_RETURN_IF_ERROR(CheckSegmentHeader(StateHeader(content, end_, fingerprint_, device), header));
    sequence_->SetSalient(*std::move(content.salient));
  } else {
    KEDGE_RETURN_IF_ERROR(CheckSegmentHeader(StateHeader(own, end_, fingerprint_, device), header));
  }
  shape_ = sequence_->BeginState(end_);
  checker_.emplace(std::move(header));
  return absl::OkStatus();
}

absl::Status StateReceiver::AcceptFrame(Payload frame, uint64_t checksum, StepDevice* device) {
  if (!checker_.has_value()) return absl::FailedPreconditionError("segment: a frame came before the header");
  KEDGE_ASSIGN_OR_RETURN(const FrameHeader header, checker_->Accept(frame.bytes, checksum));
  const Sequence::Places places = sequence_->StatePlaces(shape_, header.first_row, header.row_count);
  const Payload rows{std::move(frame.owner), FrameChecker::Payload(frame.bytes)};
  if (places.any_copy) device->WriteRows(places.copies, rows);
  device->WriteRows(places.rows, rows);
  return absl::OkStatus();
}

absl::Status StateReceiver::Commit() {
  if (!checker_.has_value()) return absl::DataLossError("segment: it ended before its header");
  if (!checker_->complete()) return absl::DataLossError("segment: it ended before all of its rows had come");
  return absl::OkStatus();
}

}  // namespace kedge
