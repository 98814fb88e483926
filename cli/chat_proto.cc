// Tested by client_test.cc.
#include "cli/chat_proto.h"

#include <string>

#include "common/base/check.h"
#include "common/base/json_text.h"

namespace kedge {
namespace {

namespace v1 = ::kedge::inference::v1;
using Json = nlohmann::ordered_json;

void FillStruct(const Json& object, google::protobuf::Struct* proto);

void FillValue(const Json& json, google::protobuf::Value* proto) {
  if (json.is_object()) {
    FillStruct(json, proto->mutable_struct_value());
  } else if (json.is_array()) {
    google::protobuf::ListValue* const list = proto->mutable_list_value();
    for (const Json& item : json) FillValue(item, list->add_values());
  } else if (json.is_string()) {
    proto->set_string_value(json.get<std::string>());
  } else if (json.is_boolean()) {
    proto->set_bool_value(json.get<bool>());
  } else if (json.is_number()) {
    proto->set_number_value(json.get<double>());
  } else {
    proto->set_null_value(google::protobuf::NULL_VALUE);
  }
}

void FillStruct(const Json& object, google::protobuf::Struct* proto) {
  for (const auto& [name, value] : object.items()) FillValue(value, &(*proto->mutable_fields())[name]);
}

}  // namespace

void FillMessages(const Conversation& conversation, v1::ChatMessages* messages) {
  for (const ChatMessage& message : conversation.messages) {
    v1::ChatMessage* proto = messages->add_messages();
    proto->set_role(message.role);
    if (message.content) proto->set_content(*message.content);
    if (message.tool_call_id) proto->set_tool_call_id(*message.tool_call_id);
    if (message.name) proto->set_name(*message.name);
    if (message.reasoning_content) proto->set_reasoning_content(*message.reasoning_content);
    for (const ToolCall& call : message.tool_calls) {
      v1::ToolCall* added = proto->add_tool_calls();
      added->set_id(call.id);
      added->set_name(call.name);
      added->set_arguments(call.arguments);
    }
  }
  for (const Tool& tool : conversation.tools) {
    v1::Tool* proto = messages->add_tools();
    proto->set_name(tool.name);
    if (tool.description) proto->set_description(*tool.description);
    if (tool.parameters) proto->set_parameters(*tool.parameters);
  }
  if (!conversation.template_arguments.empty()) {
    const absl::StatusOr<Json> arguments = ParseJsonObject(conversation.template_arguments);
    KEDGE_CHECK(arguments.ok());  // ReadChatOptions has looked
    FillStruct(*arguments, messages->mutable_template_arguments());
  }
  if (!conversation.add_generation_prompt) messages->set_add_generation_prompt(false);
  messages->set_continue_final_message(conversation.continue_final_message);
}

}  // namespace kedge
