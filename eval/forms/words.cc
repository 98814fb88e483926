// Tested by words_test.cc.
#include "eval/forms/words.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {

absl::Span<const absl::string_view> Adjectives() {
  static constexpr absl::string_view kWords[] = {
      "amber",   "brisk",  "calm",    "dusty",  "eager",  "faded",   "gentle", "hollow", "idle",    "jolly",
      "keen",    "lively", "mellow",  "narrow", "oblong", "pale",    "quiet",  "rusty",  "silent",  "tidy",
      "upright", "velvet", "wobbly",  "woolly", "zesty",  "crooked", "frosty", "humble", "nimble",  "polite",
      "shallow", "sturdy", "thirsty", "vivid",  "weary",  "bitter",  "curly",  "double", "elegant", "fragile"};
  return kWords;
}

absl::Span<const absl::string_view> Nouns() {
  static constexpr absl::string_view kWords[] = {
      "anchor", "basket", "candle",  "drawer", "engine", "feather", "guitar", "hammock", "inkpot", "jacket",
      "kettle", "ladle",  "magnet",  "needle", "oven",   "pillow",  "quilt",  "ribbon",  "saddle", "teapot",
      "urn",    "vase",   "wagon",   "yarn",   "zipper", "bucket",  "carpet", "dagger",  "easel",  "fiddle",
      "gate",   "helmet", "inkwell", "jug",    "kite",   "lantern", "mallet", "napkin",  "oar",    "parasol"};
  return kWords;
}

absl::Span<const absl::string_view> RareNouns() {
  static constexpr absl::string_view kWords[] = {
      "alabaster", "bergamot", "cardamom",  "dandelion",    "eucalyptus",   "flamingo",  "gargoyle", "hyacinth",
      "iguana",    "jasmine",  "kangaroo",  "labyrinth",    "marzipan",     "narwhal",   "obelisk",  "platypus",
      "quartz",    "rhubarb",  "sycamore",  "tamarind",     "ukulele",      "vermilion", "walrus",   "xylophone",
      "yoghurt",   "zeppelin", "artichoke", "butterscotch", "chandelier",   "dulcimer",  "espresso", "falafel",
      "gondola",   "hibiscus", "icicle",    "juniper",      "kaleidoscope", "limestone", "mandolin", "nectarine"};
  return kWords;
}

absl::Span<const absl::string_view> FirstNames() {
  static constexpr absl::string_view kWords[] = {
      "Agnes",   "Bruno",  "Clara",   "Dorian", "Edith",  "Felix",  "Gloria",  "Hector", "Ingrid", "Julian",
      "Kirsten", "Lorenz", "Marta",   "Nestor", "Odette", "Pascal", "Quentin", "Renata", "Stefan", "Tamara",
      "Ulrich",  "Verena", "Wilhelm", "Xenia",  "Yvonne", "Zoltan", "Aurelia", "Basil",  "Cosima", "Damian"};
  return kWords;
}

absl::Span<const absl::string_view> FamilyNames() {
  static constexpr absl::string_view kWords[] = {
      "Achterberg", "Bielski",   "Carvalho", "Drozdov",   "Engström",  "Falkner",  "Grimaldi",   "Hollander",
      "Iwasaki",    "Jurgens",   "Kasparov", "Lombardi",  "Mbeki",     "Nakamura", "Oduya",      "Pasternak",
      "Quiroga",    "Rasmussen", "Sandoval", "Takahashi", "Umarov",    "Vasquez",  "Wiśniewski", "Ximenes",
      "Yilmaz",     "Zhukov",    "Almeida",  "Brandt",    "Castellan", "Dimitrov"};
  return kWords;
}

absl::Span<const absl::string_view> Towns() {
  static constexpr absl::string_view kWords[] = {
      "Arnvik",   "Belcastro",  "Corvale",   "Dravograd",  "Elmsworth", "Fjellheim", "Gravenhof", "Hartsfield",
      "Ilmenau",  "Jorvale",    "Kestrelby", "Lundmoor",   "Marschall", "Norwick",   "Ostrava",   "Pellworm",
      "Quarnero", "Ravensholm", "Sandvika",  "Thornbury",  "Ulverton",  "Valmora",   "Westerloo", "Yarrowgate",
      "Zelenik",  "Ambermoor",  "Bridgend",  "Cloverdale", "Duskwater", "Eastmarch"};
  return kWords;
}

std::vector<std::string> Draw(absl::Span<const absl::string_view> words, size_t count, Random* random) {
  KEDGE_CHECK(count <= words.size());
  const std::vector<size_t> order = random->Order(words.size());
  std::vector<std::string> drawn;
  for (size_t i = 0; i < count; ++i) drawn.emplace_back(words[order[i]]);
  return drawn;
}

std::vector<std::string> DrawNumbers(int digits, size_t count, Random* random) {
  uint64_t power = 1;
  for (int i = 1; i < digits; ++i) power *= 10;
  KEDGE_CHECK(count <= 9 * power);
  std::vector<std::string> drawn;
  while (drawn.size() < count) {
    std::string number = absl::StrCat(power + random->Below(9 * power));
    if (std::find(drawn.begin(), drawn.end(), number) == drawn.end()) drawn.push_back(std::move(number));
  }
  return drawn;
}

std::string DrawLetters(absl::string_view alphabet, size_t count, Random* random) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += alphabet[random->Below(alphabet.size())];
  return text;
}

std::string DrawUuid(Random* random) {
  constexpr absl::string_view kHex = "0123456789abcdef";
  std::string uuid;
  for (size_t group : {8, 4, 4, 4, 12}) {
    absl::StrAppend(&uuid, uuid.empty() ? "" : "-", DrawLetters(kHex, group, random));
  }
  uuid[14] = '4';
  uuid[19] = "89ab"[random->Below(4)];
  return uuid;
}

}  // namespace kedge
