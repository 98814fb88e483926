// Tested by new_characters_test.cc.
#include "common/tokenizer/new_characters.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "common/base/utf8.h"
#include "common/tokenizer/new_characters_table.h"

namespace kedge {
namespace {

// What is older has one or two bytes, and the first byte of any longer character is at least this.
constexpr uint8_t kFirstByte = 0xE0;
static_assert(kNewCharacters[0].first >= 0x800);

// 0 if `code_point` is not new.
char32_t StandIn(char32_t code_point) {
  const auto* const found =
      std::lower_bound(std::begin(kNewCharacters), std::end(kNewCharacters), code_point,
                       [](const NewCharacters& range, char32_t value) { return range.last < value; });
  return found != std::end(kNewCharacters) && found->first <= code_point ? found->stand_in : 0;
}

}  // namespace

bool ReplaceNewCharacters(absl::string_view text, std::string* older) {
  bool has_new = false;
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < kFirstByte) {
      ++i;
      continue;
    }
    const Character character = ReadCharacter(text.substr(i));
    if (char32_t stand_in = StandIn(character.code_point)) {
      if (!has_new) *older = std::string(text);
      has_new = true;
      for (size_t byte = i + character.length - 1; byte > i; --byte, stand_in >>= 6) {
        (*older)[byte] = static_cast<char>(0x80 | (stand_in & 0x3F));
      }
      // The first byte's marks of the length; the stand-in has the same.
      const uint8_t marks = character.length == 3 ? 0xE0 : 0xF0;
      (*older)[i] = static_cast<char>(marks | stand_in);
    }
    i += character.length;
  }
  return has_new;
}

}  // namespace kedge
