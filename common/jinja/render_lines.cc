// Renders templates for tests: a line of JSON in, {"template": ..., "variables": {...}}, a line out: {"text": ...,
// "pieces": [[origin, text], ...]} or {"error": ...}. What stands under "inputs" in the variables' place has an origin
// of its own: {"inputs": {"name": [origin, value]}}.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/clock.h"
#include "common/jinja/template.h"

namespace {

using nlohmann::ordered_json;

ordered_json Answer(const ordered_json& request) {
  using kedge::jinja::Value;
  ordered_json answer;
  const auto parsed = kedge::jinja::Template::Parse(request.at("template").get<std::string>());
  if (!parsed.ok()) return {{"error", std::string(parsed.status().message())}, {"at", "parse"}};
  std::vector<std::pair<std::string, Value>> variables;
  for (const auto& item : request.at("variables").items()) {
    const auto value = Value::FromJson(item.value(), kedge::jinja::kTemplate);
    if (!value.ok()) return {{"error", std::string(value.status().message())}};
    variables.emplace_back(item.key(), *value);
  }
  if (request.contains("inputs")) {
    for (const auto& item : request.at("inputs").items()) {
      // A list of [origin, value]: each element has its own.
      std::vector<Value> values;
      for (const auto& input : item.value()) {
        const auto value = Value::FromJson(input.at(1), input.at(0).get<uint32_t>());
        if (!value.ok()) return {{"error", std::string(value.status().message())}};
        values.push_back(*value);
      }
      variables.emplace_back(item.key(), Value::List(std::move(values)));
    }
  }
  const auto pieces = parsed->Render(Value::Dict(std::move(variables)), absl::Now());
  if (!pieces.ok()) return {{"error", std::string(pieces.status().message())}, {"at", "render"}};
  std::string text;
  ordered_json list = ordered_json::array();
  for (const auto& piece : *pieces) {
    text += piece.text;
    list.push_back({piece.origin, piece.text});
  }
  return {{"text", text}, {"pieces", list}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);)
    std::cout << Answer(ordered_json::parse(line)).dump() << std::endl;
  return 0;
}
