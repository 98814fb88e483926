// Table 3-7 of the Unicode Standard: the first byte fixes how many bytes follow and which values the second may take;
// all later ones are 80..BF. What matches a beginning of a row and then breaks off is a maximal subpart.
// Tested by utf8_test.cc.
#include "common/base/utf8.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"

namespace kedge {

Utf8Head ReadUtf8(absl::string_view bytes) {
  KEDGE_CHECK(!bytes.empty());
  const uint8_t first = static_cast<uint8_t>(bytes[0]);
  if (first < 0x80) return {Utf8Head::Kind::kCharacter, 1};
  if (first < 0xC2 || first > 0xF4) return {Utf8Head::Kind::kInvalid, 1};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first == 0xE0) low = 0xA0;   // below: overlong
  if (first == 0xED) high = 0x9F;  // above: surrogates
  if (first == 0xF0) low = 0x90;   // below: overlong
  if (first == 0xF4) high = 0x8F;  // above: past U+10FFFF
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Utf8Head::Kind::kIncomplete, i};
    const uint8_t byte = static_cast<uint8_t>(bytes[i]);
    if (byte < low || byte > high) return {Utf8Head::Kind::kInvalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Head::Kind::kCharacter, length};
}

Character ReadCharacter(absl::string_view text) {
  KEDGE_CHECK(!text.empty());
  const uint8_t first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return {first, 1};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  KEDGE_CHECK(length <= text.size());
  char32_t code_point = first & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) code_point = code_point << 6 | (static_cast<uint8_t>(text[i]) & 0x3F);
  return {code_point, length};
}

Character ReadLastCharacter(absl::string_view text) {
  KEDGE_CHECK(!text.empty());
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;  // within a character
  return ReadCharacter(text.substr(begin));
}

bool IsWhiteSpace(char32_t code_point) {
  return (code_point >= 0x09 && code_point <= 0x0D) || (code_point >= 0x1C && code_point <= 0x20) ||
         code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202F || code_point == 0x205F || code_point == 0x3000;
}

std::optional<size_t> FindInvalidUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Head head = ReadUtf8(text.substr(i));
    if (head.kind != Utf8Head::Kind::kCharacter) return i;
    i += head.length;
  }
  return std::nullopt;
}

namespace {

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

// Separators of lines, and what turns the direction of the text behind it.
bool IsLayout(char32_t c) {
  return c == 0x61C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

// One character, or bytes that are none, as Printable shows it.
std::string Shown(absl::string_view part, Utf8Head::Kind kind) {
  std::string shown;
  if (kind != Utf8Head::Kind::kCharacter) {
    for (const char byte : part) absl::StrAppendFormat(&shown, "\\x%02x", static_cast<uint8_t>(byte));
    return shown;
  }
  const char32_t character = ReadCharacter(part).code_point;
  if (character == '\n') return "\\n";
  if (character == '\t') return "\\t";
  if (!IsControl(character) && !IsLayout(character)) return std::string(part);
  const auto code = static_cast<uint32_t>(character);
  return code < 0x100 ? absl::StrFormat("\\x%02x", code) : absl::StrFormat("\\u%04x", code);
}

}  // namespace

std::string Printable(absl::string_view bytes) { return PrintableLine(bytes, std::string::npos); }

std::string PrintableLine(absl::string_view bytes, size_t most) {
  std::string line;
  size_t whole = 0;  // of it, so much leaves room for the dots
  while (!bytes.empty()) {
    const Utf8Head head = ReadUtf8(bytes);
    line += Shown(bytes.substr(0, head.length), head.kind);
    bytes.remove_prefix(head.length);
    if (line.size() > most) return line.substr(0, whole) + "...";
    if (line.size() <= most - 3) whole = line.size();
  }
  return line;
}

std::string ForTerminal(absl::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const Utf8Head head = ReadUtf8(text);
    const absl::string_view part = text.substr(0, head.length);
    text.remove_prefix(head.length);
    const bool is_shown = head.kind == Utf8Head::Kind::kCharacter &&
                          (part == "\n" || part == "\t" || !IsControl(ReadCharacter(part).code_point));
    absl::StrAppend(&shown, is_shown ? part : kReplacementCharacter);
  }
  return shown;
}

absl::string_view StripWhiteSpaceLeft(absl::string_view text) {
  while (!text.empty()) {
    const Character first = ReadCharacter(text);
    if (!IsWhiteSpace(first.code_point)) break;
    text.remove_prefix(first.length);
  }
  return text;
}

absl::string_view StripWhiteSpaceRight(absl::string_view text) {
  while (!text.empty()) {
    const Character last = ReadLastCharacter(text);
    if (!IsWhiteSpace(last.code_point)) break;
    text.remove_suffix(last.length);
  }
  return text;
}

absl::string_view StripWhiteSpace(absl::string_view text) { return StripWhiteSpaceLeft(StripWhiteSpaceRight(text)); }

}  // namespace kedge
