// Strings that know where each of their bytes came from.
#ifndef KEDGE_COMMON_JINJA_TEXT_H_
#define KEDGE_COMMON_JINJA_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/jinja/account.h"

namespace kedge::jinja {

// Where a byte of a string came from: 0 is the template's own text (its literals, and values that are given to it as
// its own, such as bos_token), any other number one that the caller chose for an input (a message, the tools). Every
// operation on strings keeps the origin of each byte; so whoever renders knows which text may become special tokens and
// where a message's content went.
using Origin = uint32_t;
inline constexpr Origin kTemplate = 0;

// An immutable string of Unicode characters, as UTF-8, with the origin of each byte. Cheap to copy. Thread-safe.
//
// There is one way to make a text from others: a TextBuilder, which copies origins with the bytes. So no operation can
// lose them.
class Text {
 public:
  // Bytes [end of the run before, end) have one origin.
  struct Run {
    size_t end;
    Origin origin;
  };

  Text() = default;
  // Bytes that are not UTF-8 become U+FFFD.
  explicit Text(absl::string_view bytes, Origin origin = kTemplate);

  absl::string_view bytes() const { return body_ == nullptr ? absl::string_view() : body_->bytes; }
  size_t size() const { return bytes().size(); }
  bool empty() const { return size() == 0; }
  // Unicode characters; counted when the text was made.
  size_t characters() const { return body_ == nullptr ? 0 : body_->characters; }
  bool ascii() const { return characters() == size(); }
  const std::vector<Run>& runs() const;
  // That of the byte at `offset`; kTemplate where there is none.
  Origin origin(size_t offset) const;
  // The offset of a character. O(1) in ASCII, else linear. REQUIRES: character <= characters().
  size_t Offset(size_t character) const;
  // Bytes [begin, end), which begin and end between characters. REQUIRES: begin <= end <= size().
  absl::StatusOr<Text> Slice(Account* account, size_t begin, size_t end) const;

 private:
  friend class TextBuilder;
  struct Body {
    std::string bytes;
    std::vector<Run> runs;
    size_t characters = 0;
    Holding holding;
  };
  explicit Text(std::shared_ptr<const Body> body) : body_(std::move(body)) {}

  std::shared_ptr<const Body> body_;
};

// Puts a text together from pieces of others and from bytes of a given origin. Owned by one thread.
class TextBuilder {
 public:
  // The memory of what is built comes from `account` (may be null: not counted).
  explicit TextBuilder(Account* account) : account_(account) {}
  TextBuilder(TextBuilder&&) = default;
  TextBuilder& operator=(TextBuilder&&) = default;
  ~TextBuilder();

  // Once the account has no more, nothing is appended and Build() tells. REQUIRES: `bytes` is UTF-8.
  void Append(absl::string_view bytes, Origin origin);
  void Append(const Text& text) { Append(text, 0, text.size()); }
  // Bytes [begin, end) of `text`. REQUIRES: begin <= end <= text.size().
  void Append(const Text& text, size_t begin, size_t end);

  // `text` so many times; none if that is negative.
  void AppendRepeated(const Text& text, int64_t times);

  size_t size() const { return body_ == nullptr ? 0 : body_->bytes.size(); }
  // Why something could not be appended.
  const absl::Status& status() const { return status_; }
  // The text; the builder is empty again.
  absl::StatusOr<Text> Build();

 private:
  bool Grow(size_t bytes);

  Account* account_;
  std::shared_ptr<Text::Body> body_;
  size_t taken_ = 0;
  absl::Status status_;
};

}  // namespace kedge::jinja

#endif  // KEDGE_COMMON_JINJA_TEXT_H_
