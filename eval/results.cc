// Tested by results_test.cc.
#include "eval/results.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

// What a figure means, and how it is measured: results of another number are measured anew.
constexpr int kResultsVersion = 1;

using Json = nlohmann::ordered_json;

// Reads and writes the fields of a value in one place: `field(name, member)` for each.
template <typename Field>
void Fields(EvalSettings& settings, Field field) {
  field("model", settings.model);
  field("fingerprint", settings.fingerprint);
  field("numerics_class", settings.numerics_class);
  field("kv_type", settings.kv_type);
  field("text", settings.text);
  field("cases", settings.cases);
  field("lengths", settings.lengths);
}

template <typename Field>
void Fields(EvalRecord& record, Field field) {
  Measure& measure = record.measure;
  field("policy", record.policy);
  field("canonical_policy", record.canonical_policy);
  field("heads", record.heads);
  field("text", record.text);
  field("form", record.form);
  field("length", record.length);
  field("cases", measure.cases);
  field("right", measure.right);
  field("same", measure.same);
  field("positions", measure.positions);
  field("agreeing", measure.agreeing);
  field("divergence", measure.divergence);
  field("surprise", measure.surprise);
  field("given", measure.given);
  field("kept_rows", measure.kept_rows);
  field("full_rows", measure.full_rows);
  field("bytes", measure.bytes);
  field("full_bytes", measure.full_bytes);
}

template <typename Value>
Json ToJson(Value value) {
  Json json;
  Fields(value, [&](const char* name, const auto& member) { json[name] = member; });
  return json;
}

template <typename Value>
Value FromJson(const Json& json) {
  Value value;
  Fields(value, [&](const char* name, auto& member) { json.at(name).get_to(member); });
  return value;
}

}  // namespace

bool EvalResults::Has(absl::string_view canonical_policy, absl::string_view heads, absl::string_view text) const {
  return std::any_of(records.begin(), records.end(), [&](const EvalRecord& record) {
    return record.canonical_policy == canonical_policy && record.heads == heads && record.text == text;
  });
}

std::string ResultsJson(const EvalResults& results) {
  Json json;
  json["version"] = kResultsVersion;
  json["settings"] = ToJson(results.settings);
  json["records"] = Json::array();
  for (const EvalRecord& record : results.records) json["records"].push_back(ToJson(record));
  return json.dump(1) + "\n";
}

absl::StatusOr<EvalResults> ParseResults(absl::string_view text) {
  try {
    const Json json = Json::parse(text.begin(), text.end());
    if (const int version = json.at("version").get<int>(); version != kResultsVersion) {
      return absl::InvalidArgumentError(absl::StrCat("results: version ", version, ", not ", kResultsVersion));
    }
    EvalResults results{.settings = FromJson<EvalSettings>(json.at("settings"))};
    for (const Json& record : json.at("records")) results.records.push_back(FromJson<EvalRecord>(record));
    return results;
  } catch (const Json::exception& error) {  // the library's only way to fail
    return absl::InvalidArgumentError(absl::StrCat("results: ", error.what()));
  }
}

}  // namespace kedge
