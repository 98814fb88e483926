#include "cli/generate_options.h"

#include <fstream>

#include "common/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::ElementsAre;

// One parsed command line of `generate` or `run`.
struct Parsed {
  SamplingOptions sampling;
  PromptOptions prompt;
  AnswerFormat format = AnswerFormat::kText;
  bool accepted = false;

  explicit Parsed(std::vector<std::string> arguments) {
    CLI::App app("test", "kedge");
    AddPromptOptions(&app, &prompt);
    AddSamplingOptions(&app, &sampling);
    AddFormatOption(&app, kAnswerFormatHelp, &format);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes a vector
    try {
      app.parse(arguments);
      accepted = true;
    } catch (const CLI::ParseError&) {
    }
  }
  absl::StatusOr<GenerateCall> Call(bool is_chat_model = true) {
    KEDGE_RETURN_IF_ERROR(ReadPrompt(&prompt));
    return MakeCall(prompt, sampling, is_chat_model);
  }
};

std::string TextOf(const GenerateCall& call) { return std::get<std::string>(call.prompt); }

TEST(GenerateOptionsTest, ExactlyOnePromptIsNeeded) {
  EXPECT_FALSE(Parsed({}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--tokens", "1"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "b"}).accepted);
  EXPECT_FALSE(Parsed({"two", "words"}).accepted);
  EXPECT_TRUE(Parsed({"--prompt", "a"}).accepted);
  EXPECT_TRUE(Parsed({"a"}).accepted);
}

TEST(GenerateOptionsTest, NumbersAreCheckedBeforeAnythingStarts) {
  for (const char* flag : {"--max-tokens", "--min-tokens", "--top-k", "--seed"}) {
    EXPECT_TRUE(Parsed({"a", flag, "7"}).accepted) << flag;
    for (const char* bad : {"abc", "", "1.5", "-2", "010", "0x7", "18446744073709551616"}) {
      EXPECT_FALSE(Parsed({"a", flag, bad}).accepted) << flag << " " << bad;
    }
  }
  EXPECT_FALSE(Parsed({"a", "--max-tokens", "0"}).accepted);
  EXPECT_FALSE(Parsed({"a", "--max-tokens", "4294967296"}).accepted);
  for (const char* flag : {"--temperature", "--top-p", "--min-p", "--repetition-penalty", "--frequency-penalty",
                           "--presence-penalty", "--timeout"}) {
    EXPECT_TRUE(Parsed({"a", flag, "0.5"}).accepted) << flag;
    for (const char* bad : {"abc", "", "nan", "inf", "1x"}) {
      EXPECT_FALSE(Parsed({"a", flag, bad}).accepted) << flag << " " << bad;
    }
  }
}

TEST(GenerateOptionsTest, GreedyWithNothingElseSetIsTheDefault) {
  GenerateCall call = *Parsed({"--prompt", "a"}).Call();
  EXPECT_EQ(call.temperature, 0);
  EXPECT_FALSE(call.max_tokens || call.seed || call.top_p || call.top_k || call.min_p || call.timeout);
  EXPECT_EQ(call.policy, "");
}

TEST(GenerateOptionsTest, ValuesArrive) {
  Parsed parsed({"--prompt",
                 "a",
                 "--max-tokens",
                 "7",
                 "--temperature",
                 "0.5",
                 "--seed",
                 "18446744073709551615",
                 "--top-k",
                 "-1",
                 "--top-p=0.9",
                 "--stop",
                 "\n",
                 "--stop",
                 "END",
                 "--stop-token-ids",
                 "2,3",
                 "--ignore-eos",
                 "--timeout",
                 "1.5",
                 "--format",
                 "json"});
  ASSERT_TRUE(parsed.accepted);
  GenerateCall call = *parsed.Call();
  EXPECT_EQ(call.max_tokens, 7u);
  EXPECT_EQ(call.temperature, 0.5f);
  EXPECT_EQ(call.seed, 18446744073709551615u);
  EXPECT_EQ(call.top_k, -1);
  EXPECT_EQ(call.top_p, 0.9f);
  EXPECT_THAT(call.stop, ElementsAre("\n", "END"));
  EXPECT_THAT(call.stop_token_ids, ElementsAre(2, 3));
  EXPECT_TRUE(call.ignore_eos);
  EXPECT_EQ(call.timeout, absl::Seconds(1.5));
  EXPECT_EQ(parsed.format, AnswerFormat::kJson);
}

TEST(GenerateOptionsTest, MalformedValuesAreUsageErrors) {
  EXPECT_FALSE(Parsed({"--prompt", "a", "--max-tokens", "-1"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--max-tokens", "many"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--seed", "-1"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--temperature", "warm"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--format", "xml"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--unknown"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt"}).accepted);
}

TEST(GenerateOptionsTest, ARangeIsTheServersBusiness) {
  EXPECT_EQ(Parsed({"--prompt", "a", "--temperature", "-1"}).Call()->temperature, -1);
}

TEST(GenerateOptionsTest, PromptsThatLookLikeOtherThings) {
  EXPECT_EQ(TextOf(*Parsed({"--prompt", ""}).Call(false)), "");
  EXPECT_EQ(TextOf(*Parsed({"--prompt", "-1 is negative"}).Call(false)), "-1 is negative");
  EXPECT_EQ(TextOf(*Parsed({"--prompt", "- a list"}).Call(false)), "- a list");
  EXPECT_EQ(TextOf(*Parsed({"--prompt", "[a, b]"}).Call(false)), "[a, b]");
  EXPECT_EQ(TextOf(*Parsed({"--prompt=--help"}).Call(false)), "--help");
  EXPECT_EQ(TextOf(*Parsed({"What is an anchor?"}).Call(false)), "What is an anchor?");
  EXPECT_EQ(TextOf(*Parsed({"[a]"}).Call(false)), "[a]");
}

TEST(GenerateOptionsTest, ChatModelsGetMessagesUnlessRaw) {
  const std::vector<ChatMessage> turns =
      std::get<Conversation>(Parsed({"--prompt", "Hi", "--system", "Be kind."}).Call()->prompt).messages;
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0].role, "system");
  EXPECT_EQ(turns[0].content, "Be kind.");
  EXPECT_EQ(turns[1].role, "user");
  EXPECT_EQ(turns[1].content, "Hi");
  EXPECT_EQ(TextOf(*Parsed({"--prompt", "Hi", "--raw"}).Call()), "Hi");
  EXPECT_EQ(TextOf(*Parsed({"--prompt", "Hi"}).Call(/*is_chat_model=*/false)), "Hi");
  EXPECT_FALSE(Parsed({"--prompt", "Hi", "--raw", "--system", "x"}).accepted);
  EXPECT_FALSE(Parsed({"--tokens", "1", "--system", "x"}).accepted);
  EXPECT_EQ(Parsed({"--prompt", "Hi", "--system", "x"}).Call(/*is_chat_model=*/false).status().code(),
            absl::StatusCode::kInvalidArgument);
}

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

