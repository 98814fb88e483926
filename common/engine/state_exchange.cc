// The rows of a state are the first rows of K and a run of R; frames cut that list, without what is left out, into
// pieces of at most 1 MiB.
// Tested by score_test.cc (equality) and state_exchange_test.cc (damage).
#include "common/engine/state_exchange.h"

#include <algorithm>
#include <map>
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

// Rows of the state that are left out, or all others; ascending.
std::vector<uint32_t> RowsOf(const SegmentHeader& header, bool left_out) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < header.positions.size(); ++row) {
    if (Contains(header.left_out, row) == left_out) rows.push_back(row);
  }
  return rows;
}

// Calls take(first, count) for each run of neighbours.
template <typename Take>
void ForRuns(absl::Span<const uint32_t> rows, const Take& take) {
  for (const PositionRange& run : RangesOf(rows)) take(run.begin, run.end - run.begin);
}

Sequence::Places PlacesOf(const Sequence& sequence, const StateShape& shape, absl::Span<const uint32_t> rows) {
  Sequence::Places all;
  ForRuns(rows, [&](uint32_t first, uint32_t count) {
    const Sequence::Places some = sequence.StatePlaces(shape, first, count);
    all.rows.insert(all.rows.end(), some.rows.begin(), some.rows.end());
    all.copies.insert(all.copies.end(), some.copies.begin(), some.copies.end());
    all.any_copy |= some.any_copy;
  });
  return all;
}

void Write(const Sequence::Places& places, const Payload& rows, StepDevice* device) {
  if (places.any_copy) device->WriteRows(places.copies, rows);
  device->WriteRows(places.rows, rows);
}

}  // namespace

absl::Status CheckOwnModel(const std::string& fingerprint, const std::string& own_fingerprint) {
  if (fingerprint == own_fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("content.fingerprint: this node serves ", own_fingerprint, ", not ", fingerprint));
}

absl::Status CheckOwnRows(const std::string& fingerprint, const std::string& kv_type,
                          const std::string& own_fingerprint, const StepDevice& device) {
  KEDGE_RETURN_IF_ERROR(CheckOwnModel(fingerprint, own_fingerprint));
  if (const char* type = KvTypeName(device.row_shape().type); kv_type != type) {
    return absl::FailedPreconditionError(absl::StrCat("kv_type: this node's rows are ", type, ", not ", kv_type));
  }
  return absl::OkStatus();
}

absl::Status CheckHeld(absl::Span<const PositionRange> held, const Content& content) {
  if (held.empty()) return absl::OkStatus();
  if (!content.policy.prefill_full) {
    return absl::InvalidArgumentError("held: is given, and only rows under prefill=full can be held");
  }
  return CheckRanges(held, std::max(content.prompt_length, 1u) - 1, "held");
}

std::optional<Payload> StateSender::TakeHeader(const StepDevice& device) {
  if (header_.has_value() || !sequence_->knows_state()) return std::nullopt;
  header_ = StateHeader(sequence_->content(), end_, fingerprint_, device);
  shape_ = ShapeOf(*header_);
  std::vector<uint32_t> left_out;
  for (uint32_t row = 0; row < header_->positions.size(); ++row) {
    if (Contains(held_, header_->positions[row])) left_out.push_back(row);
  }
  header_->left_out = RangesOf(left_out);
  following_ = RowsOf(*header_, /*left_out=*/false);
  const std::string bytes = EncodeSegmentHeader(*header_);
  return Payload::Own(std::vector<uint8_t>(bytes.begin(), bytes.end()));
}

