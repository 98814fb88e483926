// Runs are few: a slice or an append looks them up by bisection and copies those that it meets.
// Tested by text_test.cc.
#include "common/jinja/text.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/status.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

// What a body costs beside its bytes.
constexpr size_t kBodyBytes = 96;

size_t FirstRun(const std::vector<Text::Run>& runs, size_t offset) {
  return std::upper_bound(runs.begin(), runs.end(), offset,
                          [](size_t value, const Text::Run& run) { return value < run.end; }) -
         runs.begin();
}

}  // namespace

Text::Text(absl::string_view bytes, Origin origin) {
  TextBuilder builder(nullptr);
  builder.Append(ValidUtf8(bytes), origin);
  *this = *builder.Build();
}

const std::vector<Text::Run>& Text::runs() const {
  static const std::vector<Run>* const none = new std::vector<Run>();
  return body_ == nullptr ? *none : body_->runs;
}

Origin Text::origin(size_t offset) const {
  const size_t run = FirstRun(runs(), offset);
  return run == runs().size() ? kTemplate : runs()[run].origin;
}

size_t Text::Offset(size_t character) const {
  if (ascii()) return character;
  const absl::string_view all = bytes();
  size_t offset = 0;
  for (; character > 0; --character) offset += CharacterLength(all[offset]);
  return offset;
}

absl::StatusOr<Text> Text::Slice(Account* account, size_t begin, size_t end) const {
  if (begin == 0 && end == size()) return *this;
  TextBuilder builder(account);
  builder.Append(*this, begin, end);
  return builder.Build();
}

TextBuilder::~TextBuilder() {
  if (account_ != nullptr && taken_ > 0) account_->GiveBack(taken_);
}

bool TextBuilder::Grow(size_t bytes) {
  if (!status_.ok()) return false;
  if (body_ == nullptr) body_ = std::make_shared<Text::Body>();
  if (account_ == nullptr) return true;
  // In large steps: the string doubles its memory as well.
  const size_t needed = body_->bytes.size() + bytes + kBodyBytes + body_->runs.size() * sizeof(Text::Run);
  if (needed <= taken_) return true;
  const size_t wanted = body_->bytes.empty() ? needed : std::max(needed, 2 * taken_);
  // Work is paid for before it is done, also that on a text which will not fit.
  status_ = account_->Check(wanted - taken_);
  if (status_.ok()) status_ = account_->StepBytes(wanted - taken_);
  if (status_.ok()) status_ = account_->Take(wanted - taken_);
  if (status_.ok()) taken_ = wanted;
  return status_.ok();
}

void TextBuilder::Append(absl::string_view bytes, Origin origin) {
  if (bytes.empty() || !Grow(bytes.size())) return;
  body_->bytes.append(bytes.data(), bytes.size());
  body_->characters += CountCharacters(bytes);
  if (!body_->runs.empty() && body_->runs.back().origin == origin) {
    body_->runs.back().end = body_->bytes.size();
  } else {
    body_->runs.push_back({body_->bytes.size(), origin});
  }
}

void TextBuilder::Append(const Text& text, size_t begin, size_t end) {
  const std::vector<Text::Run>& runs = text.runs();
  for (size_t run = FirstRun(runs, begin); begin < end; ++run) {
    const size_t until = std::min(end, runs[run].end);
    Append(text.bytes().substr(begin, until - begin), runs[run].origin);
    begin = until;
  }
}

void TextBuilder::AppendRepeated(const Text& text, int64_t times) {
  if (times <= 0 || text.empty()) return;
  // What is too much is known before the work begins.
  const bool fits = static_cast<uint64_t>(times) <= std::numeric_limits<size_t>::max() / 2 / text.size();
  if (!fits || !Grow(text.size() * static_cast<size_t>(times) + sizeof(Text::Run))) {
    if (status_.ok()) status_ = absl::ResourceExhaustedError("a text is repeated too often");
    return;
  }
  if (text.runs().size() > 1) {
    for (; times > 0 && status_.ok(); --times) Append(text);
    return;
  }
  // Of one origin: in larger pieces.
  constexpr size_t kPiece = 4096;
  const int64_t in_piece = std::min<int64_t>(times, std::max<int64_t>(1, kPiece / text.size()));
  std::string piece;
  for (int64_t i = 0; i < in_piece; ++i) piece.append(text.bytes().data(), text.size());
  for (; times >= in_piece; times -= in_piece) Append(piece, text.origin(0));
  Append(absl::string_view(piece).substr(0, text.size() * static_cast<size_t>(times)), text.origin(0));
}

absl::StatusOr<Text> TextBuilder::Build() {
  KEDGE_RETURN_IF_ERROR(status_);
  if (body_ == nullptr) return Text();
  if (account_ != nullptr) {
    KEDGE_RETURN_IF_ERROR(account_->StepBytes(body_->bytes.size()));
    body_->holding = Holding(account_, taken_);
    taken_ = 0;
  }
  return Text(std::exchange(body_, nullptr));
}

}  // namespace kedge::jinja
