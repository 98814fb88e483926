// Simple mappings and classes come from the C library's table for UTF-8 (glibc's C.UTF-8: every Debian has it), what
// Python calls printable from PCRE2. Unicode's special mappings are listed here: those that hold everywhere and give
// more than one character. Tested by text_test.cc.
#include "common/jinja/unicode.h"

#include <locale.h>
#include <wctype.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "absl/container/flat_hash_map.h"
#include "common/base/check.h"
#include "common/base/utf8.h"

namespace kedge::jinja {
namespace {

// Character, its upper case, its title case.
struct Special {
  char32_t character;
  absl::string_view upper;
  absl::string_view title;
};
constexpr Special kSpecials[] = {
    {0xdf, "SS", "Ss"},   {0x149, "ʼN", "ʼN"},  {0x1f0, "J̌", "J̌"},    {0x390, "Ϊ́", "Ϊ́"},      {0x3b0, "Ϋ́", "Ϋ́"},
    {0x587, "ԵՒ", "Եւ"},  {0x1e96, "H̱", "H̱"},   {0x1e97, "T̈", "T̈"},   {0x1e98, "W̊", "W̊"},     {0x1e99, "Y̊", "Y̊"},
    {0x1e9a, "Aʾ", "Aʾ"}, {0x1f50, "Υ̓", "Υ̓"},   {0x1f52, "Υ̓̀", "Υ̓̀"},   {0x1f54, "Υ̓́", "Υ̓́"},     {0x1f56, "Υ̓͂", "Υ̓͂"},
    {0x1f80, "ἈΙ", "ᾈ"},  {0x1f81, "ἉΙ", "ᾉ"},  {0x1f82, "ἊΙ", "ᾊ"},  {0x1f83, "ἋΙ", "ᾋ"},    {0x1f84, "ἌΙ", "ᾌ"},
    {0x1f85, "ἍΙ", "ᾍ"},  {0x1f86, "ἎΙ", "ᾎ"},  {0x1f87, "ἏΙ", "ᾏ"},  {0x1f88, "ἈΙ", "ᾈ"},    {0x1f89, "ἉΙ", "ᾉ"},
    {0x1f8a, "ἊΙ", "ᾊ"},  {0x1f8b, "ἋΙ", "ᾋ"},  {0x1f8c, "ἌΙ", "ᾌ"},  {0x1f8d, "ἍΙ", "ᾍ"},    {0x1f8e, "ἎΙ", "ᾎ"},
    {0x1f8f, "ἏΙ", "ᾏ"},  {0x1f90, "ἨΙ", "ᾘ"},  {0x1f91, "ἩΙ", "ᾙ"},  {0x1f92, "ἪΙ", "ᾚ"},    {0x1f93, "ἫΙ", "ᾛ"},
    {0x1f94, "ἬΙ", "ᾜ"},  {0x1f95, "ἭΙ", "ᾝ"},  {0x1f96, "ἮΙ", "ᾞ"},  {0x1f97, "ἯΙ", "ᾟ"},    {0x1f98, "ἨΙ", "ᾘ"},
    {0x1f99, "ἩΙ", "ᾙ"},  {0x1f9a, "ἪΙ", "ᾚ"},  {0x1f9b, "ἫΙ", "ᾛ"},  {0x1f9c, "ἬΙ", "ᾜ"},    {0x1f9d, "ἭΙ", "ᾝ"},
    {0x1f9e, "ἮΙ", "ᾞ"},  {0x1f9f, "ἯΙ", "ᾟ"},  {0x1fa0, "ὨΙ", "ᾨ"},  {0x1fa1, "ὩΙ", "ᾩ"},    {0x1fa2, "ὪΙ", "ᾪ"},
    {0x1fa3, "ὫΙ", "ᾫ"},  {0x1fa4, "ὬΙ", "ᾬ"},  {0x1fa5, "ὭΙ", "ᾭ"},  {0x1fa6, "ὮΙ", "ᾮ"},    {0x1fa7, "ὯΙ", "ᾯ"},
    {0x1fa8, "ὨΙ", "ᾨ"},  {0x1fa9, "ὩΙ", "ᾩ"},  {0x1faa, "ὪΙ", "ᾪ"},  {0x1fab, "ὫΙ", "ᾫ"},    {0x1fac, "ὬΙ", "ᾬ"},
    {0x1fad, "ὭΙ", "ᾭ"},  {0x1fae, "ὮΙ", "ᾮ"},  {0x1faf, "ὯΙ", "ᾯ"},  {0x1fb2, "ᾺΙ", "Ὰͅ"},    {0x1fb3, "ΑΙ", "ᾼ"},
    {0x1fb4, "ΆΙ", "Άͅ"},  {0x1fb6, "Α͂", "Α͂"},   {0x1fb7, "Α͂Ι", "ᾼ͂"},  {0x1fbc, "ΑΙ", "ᾼ"},    {0x1fc2, "ῊΙ", "Ὴͅ"},
    {0x1fc3, "ΗΙ", "ῌ"},  {0x1fc4, "ΉΙ", "Ήͅ"},  {0x1fc6, "Η͂", "Η͂"},   {0x1fc7, "Η͂Ι", "ῌ͂"},    {0x1fcc, "ΗΙ", "ῌ"},
    {0x1fd2, "Ϊ̀", "Ϊ̀"},   {0x1fd3, "Ϊ́", "Ϊ́"},   {0x1fd6, "Ι͂", "Ι͂"},   {0x1fd7, "Ϊ͂", "Ϊ͂"},     {0x1fe2, "Ϋ̀", "Ϋ̀"},
    {0x1fe3, "Ϋ́", "Ϋ́"},   {0x1fe4, "Ρ̓", "Ρ̓"},   {0x1fe6, "Υ͂", "Υ͂"},   {0x1fe7, "Ϋ͂", "Ϋ͂"},     {0x1ff2, "ῺΙ", "Ὼͅ"},
    {0x1ff3, "ΩΙ", "ῼ"},  {0x1ff4, "ΏΙ", "Ώͅ"},  {0x1ff6, "Ω͂", "Ω͂"},   {0x1ff7, "Ω͂Ι", "ῼ͂"},    {0x1ffc, "ΩΙ", "ῼ"},
    {0xfb00, "FF", "Ff"}, {0xfb01, "FI", "Fi"}, {0xfb02, "FL", "Fl"}, {0xfb03, "FFI", "Ffi"}, {0xfb04, "FFL", "Ffl"},
    {0xfb05, "ST", "St"}, {0xfb06, "ST", "St"}, {0xfb13, "ՄՆ", "Մն"}, {0xfb14, "ՄԵ", "Մե"},   {0xfb15, "ՄԻ", "Մի"},
    {0xfb16, "ՎՆ", "Վն"}, {0xfb17, "ՄԽ", "Մխ"},
};

const Special* FindSpecial(char32_t character) {
  static const auto* const table = [] {
    auto* map = new absl::flat_hash_map<char32_t, const Special*>();
    for (const Special& special : kSpecials) map->emplace(special.character, &special);
    return map;
  }();
  const auto found = table->find(character);
  return found == table->end() ? nullptr : found->second;
}

locale_t Utf8Locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;  // null where the C library has none: ASCII alone has case then
}

char32_t MapCase(char32_t character, wint_t (*map)(wint_t, locale_t)) {
  if (character < 0x80 || Utf8Locale() == nullptr) {
    return map == &towupper_l ? (character >= 'a' && character <= 'z' ? character - 32 : character)
                              : (character >= 'A' && character <= 'Z' ? character + 32 : character);
  }
  return map(character, Utf8Locale());
}

std::string Encoded(char32_t character) {
  std::string text;
  AppendCharacter(character, text);
  return text;
}

// One class of characters, as a pattern of PCRE2 that matches one of them. Lives as long as the process. Thread-safe.
class CharacterClass {
 public:
  explicit CharacterClass(const char* pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_ANCHORED,
                          &error, &offset, nullptr);
    KEDGE_CHECK(code_ != nullptr);
  }
  bool Has(char32_t character) const {
    const std::string text = Encoded(character);
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    const int matches = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                    PCRE2_NO_UTF_CHECK, data, nullptr);
    pcre2_match_data_free(data);
    return matches > 0;
  }

 private:
  pcre2_code* code_;
};

}  // namespace