void StateSender::StartFrames(StepDevice* device, bool to_stay) {
  if (!header_.has_value()) return;
  const auto ready =
      std::partition_point(following_.begin(), following_.end(),
                           [&](uint32_t row) { return header_->positions[row] < sequence_->computed(); });
  const uint32_t end_row = static_cast<uint32_t>(ready - following_.begin());
  const uint32_t rows_per_frame = RowsPerFrame(header_->shape);
  while (next_row_ < end_row) {
    Copy& copy = copies_.emplace_back();
    copy.header = {
        .index = next_frame_++, .first_row = next_row_, .row_count = std::min(rows_per_frame, end_row - next_row_)};
    const size_t bytes = kFrameHeaderBytes + copy.header.row_count * header_->shape.row_bytes();
    copy.frame = to_stay ? RowBuffer::Plain(bytes) : device->NewRowBuffer(bytes);
    copy.frame.sum = std::make_shared<RowSum>(RowSum{.prefix = SummedPrefix(copy.header, header_->chain)});
    std::vector<RowRef> rows;
    ForRuns(absl::MakeConstSpan(following_).subspan(next_row_, copy.header.row_count),
            [&](uint32_t first, uint32_t count) {
              const std::vector<RowRef> run = sequence_->StateRows(shape_, first, count);
              rows.insert(rows.end(), run.begin(), run.end());
            });
    copy.done = device->ReadRows(std::move(rows), copy.frame.From(kFrameHeaderBytes));
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

StateReceiver::StateReceiver(Sequence* sequence, uint32_t end, std::string fingerprint, HeldRows* held)
    : sequence_(sequence), end_(end), fingerprint_(std::move(fingerprint)), held_(held) {
  if (held_ == nullptr) return;
  names_ = held_->Names(sequence_->content());
  promised_ = held_->Find(names_);
}

std::vector<PositionRange> StateReceiver::held() const {
  std::vector<uint32_t> positions;
  for (const HeldRows::Row& row : promised_) positions.push_back(row.position);
  return RangesOf(positions);
}

// Of what was promised, the rows that the header leaves out.
absl::StatusOr<std::vector<HeldRows::Row>> StateReceiver::LeftOut(const SegmentHeader& header) const {
  std::vector<HeldRows::Row> rows;
  for (uint32_t row : RowsOf(header, /*left_out=*/true)) {
    const uint32_t position = header.positions[row];
    const auto held = std::partition_point(promised_.begin(), promised_.end(),
                                           [&](const HeldRows::Row& held) { return held.position < position; });
    if (held == promised_.end() || held->position != position) {
      return absl::DataLossError(absl::StrCat("segment: left out: the row at ", position, " is not held here"));
    }
    rows.push_back(*held);
  }
  return rows;
}

absl::Status StateReceiver::AcceptHeader(absl::Span<const uint8_t> bytes, StepDevice* device) {
  if (checker_.has_value()) return absl::DataLossError("segment: a second header");
  KEDGE_ASSIGN_OR_RETURN(SegmentHeader header, ParseSegmentHeader(bytes));
  KEDGE_ASSIGN_OR_RETURN(const std::vector<HeldRows::Row> left_out, LeftOut(header));
  const Content& own = sequence_->content();
  if (own.NeedsChoice()) {
    Content content = own;
    content.salient = header.salient;
    const absl::Status granted = content.salient.has_value() ? CheckContent(content, device->vocab_size(), UINT32_MAX)
                                                             : absl::InvalidArgumentError("salient: has no choice");
    if (!granted.ok()) return absl::DataLossError(absl::StrCat("segment: ", granted.message()));
    // Believed only with all the rest of the header.
    KEDGE_RETURN_IF_ERROR(CheckSegmentHeader(StateHeader(content, end_, fingerprint_, *device), header));
    sequence_->SetSalient(*std::move(content.salient));
  } else {
    KEDGE_RETURN_IF_ERROR(CheckSegmentHeader(StateHeader(own, end_, fingerprint_, *device), header));
  }
  shape_ = sequence_->BeginState(end_);
  WriteHeld(PlacesOf(*sequence_, shape_, RowsOf(header, /*left_out=*/true)), left_out, device);
  promised_.clear();
  num_left_out_ = static_cast<uint32_t>(left_out.size());
  following_ = RowsOf(header, /*left_out=*/false);
  checker_.emplace(std::move(header));
  return absl::OkStatus();
}

void StateReceiver::WriteHeld(const Sequence::Places& places, absl::Span<const HeldRows::Row> rows,
                              StepDevice* device) {
  std::map<std::shared_ptr<const HeldRows::Frame>, Sequence::Places> by_frame;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [found, is_new] = by_frame.try_emplace(rows[i].frame);
    Sequence::Places& there = found->second;
    if (is_new) there.rows = there.copies = std::vector<RowRef>(rows[i].frame->num_rows, RowRef{.page = kNoPage});
    there.rows[rows[i].index] = places.rows[i];
    there.copies[rows[i].index] = places.copies[i];
    there.any_copy |= places.copies[i].page != kNoPage;
  }
  for (const auto& [frame, there] : by_frame) {
    Write(there, {frame, frame->bytes}, device);
    held_->Use(frame.get());
  }
}

absl::Status StateReceiver::AcceptFrame(Payload frame, uint64_t checksum, StepDevice* device) {
  if (!checker_.has_value()) return absl::FailedPreconditionError("segment: a frame came before the header");
  KEDGE_ASSIGN_OR_RETURN(const FrameHeader header, checker_->Accept(frame.bytes, checksum));
  const auto rows = absl::MakeConstSpan(following_).subspan(header.first_row, header.row_count);
  const Payload bytes{std::move(frame.owner), FrameChecker::Payload(frame.bytes)};
  Write(PlacesOf(*sequence_, shape_, rows), bytes, device);
  if (names_.empty()) return absl::OkStatus();
  std::vector<uint32_t> positions;
  for (uint32_t row : rows) positions.push_back(checker_->header().positions[row]);
  held_->Add(names_, positions, bytes.bytes);
  return absl::OkStatus();
}

absl::Status StateReceiver::Commit() {
  if (!checker_.has_value()) return absl::DataLossError("segment: it ended before its header");
  if (!checker_->complete()) return absl::DataLossError("segment: it ended before all of its rows had come");
  return absl::OkStatus();
}

}  // namespace kedge
