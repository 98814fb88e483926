// Tested by results_test.cc.
#include "eval/results.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

// The number says what a figure means, and how it is measured: results of another one are measured anew.
constexpr char kHead[] = "kedge-eval\t2";

using Json = nlohmann::ordered_json;

// The fields of a value in one place, for reading and for writing: `field(name, member)` for each.
template <typename Field>
void Fields(EvalSettings& settings, Field field) {
  field("model", settings.model);
  field("fingerprint", settings.fingerprint);
  field("has_adapter", settings.has_adapter);
  field("numerics_class", settings.numerics_class);
  field("kv_type", settings.kv_type);
  field("text", settings.text);
  field("cases", settings.cases);
  field("lengths", settings.lengths);
}

template <typename Field>
void Fields(MeasuredPolicy& policy, Field field) {
  field("policy", policy.name);
  field("canonical_policy", policy.canonical);
  field("heads", policy.heads);
}

template <typename Field>
void Fields(MeasuredCase& made, Field field) {
  field("text", made.text);
  field("kind", made.kind);
  field("number", made.number);
  field("form", made.form);
  field("length", made.length);
  field("full_rows", made.full_rows);
  field("full_bytes", made.full_bytes);
}

template <typename Field>
void Fields(Outcome& outcome, Field field) {
  field("right", outcome.right);
  field("found", outcome.found);
  field("same", outcome.same);
  field("loss", outcome.loss);
  field("tokens", outcome.tokens);
  field("divergence", outcome.divergence);
  field("agreeing", outcome.agreeing);
  field("rows", outcome.rows);
  field("bytes", outcome.bytes);
}

template <typename Value>
void AddJson(Value value, Json* json) {
  Fields(value, [&](const char* name, const auto& member) { (*json)[name] = member; });
}

void AddField(const std::string& member, std::vector<std::string>* fields) { fields->push_back(member); }
template <typename Number>
void AddField(Number member, std::vector<std::string>* fields) {
  fields->push_back(absl::StrCat(member));
}

template <typename Value>
std::string Line(std::vector<std::string> fields, Value value) {
  Fields(value, [&](const char*, const auto& member) { AddField(member, &fields); });
  return absl::StrCat(absl::StrJoin(fields, "\t"), "\n");
}

bool Take(absl::string_view field, std::string* member) {
  *member = std::string(field);
  return true;
}
bool Take(absl::string_view field, bool* member) {
  *member = field == "1";
  return field == "0" || field == "1";
}
template <typename Number>
bool Take(absl::string_view field, Number* member) {
  return absl::SimpleAtoi(field, member);
}

// Takes fields from `index` on, all that are left.
template <typename Value>
bool TakeFields(const std::vector<absl::string_view>& fields, size_t index, Value* value) {
  bool ok = true;
  Fields(*value,
         [&](const char*, auto& member) { ok = ok && index < fields.size() && Take(fields[index++], &member); });
  return ok && index == fields.size();
}

absl::StatusOr<EvalSettings> ParseSettings(absl::string_view json) {
  try {
    EvalSettings settings;
    const Json object = Json::parse(json.begin(), json.end());
    Fields(settings, [&](const char* name, auto& member) { object.at(name).get_to(member); });
    return settings;
  } catch (const Json::exception& error) {  // the library's only way to fail
    return absl::InvalidArgumentError(error.what());
  }
}

// A line that adds a policy or case has the number that comes next.
template <typename Value>
bool TakeNumbered(const std::vector<absl::string_view>& fields, std::vector<Value>* values) {
  size_t number = 0;
  if (fields.size() < 2 || !absl::SimpleAtoi(fields[1], &number) || number != values->size()) return false;
  return TakeFields(fields, 2, &values->emplace_back());
}

bool TakeRecord(const std::vector<absl::string_view>& fields, EvalResults* results) {
  EvalRecord record;
  if (fields.size() < 3 || !Take(fields[1], &record.policy) || !Take(fields[2], &record.made) ||
      record.policy >= results->policies.size() || record.made >= results->cases.size() ||
      !TakeFields(fields, 3, &record.outcome)) {
    return false;
  }
  results->records.push_back(record);
  return true;
}

