// Table 3-7 of the Unicode Standard: the first byte fixes how many bytes follow and which values the second may take;
// all later ones are 80..BF. What matches a beginning of a row and then breaks off is a maximal subpart.
// Tested by utf8_test.cc.
#include "common/tokenizer/utf8.h"

#include <cstdint>

#include "absl/strings/strip.h"
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

std::optional<size_t> FindInvalidUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Head head = ReadUtf8(text.substr(i));
    if (head.kind != Utf8Head::Kind::kCharacter) return i;
    i += head.length;
  }
  return std::nullopt;
}

namespace {

constexpr absl::string_view kWhiteSpace[] = {
    "\t",           "\n",           "\v",           "\f",           "\r",           "\x1C",         "\x1D",
    "\x1E",         "\x1F",         " ",            "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80",
    "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87",
    "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F",
    "\xE3\x80\x80"};

}  // namespace

absl::string_view StripWhiteSpace(absl::string_view text) {
  // No character's bytes end with another character's, so the ends can be compared byte by byte.
  const auto strip_one = [&text] {
    for (const absl::string_view space : kWhiteSpace) {
      if (absl::ConsumePrefix(&text, space) || absl::ConsumeSuffix(&text, space)) return true;
    }
    return false;
  };
  while (strip_one()) {
  }
  return text;
}

}  // namespace kedge
