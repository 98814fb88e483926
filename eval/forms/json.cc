// JSON: the value at a path of keys, where every part of the path stands elsewhere too; with line breaks, or in one
// line.
//
// Tested by forms_test.cc.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eval/forms/frame.h"
#include "eval/forms/lines.h"
#include "eval/forms/makers.h"
#include "eval/forms/words.h"

namespace kedge {
namespace {

// Writes an object, member by member, and says where each begins and ends.
class Writer {
 public:
  explicit Writer(bool pretty) : pretty_(pretty) {}
  // Where the key stands, with the brace.
  ByteRange Open(absl::string_view key) {
    const size_t begin = Key(key);
    absl::StrAppend(&text_, "{");
    ++depth_;
    is_first_ = true;
    return {begin, text_.size()};
  }
  ByteRange Member(absl::string_view key, absl::string_view value) {
    const size_t begin = Key(key);
    absl::StrAppend(&text_, value);
    return {begin, text_.size()};
  }
  void Close() {
    --depth_;
    LineBreak();
    absl::StrAppend(&text_, "}");
    is_first_ = false;
  }
  const std::string& text() const { return text_; }

 private:
  size_t Key(absl::string_view key) {
    if (text_.empty()) return 0;  // the outermost object has none
    if (!is_first_) absl::StrAppend(&text_, ",");
    LineBreak();
    is_first_ = false;
    const size_t begin = text_.size();
    absl::StrAppend(&text_, "\"", key, pretty_ ? "\": " : "\":");
    return begin;
  }
  void LineBreak() {
    if (pretty_) absl::StrAppend(&text_, "\n", std::string(2 * depth_, ' '));
  }

  const bool pretty_;
  std::string text_;
  size_t depth_ = 0;
  bool is_first_ = true;
};

struct Service {
  std::string name;
  std::string port, phone, memory;
  ByteRange name_place, port_place, phone_place, memory_place;
};

void Write(Service* service, const std::string& owner, absl::string_view region, Writer* writer) {
  service->name_place = writer->Open(service->name);
  writer->Member("region", absl::StrCat("\"", region, "\""));
  service->port_place = writer->Member("port", service->port);
  writer->Open("owner");
  writer->Member("name", absl::StrCat("\"", owner, "\""));
  service->phone_place = writer->Member("phone", absl::StrCat("\"", service->phone, "\""));
  writer->Close();
  writer->Open("limits");
  service->memory_place = writer->Member("memory", service->memory);
  writer->Close();
  writer->Close();
}

std::vector<Question> Make(const char* form, bool pretty, const TextOptions& options) {
  constexpr char kWords[] = "Here is a configuration.\n\n{t}\n\nAnswer from the JSON: {q}";
  constexpr size_t kAsked = 4;
  Random random(options.seed);
  Writer sample(pretty);
  sample.Open("");
  Service one{.name = "amber_lantern", .port = "12345", .phone = "12345", .memory = "12345"};
  Write(&one, "Clara Brandt", "Arnvik", &sample);
  const size_t tokens = TokensForText(options, kWords, "What is the value of services.amber_lantern.limits.memory?");
  const size_t most = Adjectives().size() * Nouns().size();
  const size_t count = std::min(most, LinesFor(sample.text(), tokens, kAsked, options));

  const std::vector<size_t> names = random.Order(most);
  const std::vector<std::string> numbers = DrawNumbers(5, 3 * count, &random);
  Writer writer(pretty);
  writer.Open("");
  writer.Open("services");
  std::vector<Service> services;
  for (size_t i = 0; i < count; ++i) {
    const size_t nouns = Nouns().size();
    services.push_back({.name = absl::StrCat(Adjectives()[names[i] / nouns], "_", Nouns()[names[i] % nouns]),
                        .port = numbers[3 * i],
                        .phone = numbers[3 * i + 1],
                        .memory = numbers[3 * i + 2]});
    const std::string owner = absl::StrCat(FirstNames()[random.Below(FirstNames().size())], " ",
                                           FamilyNames()[random.Below(FamilyNames().size())]);
    Write(&services.back(), owner, Towns()[random.Below(Towns().size())], &writer);
  }
  writer.Close();
  writer.Close();

  std::vector<Ask> asks;
  for (size_t i : OneOfEachPart(kAsked, count, &random)) {
    const Service& service = services[i];
    const std::pair<const char*, std::pair<std::string, ByteRange>> kPaths[] = {
        {"port", {service.port, service.port_place}},
        {"owner.phone", {service.phone, service.phone_place}},
        {"limits.memory", {service.memory, service.memory_place}}};
    const auto& [path, found] = kPaths[asks.size() % 3];
    asks.push_back({.form = form,
                    .question = absl::StrCat("What is the value of services.", service.name, ".", path, "?"),
                    .evidence = {service.name_place, found.second},
                    .check = {.answers = {found.first}},
                    .expected = absl::StrCat(found.first, ".")});
  }
  return AskAll(kWords, writer.text(), asks, options);
}

}  // namespace

std::vector<Question> MakePrettyJson(const TextOptions& options) { return Make("json", true, options); }
std::vector<Question> MakeMinifiedJson(const TextOptions& options) { return Make("json-minified", false, options); }

}  // namespace kedge
