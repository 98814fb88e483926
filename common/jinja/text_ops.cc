// Tested by text_test.cc.
#include "common/jinja/text_ops.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/jinja/unicode.h"

namespace kedge::jinja {
namespace {

// Characters between [begin, end) mapped one by one.
template <typename Map>
absl::StatusOr<Text> MapCharacters(Account* account, const Text& text, Map map) {
  TextBuilder builder(account);
  const absl::string_view bytes = text.bytes();
  KEDGE_RETURN_IF_ERROR(account->Step(static_cast<int64_t>(bytes.size() / 16)));
  size_t offset = 0;
  for (const Text::Run& run : text.runs()) {
    std::string mapped;
    while (offset < run.end) {
      const size_t length = CharacterLength(bytes[offset]);
      mapped += map(FirstCharacter(bytes.substr(offset, length)), offset);
      offset += length;
    }
    builder.Append(mapped, run.origin);
  }
  return builder.Build();
}

// Of the character before `offset`.
size_t CharacterBegin(absl::string_view bytes, size_t offset) {
  do --offset;
  while ((static_cast<uint8_t>(bytes[offset]) & 0xC0) == 0x80);
  return offset;
}

bool IsIn(absl::string_view character, std::optional<absl::string_view> set) {
  return set.has_value() ? absl::StrContains(*set, character) : IsSpace(FirstCharacter(character));
}

// Whether a small sigma at `offset` stands at the end of a word.
bool EndsWord(absl::string_view bytes, size_t offset, size_t length) {
  bool begun = false;
  for (size_t at = offset; at > 0 && !begun;) {
    at = CharacterBegin(bytes, at);
    const char32_t character = FirstCharacter(bytes.substr(at));
    if (character == '\'' || character == 0x2019 || character == 0xAD) continue;
    if (!IsCased(character)) return false;
    begun = true;
  }
  if (!begun) return false;
  for (size_t at = offset + length; at < bytes.size(); at += CharacterLength(bytes[at])) {
    const char32_t character = FirstCharacter(bytes.substr(at));
    if (character == '\'' || character == 0x2019 || character == 0xAD) continue;
    return !IsCased(character);
  }
  return true;
}

std::string LowerAt(char32_t character, absl::string_view bytes, size_t offset) {
  if (character == 0x3A3 && EndsWord(bytes, offset, 2)) return "ς";
  return ToLower(character);
}

// Pieces of one text, by cuts.
class Cutter {
 public:
  Cutter(Account* account, const Text& text) : account_(account), text_(text) {}

  absl::Status Piece(size_t begin, size_t end) {
    KEDGE_RETURN_IF_ERROR(account_->Step());
    KEDGE_ASSIGN_OR_RETURN(pieces_.emplace_back(), text_.Slice(account_, begin, end));
    return absl::OkStatus();
  }
  std::vector<Text> Take(bool reverse) {
    if (reverse) std::reverse(pieces_.begin(), pieces_.end());
    return std::move(pieces_);
  }

