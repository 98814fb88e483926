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
      {"name": "time"}])");
  ASSERT_TRUE(tools.ok()) << tools.status();
  ASSERT_EQ(tools->size(), 2u);
  EXPECT_EQ((*tools)[0].description, "Now.");
  EXPECT_EQ((*tools)[0].parameters, R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ((*tools)[1].name, "time");
  EXPECT_EQ((*tools)[1].parameters, std::nullopt);
}

TEST(OpenAiJsonTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(MessagesFault("[{]"), "is not JSON at byte 2");
  EXPECT_EQ(MessagesFault("{}"), "is a JSON object; must be a list");
  EXPECT_EQ(MessagesFault("[3]"), "[0]: must be an object");
  EXPECT_EQ(MessagesFault(R"([{"content": "x"}])"), "[0].role: must be a string");
  EXPECT_EQ(MessagesFault(R"([{"role": "user", "content": [{"type": "text", "text": "x"}]}])"),
            "[0].content: must be a string");
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
            "[0].arguments: is not known; known are name, description, parameters, strict");
}

}  // namespace
}  // namespace kedge