size_t CountCharacters(absl::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
  return count;
}

char32_t FirstCharacter(absl::string_view text) { return ReadCharacter(text).code_point; }

void AppendCharacter(char32_t character, std::string& to) {
  if (character < 0x80) {
    to.push_back(static_cast<char>(character));
    return;
  }
  const int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  const char32_t head[] = {0, 0xC0, 0xE0, 0xF0};
  to.push_back(static_cast<char>(head[more] | character >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) to.push_back(static_cast<char>(0x80 | (character >> (6 * i) & 0x3F)));
}

std::string ValidUtf8(absl::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const Utf8Head head = ReadUtf8(text);
    const bool good = head.kind == Utf8Head::Kind::kCharacter;
    const absl::string_view piece = good ? text.substr(0, head.length) : kReplacementCharacter;
    valid.append(piece.data(), piece.size());
    text.remove_prefix(head.length);
  }
  return valid;
}

std::string ToUpper(char32_t character) {
  if (const Special* special = FindSpecial(character)) return std::string(special->upper);
  return Encoded(MapCase(character, &towupper_l));
}

std::string ToLower(char32_t character) {
  if (character == 0x130) return "i\u0307";  // the only special one
  return Encoded(MapCase(character, &towlower_l));
}

std::string ToTitle(char32_t character) {
  if (const Special* special = FindSpecial(character)) return std::string(special->title);
  if (character >= 0x10D0 && character <= 0x10FF) return Encoded(character);  // Georgian has no title case
  if (character >= 0x1C4 && character <= 0x1CC) return Encoded(0x1C5 + (character - 0x1C4) / 3 * 3);  // DŽ, LJ, NJ
  if (character >= 0x1F1 && character <= 0x1F3) return Encoded(0x1F2);                                // DZ
  return Encoded(MapCase(character, &towupper_l));
}