TEST(GenerateOptionsTest, ChatsAndToolsComeFromFiles) {
  const std::string messages =
      WriteFile("messages.json", R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])");
  const std::string tools = WriteFile("tools.json", R"([{"name": "f"}])");
  const auto call =
      Parsed({"--messages", messages, "--tools", tools, "--template-arguments", R"({"enable_thinking": false})"})
          .Call();
  ASSERT_TRUE(call.ok()) << call.status();
  const Conversation& chat = std::get<Conversation>(call->prompt);
  ASSERT_EQ(chat.messages.size(), 2u);
  EXPECT_EQ(chat.messages[1].content, "b");
  ASSERT_EQ(chat.tools.size(), 1u);
  EXPECT_EQ(chat.template_arguments, R"({"enable_thinking": false})");

  const Conversation asked = std::get<Conversation>(Parsed({"--prompt", "Hi", "--tools", tools}).Call()->prompt);
  ASSERT_EQ(asked.messages.size(), 1u);
  EXPECT_EQ(asked.tools[0].name, "f");

  EXPECT_FALSE(Parsed({"--messages", messages, "--prompt", "x"}).accepted);
  EXPECT_FALSE(Parsed({"--messages", messages, "--system", "x"}).accepted);
  EXPECT_FALSE(Parsed({"--messages", messages, "--raw"}).accepted);
  EXPECT_FALSE(Parsed({"--tokens", "1", "--tools", tools}).accepted);
}

