#include "common/tokenizer/chat_input.h"

#include <string>
#include <vector>

#include "common/jinja/template.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// What a template sees of the conversation, as text.
std::string Seen(const Conversation& conversation, const std::string& expression,
                 ArgumentsForm form = ArgumentsForm::kObject) {
  const absl::StatusOr<ChatInput> input = MakeChatInput(conversation, form, {});
  if (!input.ok()) return std::string(input.status().message());
  auto variables = input->arguments;
  variables.emplace_back("messages", jinja::Value::List(input->messages));
  variables.emplace_back("tools", input->tools);
  const auto program = jinja::Template::Parse("{{ " + expression + " }}");
  if (!program.ok()) return std::string(program.status().message());
  const auto pieces = program->Render(jinja::Value::Dict(std::move(variables)), conversation.now);
  if (!pieces.ok()) return std::string(pieces.status().message());
  std::string text;
  for (const jinja::Piece& piece : *pieces) text += piece.text;
  return text;
}

std::string Fault(const Conversation& conversation) {
  const absl::Status status = MakeChatInput(conversation, ArgumentsForm::kObject, {"bos_token"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

Conversation Chat(std::vector<ChatMessage> messages) { return {.messages = std::move(messages)}; }

TEST(ChatInputTest, MessagesHaveWhatIsSetAndNothingElse) {
  EXPECT_EQ(Seen(Chat({{"user", "Hi"}}), "messages | tojson"), R"([{"role": "user", "content": "Hi"}])");
  EXPECT_EQ(Seen(Chat({{.role = "user"}}), "messages[0] | tojson"), R"({"role": "user", "content": ""})");
  EXPECT_EQ(Seen(Chat({{.role = "tool", .content = "7", .tool_call_id = "c1", .name = "f"}}), "messages[0] | tojson"),
            R"({"role": "tool", "content": "7", "name": "f", "tool_call_id": "c1"})");
  EXPECT_EQ(Seen(Chat({{.role = "assistant", .content = "a", .reasoning_content = "b"}}), "messages[0] | tojson"),
            R"({"role": "assistant", "content": "a", "reasoning_content": "b"})");
}

TEST(ChatInputTest, CallsHaveOpenAisForm) {
  const Conversation chat =
      Chat({{.role = "assistant", .tool_calls = {{"c1", "f", R"({"z": 1, "a": [2.5, "é"]})"}, {"", "g", ""}}}});
  EXPECT_EQ(Seen(chat, "messages[0] | tojson"),
            R"({"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": )"
            R"({"name": "f", "arguments": {"z": 1, "a": [2.5, "é"]}}}, {"type": "function", "function": )"
            R"({"name": "g", "arguments": {}}}]})");
  EXPECT_EQ(Seen(chat, "messages[0].tool_calls[0].function.arguments", ArgumentsForm::kText),
            R"({"z": 1, "a": [2.5, "é"]})");
  // A text beside calls is one, also if it is empty.
  EXPECT_EQ(
      Seen(Chat({{.role = "assistant", .content = "", .tool_calls = {{"", "g", ""}}}}), "messages[0].content is none"),
      "False");
}

TEST(ChatInputTest, ToolsHaveOpenAisFormAndAreNoneWithoutAny) {
  Conversation chat = Chat({{"user", "Hi"}});
  EXPECT_EQ(Seen(chat, "tools is none"), "True");
  chat.tools = {
      {.name = "f", .description = "d", .parameters = R"({"type": "object", "properties": {"z": {}, "a": {}}})"},
      {.name = "g"}};
  EXPECT_EQ(Seen(chat, "tools | tojson"),
            R"([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", )"
            R"("properties": {"z": {}, "a": {}}}}}, {"type": "function", "function": {"name": "g"}}])");
}

TEST(ChatInputTest, ArgumentsAreVariables) {
  Conversation chat = Chat({{"user", "Hi"}});
  chat.template_arguments = R"({"enable_thinking": false, "depth": 3})";
  EXPECT_EQ(Seen(chat, "[enable_thinking, depth, other is defined]"), "[False, 3, False]");
}

TEST(ChatInputTest, OriginsTellTheFieldsOfMessagesApart) {
  const auto input =
      MakeChatInput(Chat({{"user", "a"}, {.role = "User", .content = "b", .name = "c"}}), ArgumentsForm::kObject, {});
  ASSERT_TRUE(input.ok()) << input.status();
  const auto origin = [&](size_t message, const char* key) {
    return input->messages[message].members().Find(key)->text().origin(0);
  };
  EXPECT_EQ(origin(0, "role"), jinja::kTemplate);
  EXPECT_EQ(origin(1, "role"), kClientOrigin);  // no mark is made of it
  EXPECT_EQ(origin(0, "content"), ContentOrigin(0));
  EXPECT_EQ(origin(1, "content"), ContentOrigin(1));
  EXPECT_EQ(origin(1, "name"), FieldsOrigin(1));
  EXPECT_EQ(MessageOf(ContentOrigin(7)), 7u);
  EXPECT_EQ(MessageOf(FieldsOrigin(7)), 7u);
  EXPECT_EQ(MessageOf(kClientOrigin), std::nullopt);
  EXPECT_TRUE(IsContent(ContentOrigin(0)) && !IsContent(FieldsOrigin(0)) && !IsContent(jinja::kTemplate));
}

TEST(ChatInputTest, WrongFieldsAreNamedWithTheirPaths) {
  EXPECT_EQ(Fault({}), "messages.messages: there are none");
  for (const char* role : {"", "user\n", "us er", "<|im_start|>", "\xC3\xA9"}) {
    EXPECT_EQ(Fault(Chat({{"user", "a"}, {role, "b"}})).substr(0, 31), "messages.messages[1].role: must") << role;
  }
  EXPECT_EQ(Fault(Chat({{"user", "a"}, {"user", "ab\xFF"}})),
            "messages.messages[1].content: not valid UTF-8 at byte 2");
  EXPECT_EQ(Fault(Chat({{.role = "user", .reasoning_content = "\xFF"}})),
            "messages.messages[0].reasoning_content: not valid UTF-8 at byte 0");
  const auto call = [](const ToolCall& wrong) {
    return Fault(Chat({{"user", "a"}, {.role = "assistant", .tool_calls = {{"", "f", "{}"}, wrong}}}));
  };
  EXPECT_EQ(call({"c", "", "{}"}), "messages.messages[1].tool_calls[1].name: is empty");
  EXPECT_EQ(call({"c", "f", R"({"city": "Oslo", })"}),
            "messages.messages[1].tool_calls[1].arguments: is not JSON at byte 17");
  EXPECT_EQ(call({"c", "f", "3"}), "messages.messages[1].tool_calls[1].arguments: is a JSON number; must be an object");
  EXPECT_EQ(call({"\xFF", "f", ""}), "messages.messages[1].tool_calls[1].id: not valid UTF-8 at byte 0");
  const auto tool = [](const Tool& wrong) {
    return Fault({.messages = {{"user", "a"}}, .tools = {{.name = "f"}, wrong}});
  };
  EXPECT_EQ(tool({}), "messages.tools[1].name: is empty");
  EXPECT_EQ(tool({.name = "f", .description = "\xFF"}), "messages.tools[1].description: not valid UTF-8 at byte 0");
  EXPECT_EQ(tool({.name = "f", .parameters = ""}), "messages.tools[1].parameters: is empty; must be JSON");
  EXPECT_EQ(tool({.name = "f", .parameters = "[]"}),
            "messages.tools[1].parameters: is a JSON array; must be an object");
  std::string list = R"({"a": [1)";  // 100,000 values
  for (int i = 0; i < 99'997; ++i) list += ",1";
  list += "]}";
  EXPECT_TRUE(MakeChatInput({.messages = {{"user", "a"}}, .tools = {{.name = "f", .parameters = list}}},
                            ArgumentsForm::kObject, {})
                  .ok());
  EXPECT_EQ(Fault({.messages = {{"user", "a"}},
                   .tools = {{.name = "f", .parameters = list}},
                   .template_arguments = R"({"a": 1})"}),
            "messages.template_arguments: is JSON of too many values");
  for (const std::string name : {"messages", "tools", "documents", "add_generation_prompt", "bos_token"}) {
    EXPECT_EQ(Fault({.messages = {{"user", "a"}}, .template_arguments = "{\"x\": 1, \"" + name + "\": 2}"}),
              "messages.template_arguments." + name + ": is set by the server");
  }
}

TEST(ChatInputTest, OnlyABegunAnswerIsContinued) {
  const auto fault = [](std::vector<ChatMessage> messages, bool opens = false) {
    Conversation chat = Chat(std::move(messages));
    chat.add_generation_prompt = opens;
    chat.continue_final_message = true;
    return Fault(chat);
  };
  EXPECT_EQ(fault({{"assistant", "a"}}, true), "messages.continue_final_message: excludes add_generation_prompt");
  EXPECT_EQ(fault({{"assistant", "a"}, {"user", "b"}}),
            "messages.messages[1].role: must be assistant, since continue_final_message is set");
  EXPECT_EQ(fault({{"assistant", ""}}).substr(0, 39), "messages.messages[0].content: is empty;");
}

}  // namespace
}  // namespace kedge
