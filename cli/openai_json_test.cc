#include "cli/openai_json.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

std::string MessagesFault(absl::string_view json) { return std::string(ParseMessages(json).status().message()); }
std::string ToolsFault(absl::string_view json) { return std::string(ParseTools(json).status().message()); }

TEST(OpenAiJsonTest, ReadsARoundOfTools) {
  const auto messages = ParseMessages(R"([
      {"role": "user", "content": "Weather in Oslo?"},
      {"role": "assistant", "content": null, "reasoning_content": "Ask.", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Oslo\"}"}},
        {"function": {"name": "time", "arguments": {"z": 1, "a": 2}}}]},
      {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "7"}])");
  ASSERT_TRUE(messages.ok()) << messages.status();
  ASSERT_EQ(messages->size(), 3u);
  EXPECT_EQ((*messages)[0].content, "Weather in Oslo?");
  const ChatMessage& call = (*messages)[1];
  EXPECT_EQ(call.content, std::nullopt);
  EXPECT_EQ(call.reasoning_content, "Ask.");
  ASSERT_EQ(call.tool_calls.size(), 2u);
  EXPECT_EQ(call.tool_calls[0].id, "c1");
  EXPECT_EQ(call.tool_calls[0].arguments, R"({"city": "Oslo"})");  // as it was written
  EXPECT_EQ(call.tool_calls[1].id, "");
  EXPECT_EQ(call.tool_calls[1].arguments, R"({"z":1,"a":2})");
  EXPECT_EQ((*messages)[2].tool_call_id, "c1");
  EXPECT_EQ((*messages)[2].name, "weather");
}

TEST(OpenAiJsonTest, ReadsToolsWithAndWithoutTheirWrapping) {
  const auto tools = ParseTools(R"([
      {"type": "function", "function": {"name": "weather", "description": "Now.", "strict": true,
                                        "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}},
      {"type": "function", "name": "time"}])");
  ASSERT_TRUE(tools.ok()) << tools.status();
  ASSERT_EQ(tools->size(), 2u);
  EXPECT_EQ((*tools)[0].description, "Now.");
  EXPECT_EQ((*tools)[0].parameters, R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ((*tools)[1].name, "time");
  EXPECT_EQ((*tools)[1].parameters, std::nullopt);
}

TEST(OpenAiJsonTest, PartsOfTextAreOneText) {
  const auto content = [](const std::string& parts) {
    const auto messages = ParseMessages(R"([{"role": "user", "content": )" + parts + "}]");
    EXPECT_TRUE(messages.ok()) << messages.status();
    return messages.ok() ? messages->at(0).content.value_or("none") : "";
  };
  EXPECT_EQ(content(R"([{"type": "text", "text": "a"}])"), "a");
  EXPECT_EQ(
      content(R"([{"type": "text", "text": "a\n"}, {"text": "", "type": "text"}, {"type": "text", "text": "b"}])"),
      "a\n\n\nb");
  EXPECT_EQ(content("[]"), "");
  EXPECT_EQ(content("null"), "none");
  const auto fault = [](const std::string& part) {
    return MessagesFault(R"([{"role": "user", "content": [{"type": "text", "text": "a"}, )" + part + "]}]");
  };
  EXPECT_EQ(fault(R"({"type": "image_url", "image_url": {"url": "x"}})"),
            "[0].content[1].type: is image_url; models here read text alone");
  EXPECT_EQ(fault(R"("b")"), "[0].content[1]: must be an object");
  EXPECT_EQ(fault(R"({"text": "b"})"), "[0].content[1].type: must be a string");
  EXPECT_EQ(fault(R"({"type": "text"})"), "[0].content[1].text: must be a string");
  EXPECT_EQ(fault(R"({"type": "text", "text": "b", "c": 1})").substr(0, 33), "[0].content[1].c: is not known; k");
}

TEST(OpenAiJsonTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(MessagesFault("[{]"), "is not JSON at byte 2");
  EXPECT_EQ(MessagesFault("{}"), "is a JSON object; must be a list");
  EXPECT_EQ(MessagesFault("[3]"), "[0]: must be an object");
  EXPECT_EQ(MessagesFault(R"([{"content": "x"}])"), "[0].role: must be a string");
  EXPECT_EQ(MessagesFault(R"([{"role": "user", "audio": 1}])"),
            "[0].audio: is not known; known are role, content, reasoning_content, name, tool_call_id, tool_calls");
  EXPECT_EQ(MessagesFault(R"([{"role": "assistant", "tool_calls": [{"type": "custom"}]}])"),
            "[0].tool_calls[0].type: must be function");
  EXPECT_EQ(MessagesFault(R"([{"role": "assistant", "tool_calls": [{"id": "x"}]}])"),
            "[0].tool_calls[0].function: must be an object");
  EXPECT_EQ(MessagesFault(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]}])"),
            "[0].tool_calls[0].function.arguments: must be a string");
  EXPECT_EQ(ToolsFault(R"([{"type": "function", "function": {"description": "x"}}])"),
            "[0].function.name: must be a string");
  EXPECT_EQ(ToolsFault(R"([{"type": "web_search", "function": {"name": "x"}}])"), "[0].type: must be function");
  EXPECT_EQ(ToolsFault(R"([{"name": "x", "arguments": {}}])"),
            "[0].arguments: is not known; known are type, name, description, parameters, strict");
  EXPECT_EQ(ToolsFault(R"([{"type": "web_search", "name": "x"}])"), "[0].type: must be function");
  EXPECT_EQ(ToolsFault(R"([{"type": "function"}])"), "[0].function: must be an object");
  EXPECT_EQ(ToolsFault("[{}]"), "[0].function: must be an object");
  EXPECT_EQ(MessagesFault(R"([{"role": "user", "a\nb": 1}])").substr(0, 11), "[0].a\\nb: i");
}

}  // namespace
}  // namespace kedge
