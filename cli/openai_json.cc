// Only forms are checked here; values are the server's business.
//
// Tested by openai_json_test.cc.
#include "cli/openai_json.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/json_text.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

using Json = nlohmann::ordered_json;

absl::Status Wrong(absl::string_view path, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat(path, path.empty() ? "" : ": ", fault));
}

// The members of one object of the list.
class ObjectReader {
 public:
  static absl::StatusOr<ObjectReader> Open(const Json& json, std::string path,
                                           std::initializer_list<absl::string_view> known) {
    if (!json.is_object()) return Wrong(path, "must be an object");
    for (const auto& [name, value] : json.items()) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      return Wrong(absl::StrCat(path, ".", Printable(name)),
                   absl::StrCat("is not known; known are ", absl::StrJoin(known, ", ")));
    }
    return ObjectReader(&json, std::move(path));
  }

  // Null where there is no such member.
  const Json* Find(const char* name) const {
    const auto found = json_->find(name);
    return found == json_->end() || found->is_null() ? nullptr : &*found;
  }
  absl::StatusOr<std::optional<std::string>> Text(const char* name) const {
    const Json* const value = Find(name);
    if (value == nullptr) return std::optional<std::string>();
    if (!value->is_string()) return Wrong(PathOf(name), "must be a string");
    return std::optional<std::string>(value->get<std::string>());
  }
  absl::StatusOr<std::string> NeededText(const char* name) const {
    KEDGE_ASSIGN_OR_RETURN(std::optional<std::string> text, Text(name));
    if (!text.has_value()) return Wrong(PathOf(name), "must be a string");
    return *std::move(text);
  }
  // The text of an object, or what is written in the place of one.
  absl::StatusOr<std::optional<std::string>> ObjectText(const char* name) const {
    const Json* const value = Find(name);
    if (value == nullptr || !value->is_object()) return Text(name);
    return std::optional<std::string>(value->dump());
  }
  absl::Status CheckType() const {
    KEDGE_ASSIGN_OR_RETURN(const std::optional<std::string> type, Text("type"));
    if (type.value_or("function") == "function") return absl::OkStatus();
    return Wrong(PathOf("type"), "must be function");
  }
  std::string PathOf(absl::string_view name) const { return absl::StrCat(path_, ".", name); }

 private:
  ObjectReader(const Json* json, std::string path) : json_(json), path_(std::move(path)) {}

  const Json* json_;
  std::string path_;
};

// A text, or a list of parts of text, which templates see as one: as vLLM and transformers join them.
absl::StatusOr<std::optional<std::string>> ReadContent(const ObjectReader& message) {
  const Json* const content = message.Find("content");
  if (content == nullptr || !content->is_array()) return message.Text("content");
  std::vector<std::string> texts;
  for (size_t i = 0; i < content->size(); ++i) {
    const std::string path = absl::StrCat(message.PathOf("content"), "[", i, "]");
    const Json& json = (*content)[i];
    if (!json.is_object()) return Wrong(path, "must be an object");
    const auto type = json.find("type");
    if (type == json.end() || !type->is_string()) return Wrong(absl::StrCat(path, ".type"), "must be a string");
    if (*type != "text") {
      return Wrong(absl::StrCat(path, ".type"),
                   absl::StrCat("is ", Printable(type->get<std::string>()), "; models here read text alone"));
    }
    KEDGE_ASSIGN_OR_RETURN(const ObjectReader part, ObjectReader::Open(json, path, {"type", "text"}));
    KEDGE_ASSIGN_OR_RETURN(texts.emplace_back(), part.NeededText("text"));
  }
  return std::optional<std::string>(absl::StrJoin(texts, "\n"));
}