bool TakeLine(absl::string_view line, EvalResults* results) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
  if (fields[0] == "policy") return TakeNumbered(fields, &results->policies);
  if (fields[0] == "case") return TakeNumbered(fields, &results->cases);
  return fields[0] == "o" && TakeRecord(fields, results);
}

template <typename Value, typename Same>
uint32_t Number(const Value& value, std::vector<Value>* values, Same same) {
  const auto known = std::find_if(values->begin(), values->end(), same);
  const uint32_t number = static_cast<uint32_t>(known - values->begin());
  if (known == values->end()) values->push_back(value);
  return number;
}

bool IsSame(const MeasuredPolicy& a, const MeasuredPolicy& b) {
  return a.canonical == b.canonical && a.heads == b.heads;
}

}  // namespace

uint32_t EvalResults::NumberOf(const MeasuredPolicy& policy) {
  return Number(policy, &policies, [&](const MeasuredPolicy& other) { return IsSame(other, policy); });
}

uint32_t EvalResults::NumberOf(const MeasuredCase& made) {
  return Number(made, &cases, [&](const MeasuredCase& other) { return other == made; });
}

size_t EvalResults::Count(const MeasuredPolicy& policy, absl::string_view text) const {
  const auto known = std::find_if(policies.begin(), policies.end(),
                                  [&](const MeasuredPolicy& other) { return IsSame(other, policy); });
  const size_t number = known - policies.begin();
  return std::count_if(records.begin(), records.end(), [&](const EvalRecord& record) {
    return record.policy == number && cases[record.made].text == text;
  });
}

void EvalResults::Add(uint32_t policy, uint32_t made, const Outcome& outcome) {
  const bool known = std::any_of(records.begin(), records.end(), [&](const EvalRecord& record) {
    return record.policy == policy && record.made == made;
  });
  if (!known) records.push_back({policy, made, outcome});
}

std::string MissingLines(const EvalResults& results, WrittenResults* written) {
  std::string lines;
  if (written->policies + written->cases + written->records == 0) {
    Json settings;
    AddJson(results.settings, &settings);
    lines = absl::StrCat(kHead, "\nsettings\t", settings.dump(), "\n");
  }
  for (size_t& i = written->policies; i < results.policies.size(); ++i) {
    absl::StrAppend(&lines, Line({"policy", absl::StrCat(i)}, results.policies[i]));
  }
  for (size_t& i = written->cases; i < results.cases.size(); ++i) {
    absl::StrAppend(&lines, Line({"case", absl::StrCat(i)}, results.cases[i]));
  }
  for (size_t& i = written->records; i < results.records.size(); ++i) {
    const EvalRecord& record = results.records[i];
    absl::StrAppend(&lines, Line({"o", absl::StrCat(record.policy), absl::StrCat(record.made)}, record.outcome));
  }
  return lines;
}

absl::StatusOr<EvalResults> ParseResults(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  lines.pop_back();  // what stands behind the last line's end
  constexpr absl::string_view kSettings = "settings\t";
  if (lines.size() < 2 || lines[0] != kHead || !absl::StartsWith(lines[1], kSettings)) {
    return absl::InvalidArgumentError(absl::StrCat("results: it does not begin with ", kHead, " and settings"));
  }
  EvalResults results;
  KEDGE_ASSIGN_OR_RETURN(results.settings, ParseSettings(lines[1].substr(kSettings.size())));
  for (size_t i = 2; i < lines.size(); ++i) {
    if (!TakeLine(lines[i], &results)) {
      return absl::InvalidArgumentError(absl::StrCat("results: line ", i + 1, " is none: ", lines[i].substr(0, 80)));
    }
  }
  return results;
}

std::string ResultsJson(const EvalResults& results) {
  Json json;
  AddJson(results.settings, &json["settings"]);
  json["records"] = Json::array();
  for (const EvalRecord& record : results.records) {
    Json& object = json["records"].emplace_back();
    AddJson(results.policies[record.policy], &object);
    AddJson(results.cases[record.made], &object);
    AddJson(record.outcome, &object);
  }
  return json.dump(1) + "\n";
}

}  // namespace kedge