bool IsUpper(char32_t character) {
  static const CharacterClass* const upper = new CharacterClass(R"([\p{Lu}\x{2160}-\x{216F}\x{24B6}-\x{24CF}])");
  return character < 0x80 ? character >= 'A' && character <= 'Z' : upper->Has(character);
}

bool IsLower(char32_t character) {
  static const CharacterClass* const lower =
      new CharacterClass(R"([\p{Ll}ªº\x{2170}-\x{217F}\x{24D0}-\x{24E9}\x{2B0}-\x{2B8}\x{2C0}\x{2C1}\x{2E0}-\x{2E4}])");
  return character < 0x80 ? character >= 'a' && character <= 'z' : lower->Has(character);
}

bool IsCased(char32_t character) {
  static const CharacterClass* const title = new CharacterClass(R"(\p{Lt})");
  return IsUpper(character) || IsLower(character) || (character >= 0x80 && title->Has(character));
}

bool IsSpace(char32_t character) { return IsWhiteSpace(character); }

bool IsAlpha(char32_t character) {
  static const CharacterClass* const letters = new CharacterClass(R"(\p{L})");
  if (character < 0x80) return IsUpper(character) || IsLower(character);
  return letters->Has(character);
}

bool IsDecimal(char32_t character) {
  static const CharacterClass* const digits = new CharacterClass(R"(\p{Nd})");
  return character < 0x80 ? character >= '0' && character <= '9' : digits->Has(character);
}

bool IsDigit(char32_t character) {
  // Superscripts, subscripts, and the digits 1 to 9 in circles, brackets and with full stops.
  static const CharacterClass* const others = new CharacterClass(
      R"([²³¹\x{1369}-\x{1371}\x{19DA}\x{2070}\x{2074}-\x{2079}\x{2080}-\x{2089}\x{2460}-\x{2468}\x{2474}-\x{247C})"
      R"(\x{2488}-\x{2490}\x{24EA}\x{24F5}-\x{24FD}\x{24FF}\x{2776}-\x{277E}\x{2780}-\x{2788}\x{278A}-\x{2792}])");
  return IsDecimal(character) || (character >= 0x80 && others->Has(character));
}

bool IsNumeric(char32_t character) {
  static const CharacterClass* const numbers = new CharacterClass(R"(\p{N})");
  return IsDecimal(character) || (character >= 0x80 && numbers->Has(character));
}

bool IsAscii(char32_t character) { return character < 0x80; }

bool IsPrintable(char32_t character) {
  static const CharacterClass* const hidden = new CharacterClass(R"([\p{C}\p{Z}])");
  return character < 0x7F ? character >= ' ' : !hidden->Has(character);
}

bool IsLineBreak(char32_t character) {
  return (character >= 0x0A && character <= 0x0D) || (character >= 0x1C && character <= 0x1E) || character == 0x85 ||
         character == 0x2028 || character == 0x2029;
}

}  // namespace kedge::jinja