TEST(GenerateOptionsTest, WrongChatsNameTheFlag) {
  const auto fault = [](const std::vector<std::string>& arguments, bool is_chat_model = true) {
    return std::string(Parsed(arguments).Call(is_chat_model).status().message());
  };
  EXPECT_EQ(fault({"--messages", WriteFile("wrong.json", "[{]")}), "--messages: is not JSON at byte 2");
  EXPECT_EQ(fault({"--prompt", "x", "--tools", WriteFile("wrong.json", "[{}]")}),
            "--tools[0].function: must be an object");
  EXPECT_EQ(fault({"--prompt", "x", "--template-arguments", "[]"}),
            "--template-arguments: is a JSON array; must be an object");
  const auto nested = [](int lists) { return "{\"a\": " + std::string(lists, '[') + std::string(lists, ']') + "}"; };
  EXPECT_EQ(fault({"--prompt", "x", "--template-arguments", nested(31)}), "");
  EXPECT_EQ(fault({"--prompt", "x", "--template-arguments", nested(32)}),
            "--template-arguments: is JSON of more than 32 levels");
  EXPECT_EQ(fault({"--messages", WriteFile("no.json", "[]")}, false), "--messages: this is no chat model");
  EXPECT_EQ(fault({"--prompt", "x", "--template-arguments", "{}"}, false),
            "--template-arguments: this is no chat model");
}

TEST(GenerateOptionsTest, AnchorSpansAreOfAPlainText) {
  const GenerateCall call =
      *Parsed({"--prompt", "Hi", "--raw", "--anchor-span", "0-2", "--anchor-span", "5-44"}).Call();
  ASSERT_EQ(call.anchor_spans.size(), 2u);
  EXPECT_EQ(call.anchor_spans[1].begin, 5u);
  EXPECT_EQ(call.anchor_spans[1].end, 44u);
  EXPECT_EQ(Parsed({"--prompt", "Hi", "--anchor-span", "0-2"}).Call().status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Parsed({"--prompt", "Hi", "--anchor-span", "0-2"}).Call(/*is_chat_model=*/false)->anchor_spans.size(), 1u);
  EXPECT_FALSE(Parsed({"--prompt", "Hi", "--anchor-span", "2"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "Hi", "--anchor-span", "-1-2"}).accepted);
  EXPECT_FALSE(Parsed({"--tokens", "1", "--anchor-span", "0-2"}).accepted);
}

TEST(GenerateOptionsTest, TokensAreUsedAsTheyAre) {
  EXPECT_THAT(std::get<std::vector<uint32_t>>(Parsed({"--tokens", "1, 2 3"}).Call()->prompt), ElementsAre(1, 2, 3));
  EXPECT_FALSE(Parsed({"--tokens", "1,two"}).accepted);
  EXPECT_FALSE(Parsed({"--prompt", "a", "--stop-token-ids", "two"}).accepted);
  EXPECT_FALSE(MayBeChat(Parsed({"--tokens", "1"}).prompt));
}