 private:
  Account* account_;
  const Text& text_;
  std::vector<Text> pieces_;
};

absl::StatusOr<std::vector<Text>> SplitAtSpace(Account* account, const Text& text, int64_t count, bool from_right) {
  Cutter cutter(account, text);
  const absl::string_view bytes = text.bytes();
  if (from_right) {
    absl::string_view rest = StripWhiteSpaceRight(bytes);
    while (!rest.empty()) {
      size_t begin = rest.size();
      while (begin > 0) {
        const size_t before = CharacterBegin(rest, begin);
        if (IsSpace(FirstCharacter(rest.substr(before)))) break;
        begin = before;
      }
      if (count == 0) begin = 0;
      KEDGE_RETURN_IF_ERROR(cutter.Piece(begin, rest.size()));
      rest = StripWhiteSpaceRight(rest.substr(0, begin));
      --count;
    }
    return cutter.Take(true);
  }
  absl::string_view rest = StripWhiteSpaceLeft(bytes);
  while (!rest.empty()) {
    const size_t begin = bytes.size() - rest.size();
    size_t length = 0;
    while (length < rest.size() && !IsSpace(FirstCharacter(rest.substr(length)))) {
      length += CharacterLength(rest[length]);
    }
    if (count == 0) length = rest.size();
    KEDGE_RETURN_IF_ERROR(cutter.Piece(begin, begin + length));
    rest = StripWhiteSpaceLeft(rest.substr(length));
    --count;
  }
  return cutter.Take(false);
}

}  // namespace

absl::StatusOr<Text> Strip(Account* account, const Text& text, Side side, std::optional<absl::string_view> set) {
  const absl::string_view bytes = text.bytes();
  size_t begin = 0;
  size_t end = bytes.size();
  while (side != Side::kRight && begin < end) {
    const size_t length = CharacterLength(bytes[begin]);
    if (!IsIn(bytes.substr(begin, length), set)) break;
    begin += length;
  }
  while (side != Side::kLeft && begin < end) {
    const size_t last = CharacterBegin(bytes, end);
    if (!IsIn(bytes.substr(last, end - last), set)) break;
    end = last;
  }
  return text.Slice(account, begin, end);
}

absl::StatusOr<Text> Replace(Account* account, const Text& text, const Text& from, const Text& to, int64_t count) {
  const absl::string_view bytes = text.bytes();
  TextBuilder builder(account);
  size_t copied = 0;
  if (from.empty()) {  // between all characters
    size_t offset = 0;
    while (count != 0) {
      builder.Append(text, copied, offset);
      builder.Append(to);
      KEDGE_RETURN_IF_ERROR(builder.status());
      copied = offset;
      --count;
      if (offset == bytes.size()) break;
      offset += CharacterLength(bytes[offset]);
    }
  } else {
    // A search may compare all of `from` at each place.
    KEDGE_RETURN_IF_ERROR(account->StepBytes(text.size() * from.size()));
    for (size_t found = bytes.find(from.bytes()); found != absl::string_view::npos && count != 0;
         found = bytes.find(from.bytes(), copied)) {
      builder.Append(text, copied, found);
      builder.Append(to);
      KEDGE_RETURN_IF_ERROR(builder.status());
      copied = found + from.size();
      --count;
    }
    if (copied == 0) return text;
  }
  builder.Append(text, copied, bytes.size());
  return builder.Build();
}

absl::StatusOr<std::vector<Text>> Split(Account* account, const Text& text, std::optional<absl::string_view> separator,
                                        int64_t count, bool from_right) {
  if (!separator.has_value()) return SplitAtSpace(account, text, count, from_right);
  KEDGE_RETURN_IF_ERROR(account->StepBytes(text.size() * separator->size()));  // as for Replace
  Cutter cutter(account, text);
  const absl::string_view bytes = text.bytes();
  if (from_right) {
    size_t end = bytes.size();
    for (; count != 0; --count) {
      const size_t found =
          end < separator->size() ? absl::string_view::npos : bytes.rfind(*separator, end - separator->size());
      if (found == absl::string_view::npos) break;
      KEDGE_RETURN_IF_ERROR(cutter.Piece(found + separator->size(), end));
      end = found;
    }
    KEDGE_RETURN_IF_ERROR(cutter.Piece(0, end));
    return cutter.Take(true);
  }
  size_t begin = 0;
  for (; count != 0; --count) {
    const size_t found = bytes.find(*separator, begin);
    if (found == absl::string_view::npos) break;
    KEDGE_RETURN_IF_ERROR(cutter.Piece(begin, found));
    begin = found + separator->size();
  }
  KEDGE_RETURN_IF_ERROR(cutter.Piece(begin, bytes.size()));
  return cutter.Take(false);
}

absl::StatusOr<std::vector<Text>> SplitLines(Account* account, const Text& text, bool keep_ends) {
  Cutter cutter(account, text);
  const absl::string_view bytes = text.bytes();
  size_t begin = 0;
  for (size_t offset = 0; offset < bytes.size();) {
    size_t length = CharacterLength(bytes[offset]);
    if (!IsLineBreak(FirstCharacter(bytes.substr(offset)))) {
      offset += length;
      continue;
    }
    if (absl::StartsWith(bytes.substr(offset), "\r\n")) length = 2;
    KEDGE_RETURN_IF_ERROR(cutter.Piece(begin, keep_ends ? offset + length : offset));
    offset += length;
    begin = offset;
  }
  if (begin < bytes.size()) KEDGE_RETURN_IF_ERROR(cutter.Piece(begin, bytes.size()));
  return cutter.Take(false);
}

absl::StatusOr<Text> Upper(Account* account, const Text& text) {
  return MapCharacters(account, text, [](char32_t character, size_t) { return ToUpper(character); });
}

absl::StatusOr<Text> Lower(Account* account, const Text& text) {
  return MapCharacters(account, text, [bytes = text.bytes()](char32_t character, size_t offset) {
    return LowerAt(character, bytes, offset);
  });
}

absl::StatusOr<Text> Title(Account* account, const Text& text) {
  bool within = false;  // a character with a case stands before
  return MapCharacters(account, text, [&, bytes = text.bytes()](char32_t character, size_t offset) {
    const bool first = !within;
    within = IsCased(character);
    return first ? ToTitle(character) : LowerAt(character, bytes, offset);
  });
}

absl::StatusOr<Text> Capitalize(Account* account, const Text& text) {
  return MapCharacters(account, text, [bytes = text.bytes()](char32_t character, size_t offset) {
    return offset == 0 ? ToTitle(character) : LowerAt(character, bytes, offset);
  });
}

absl::StatusOr<Text> SwapCase(Account* account, const Text& text) {
  return MapCharacters(account, text, [bytes = text.bytes()](char32_t character, size_t offset) {
    if (IsUpper(character)) return LowerAt(character, bytes, offset);
    return IsLower(character) ? ToUpper(character) : std::string(bytes.substr(offset, CharacterLength(bytes[offset])));
  });
}

absl::StatusOr<Text> Pad(Account* account, const Text& text, int64_t left, int64_t right, const Text& fill) {
  if (left <= 0 && right <= 0) return text;
  TextBuilder builder(account);
  builder.AppendRepeated(fill, left);
  builder.Append(text);
  builder.AppendRepeated(fill, right);
  return builder.Build();
}

}  // namespace kedge::jinja