absl::StatusOr<ToolCall> ReadCall(const Json& json, const std::string& path) {
  KEDGE_ASSIGN_OR_RETURN(const ObjectReader call, ObjectReader::Open(json, path, {"id", "type", "function", "index"}));
  KEDGE_RETURN_IF_ERROR(call.CheckType());
  if (call.Find("function") == nullptr) return Wrong(call.PathOf("function"), "must be an object");
  KEDGE_ASSIGN_OR_RETURN(const ObjectReader function,
                         ObjectReader::Open(*call.Find("function"), call.PathOf("function"), {"name", "arguments"}));
  ToolCall result;
  KEDGE_ASSIGN_OR_RETURN(const std::optional<std::string> id, call.Text("id"));
  result.id = id.value_or("");
  KEDGE_ASSIGN_OR_RETURN(result.name, function.NeededText("name"));
  KEDGE_ASSIGN_OR_RETURN(const std::optional<std::string> arguments, function.ObjectText("arguments"));
  result.arguments = arguments.value_or("");
  return result;
}

absl::StatusOr<ChatMessage> ReadMessage(const Json& json, const std::string& path) {
  KEDGE_ASSIGN_OR_RETURN(
      const ObjectReader read,
      ObjectReader::Open(json, path, {"role", "content", "reasoning_content", "name", "tool_call_id", "tool_calls"}));
  ChatMessage message;
  KEDGE_ASSIGN_OR_RETURN(message.role, read.NeededText("role"));
  KEDGE_ASSIGN_OR_RETURN(message.content, ReadContent(read));
  KEDGE_ASSIGN_OR_RETURN(message.reasoning_content, read.Text("reasoning_content"));
  KEDGE_ASSIGN_OR_RETURN(message.name, read.Text("name"));
  KEDGE_ASSIGN_OR_RETURN(message.tool_call_id, read.Text("tool_call_id"));
  const Json* const calls = read.Find("tool_calls");
  if (calls == nullptr) return message;
  if (!calls->is_array()) return Wrong(read.PathOf("tool_calls"), "must be a list");
  for (size_t i = 0; i < calls->size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(ToolCall call, ReadCall((*calls)[i], absl::StrCat(read.PathOf("tool_calls"), "[", i, "]")));
    message.tool_calls.push_back(std::move(call));
  }
  return message;
}

// The function stands in a member of its own, as Chat Completions have it, or in the tool itself, as Responses do.
absl::StatusOr<Tool> ReadTool(const Json& json, const std::string& item) {
  const Json* function = &json;
  std::string path = item;
  if (json.is_object() && (json.contains("function") || !json.contains("name"))) {
    KEDGE_ASSIGN_OR_RETURN(const ObjectReader outer, ObjectReader::Open(json, path, {"type", "function"}));
    KEDGE_RETURN_IF_ERROR(outer.CheckType());
    function = outer.Find("function");
    path = outer.PathOf("function");
    if (function == nullptr) return Wrong(path, "must be an object");
  }
  KEDGE_ASSIGN_OR_RETURN(const ObjectReader read,
                         ObjectReader::Open(*function, path, {"type", "name", "description", "parameters", "strict"}));
  KEDGE_RETURN_IF_ERROR(read.CheckType());
  Tool tool;
  KEDGE_ASSIGN_OR_RETURN(tool.name, read.NeededText("name"));
  KEDGE_ASSIGN_OR_RETURN(tool.description, read.Text("description"));
  KEDGE_ASSIGN_OR_RETURN(tool.parameters, read.ObjectText("parameters"));
  return tool;
}

template <typename T>
absl::StatusOr<std::vector<T>> ReadEach(absl::string_view text,
                                        absl::StatusOr<T> (*read)(const Json& json, const std::string& path)) {
  KEDGE_ASSIGN_OR_RETURN(const Json list, ParseJson(text));
  if (!list.is_array()) return Wrong("", absl::StrCat("is a JSON ", list.type_name(), "; must be a list"));
  std::vector<T> all;
  for (size_t i = 0; i < list.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(T one, read(list[i], absl::StrCat("[", i, "]")));
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

absl::StatusOr<std::vector<ChatMessage>> ParseMessages(absl::string_view json) { return ReadEach(json, ReadMessage); }

absl::StatusOr<std::vector<Tool>> ParseTools(absl::string_view json) { return ReadEach(json, ReadTool); }

}  // namespace kedge