TEST(GenerateOptionsTest, PinsAreMessagesOrSpans) {
  const absl::StatusOr<GenerateCall> call =
      Parsed({"--prompt", "a", "--pin", "message:1", "--pin", "message:0", "--show-kept"}).Call();
  ASSERT_TRUE(call.ok()) << call.status();
  ASSERT_EQ(call->pins.size(), 2u);
  EXPECT_EQ(call->pins[0].message, 1u);
  EXPECT_TRUE(call->prompt_pieces);
  const absl::StatusOr<GenerateCall> text = Parsed({"--prompt", "a", "--raw", "--pin", "3-10"}).Call();
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_FALSE(text->pins[0].message.has_value());
  EXPECT_EQ(text->pins[0].begin, 3u);
  EXPECT_EQ(text->pins[0].end, 10u);
  EXPECT_EQ(Parsed({"--prompt", "a", "--pin", "3-10"}).Call().status().message(),
            "--pin: 3-10 is of a plain text, and this is a chat: give message:N, or --raw");
  EXPECT_EQ(Parsed({"--prompt", "a", "--raw", "--pin", "message:0"}).Call().status().message(),
            "--pin: message:0 is of a chat, and this is a plain text: give A-B");
  for (const char* wrong : {"message:", "message:x", "3", "3-", "-3", "a-b"}) {
    EXPECT_FALSE(Parsed({"--prompt", "a", "--pin", wrong}).accepted) << wrong;
  }
}

TEST(GenerateOptionsTest, AFileIsTakenByteForByte) {
  std::string path = testing::TempDir() + "/prompt.txt";
  std::ofstream(path) << "One.\nTwo.\n";
  EXPECT_EQ(TextOf(*Parsed({"--prompt-file", path}).Call(false)), "One.\nTwo.\n");
}

TEST(GenerateOptionsTest, WhatIsWrongWithTextsIsFoundBeforeAServerIsNeeded) {
  const std::string path = testing::TempDir() + "/latin1.txt";
  std::ofstream(path) << "Gr\xFC\xDF e";
  const auto check = [](std::vector<std::string> arguments) {
    Parsed parsed(std::move(arguments));
    return ReadPrompt(&parsed.prompt);
  };
  EXPECT_EQ(check({"--prompt-file", path + ".gone"}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(check({"--prompt-file", path}).message(), "--prompt-file: is not valid UTF-8 at byte 2");
}

TEST(GenerateOptionsTest, ARefusalNamesTheFlagOfItsField) {
  const auto named = [](absl::string_view message) {
    return std::string(NameFlag(absl::InvalidArgumentError(message)).message());
  };
  EXPECT_EQ(named("sampling_params.max_tokens: is 0; must be at least 1"), "--max-tokens: is 0; must be at least 1");
  EXPECT_EQ(named("sampling_params.stop[1]: is empty"), "--stop[1]: is empty");
  EXPECT_EQ(named("cache_options.pinned[0].message: 3 is not below the 2 messages"),
            "--pin[0].message: 3 is not below the 2 messages");
  EXPECT_EQ(named("cache_options.anchor_spans: the policy inserts no anchors"),
            "--anchor-span: the policy inserts no anchors");
  EXPECT_EQ(named("cache_options.policy: unknown key"), "--policy: unknown key");
  EXPECT_EQ(named("cache_options.cache_salt: has 300 bytes"), "--cache-salt: has 300 bytes");
  EXPECT_EQ(named("token_ids.ids[1]: token id 9 is out of range"), "--tokens[1]: token id 9 is out of range");
  EXPECT_EQ(named("messages.messages[1].role: is empty"), "--messages[1].role: is empty");
  EXPECT_EQ(named("messages.tools[0].name: is empty"), "--tools[0].name: is empty");
  EXPECT_EQ(named("messages.template_arguments.tools: is set by the server"),
            "--template-arguments: tools: is set by the server");
  EXPECT_EQ(named("text: has at least 9 tokens"), "the prompt: has at least 9 tokens");
  for (absl::string_view other :
       {"", "decode node d1: content.ids: x", "text is no field here", "texts: x", "messages: has at least 9 tokens"}) {
    EXPECT_EQ(named(other), other);
  }
  const absl::Status lost = absl::UnavailableError("text: x");
  EXPECT_EQ(NameFlag(lost), lost);
}

}  // namespace
}  // namespace kedge
