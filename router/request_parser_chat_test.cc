// Chats as requests: what the template gets, what of it is kept, which field is wrong.
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/anchor/ranges.h"
#include "common/base/clock.h"
#include "common/model/model_files.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "router/request_parser.h"
#include "router/request_parser_testing.h"

namespace kedge {
namespace {

using inference::v1::GenerateRequest;

// Under a template of the test's own.
class ChatRequestTest : public RequestParserTest {
 protected:
  explicit ChatRequestTest(
      const std::string& source =
          "{% for message in messages %}<|im_start|>{{ message.role }}:{{ message.content }}"
          "{% for call in message.tool_calls %}{{ call.id }}{{ call.function | tojson }}{% endfor %}"
          "{{ message.tool_call_id }}{{ message.name }}{{ message.reasoning_content }}<|im_end|>"
          "{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}{{ mood }}"
          "{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}") {
    model_ = WithTemplate(source);
    parser_ = RequestParser(model_.get(), &clock_);
    Add("user", "Hi.");
  }

  static std::unique_ptr<const RouterModel> WithTemplate(const std::string& source) {
    const std::string path = testing::TempDir() + "/template.jinja";
    std::ofstream(path) << source;
    const std::string model_path = testing::TempDir() + "/tiny.gguf";
    EXPECT_TRUE(WriteTinyModel({}, model_path).ok());
    auto model = LoadRouterModel(*ModelFiles::Open(model_path, ""), "tiny", "", 256, path);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  inference::v1::ChatMessage* Add(const std::string& role, const std::string& content) {
    auto* message = chat_->add_messages();
    message->set_role(role);
    if (!content.empty()) message->set_content(content);
    return message;
  }

  // The prompt as text, special tokens included.
  std::string Prompt() {
    std::string text;
    for (const uint32_t id : ParseOk(request_).prompt_ids) text += std::string(model_->tokenizer->TokenBytes(id));
    return text;
  }

  std::string Text(const std::vector<uint32_t>& ids, const std::vector<PositionRange>& ranges) const {
    std::string text;
    for (const PositionRange& range : ranges) {
      for (uint32_t i = range.begin; i < range.end; ++i) text += std::string(model_->tokenizer->TokenBytes(ids[i]));
    }
    return text;
  }

  GenerateRequest request_;
  inference::v1::ChatMessages* const chat_ = request_.mutable_messages();
};

TEST_F(ChatRequestTest, EveryFieldGetsToTheTemplate) {
  auto* call = Add("assistant", "")->add_tool_calls();
  call->set_id("c1");
  call->set_name("f");
  call->set_arguments(R"({"z":1,"a":2})");
  auto* result = Add("tool", "7");
  result->set_tool_call_id("c1");
  result->set_name("f");
  Add("assistant", "So.")->set_reasoning_content("Why?");
  auto* tool = chat_->add_tools();
  tool->set_name("f");
  tool->set_description("d");
  tool->set_parameters(R"({"y":{},"b":[]})");
  (*chat_->mutable_template_arguments()->mutable_fields())["mood"].set_number_value(3);
  const std::string text =
      "<|im_start|>user:Hi.<|im_end|>"
      "<|im_start|>assistant:Nonec1{\"name\": \"f\", \"arguments\": {\"z\": 1, \"a\": 2}}<|im_end|>"
      "<|im_start|>tool:7c1f<|im_end|><|im_start|>assistant:So.Why?<|im_end|>"
      "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\", "
      "\"parameters\": {\"y\": {}, \"b\": []}}}]3";
  EXPECT_EQ(Prompt(), text + "<|im_start|>assistant:");
  chat_->set_add_generation_prompt(false);
  EXPECT_EQ(Prompt(), text);
}

TEST_F(ChatRequestTest, ABegunAnswerIsContinued) {
  Add("assistant", "It is");
  chat_->set_continue_final_message(true);
  EXPECT_EQ(Prompt(), "<|im_start|>user:Hi.<|im_end|><|im_start|>assistant:It is");
  EXPECT_EQ(ParseOk(request_).turn_begin, 3u);  // of the question
  EXPECT_EQ(ParseOk(request_).user.at(0).begin, 3u);
  chat_->set_add_generation_prompt(true);
  ExpectRefused(request_, "messages.continue_final_message: excludes add_generation_prompt");
}

TEST_F(ChatRequestTest, WrongFieldsAreNamed) {
  auto* call = Add("assistant", "")->add_tool_calls();
  call->set_name("f");
  call->set_arguments(R"({"city": "Oslo", })");
  ExpectRefused(request_, "messages.messages[1].tool_calls[0].arguments: is not JSON at byte 17");
  call->set_arguments("");
  chat_->add_tools()->set_parameters("{}");
  ExpectRefused(request_, "messages.tools[0].name: is empty");
  chat_->mutable_tools(0)->set_name("f");
  EXPECT_TRUE(parser_.Parse(request_, "").ok());
  auto& fields = *chat_->mutable_template_arguments()->mutable_fields();
  fields["a"].mutable_list_value()->add_values()->set_number_value(std::numeric_limits<double>::infinity());
  ExpectRefused(request_, "messages.template_arguments.a[0]: is not a finite number");
  fields["a"].mutable_struct_value()->mutable_fields()->insert({"b", {}});
  ExpectRefused(request_, "messages.template_arguments.a.b: has no value");
  fields["a"].set_bool_value(true);
  fields["messages"].set_bool_value(true);
  ExpectRefused(request_, "messages.template_arguments.messages: is set by the server");
}

TEST_F(ChatRequestTest, TemplateArgumentsAreAtMost32LevelsDeep) {
  chat_->add_messages()->set_role("user");
  google::protobuf::Value* value = &(*chat_->mutable_template_arguments()->mutable_fields())["a"];  // in level 1
  for (int level = 2; level <= 32; ++level) {
    value = level % 2 == 0 ? value->mutable_list_value()->add_values()
                           : &(*value->mutable_struct_value()->mutable_fields())["b"];
  }
  value->set_bool_value(true);
  EXPECT_TRUE(parser_.Parse(request_, "").ok()) << parser_.Parse(request_, "").status();
  value->mutable_list_value();
  const absl::Status status = parser_.Parse(request_, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("is nested deeper than 32 levels"), absl::string_view::npos) << status;
}

TEST_F(ChatRequestTest, PinsHoldWhatTheTemplateWritesOfAMessage) {
  auto* call = Add("assistant", "Look.")->add_tool_calls();
  call->set_name("weather");
  request_.mutable_cache_options()->add_pinned()->set_message(1);
  const RouterRequest parsed = ParseOk(request_);
  const std::string text = Text(parsed.prompt_ids, parsed.pinned);
  EXPECT_NE(text.find(R"(Look.{"name": "weather", "arguments": {}})"), std::string::npos) << text;
  EXPECT_EQ(text.find("Hi."), std::string::npos) << text;
}

TEST_F(ChatRequestTest, ToolsAreKeptWhereRowsAreChosen) {
  chat_->add_tools()->set_name("weather");
  request_.mutable_cache_options()->set_policy("salient");
  const RouterRequest parsed = ParseOk(request_);
  EXPECT_EQ(Text(parsed.prompt_ids, parsed.pinned), R"([{"type": "function", "function": {"name": "weather"}}])");
  request_.mutable_cache_options()->set_policy("full");
  EXPECT_THAT(ParseOk(request_).pinned, testing::IsEmpty());
}

TEST_F(ChatRequestTest, MessagesCallsAndToolsAreBounded) {
  for (int i = 1; i < 16'383; ++i) chat_->add_messages()->set_role("user");
  chat_->add_tools()->set_name("f");
  ExpectRefused(request_, "messages: are too much for a context");  // of this model
  chat_->mutable_messages(7)->add_tool_calls()->set_name("f");
  ExpectRefused(request_, "messages: has 16383 messages, 1 calls and 1 tools; at most 16384 are allowed together");
}

TEST_F(ChatRequestTest, NamesOfAClientAreShownAsOneLine) {
  (*chat_->mutable_template_arguments()->mutable_fields())["a\nb"];
  ExpectRefused(request_, "messages.template_arguments.a\\nb: has no value");
  request_.set_model("a\nb");
  ExpectRefused(request_, "model: there is no \"a\\nb\"", absl::StatusCode::kNotFound);
}

TEST_F(ChatRequestTest, AWrongKindOfPinSaysWhichThereIs) {
  auto* pin = request_.mutable_cache_options()->add_pinned();
  pin->mutable_text()->set_end(3);
  ExpectRefused(request_, "cache_options.pinned[0].text: the prompt has no field text, but messages, which can be");
  request_.set_text("Hi.");
  pin->set_message(0);
  ExpectRefused(request_, "cache_options.pinned[0].message: the prompt has no messages, but the field text, of which");
}

class ChatDateTest : public ChatRequestTest {
 protected:
  ChatDateTest() : ChatRequestTest("{{ strftime_now('%Y') }}{{ messages[0].content }}") {}
};

TEST_F(ChatDateTest, TheDateIsTheRouters) {
  EXPECT_EQ(Prompt(), "2001Hi.");
  clock_.Advance(absl::Hours(24 * 366));
  EXPECT_EQ(Prompt(), "2002Hi.");
}

class EndlessChatTest : public ChatRequestTest {
 protected:
  EndlessChatTest()
      : ChatRequestTest(
            "{% if messages[0].content == 'loop' %}{% for i in range(99999) %}{% for j in range(99999) %}"
            "{% endfor %}{% endfor %}{% endif %}{{ messages[0].content * 100000 }}") {}
};

TEST_F(EndlessChatTest, ATemplateWithoutAnEndIsAnError) {
  const absl::Time start = absl::Now();
  ExpectRefused(request_,
                "messages: are too much for a context of 512 tokens (chat template: line 1: the template writes");
  chat_->mutable_messages(0)->set_content("loop");
  ExpectRefused(request_,
                "messages: are too much for a context of 512 tokens (chat template: line 1: the template takes");
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

}  // namespace
}  // namespace kedge
