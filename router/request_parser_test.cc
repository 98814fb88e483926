#include "router/request_parser.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "common/model/gguf.h"
#include "common/model/model_files.h"
#include "common/testing/tiny_model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "router/cache_domain.h"
#include "router/request_parser_testing.h"

namespace kedge {
namespace {

using inference::v1::GenerateRequest;
using inference::v1::SamplingParams;
using testing::ElementsAre;

TEST_F(RequestParserTest, FillsInDefaults) {
  const RouterRequest parsed = ParseOk(TextRequest());
  EXPECT_EQ(parsed.model, "tiny");
  EXPECT_EQ(parsed.request_id.size(), 36u);
  EXPECT_EQ(parsed.prompt_ids, *model_->tokenizer->Encode("Hello there."));
  EXPECT_TRUE(parsed.no_anchor_positions.empty());
  EXPECT_EQ(parsed.policy, model_->default_policy);
  EXPECT_EQ(parsed.temperature, 1.0f);
  EXPECT_EQ(parsed.top_p, 1.0f);
  EXPECT_EQ(parsed.top_k, 0u);
  EXPECT_EQ(parsed.min_p, 0.0f);
  EXPECT_EQ(parsed.repetition_penalty, 1.0f);
  EXPECT_FALSE(parsed.seed.has_value());
  EXPECT_EQ(parsed.n, 1u);
  EXPECT_EQ(parsed.max_tokens, 256u);
  EXPECT_EQ(parsed.min_tokens, 0u);
  EXPECT_EQ(parsed.end_ids, model_->tokenizer->end_ids());
  EXPECT_TRUE(parsed.output_text);
  EXPECT_FALSE(parsed.output_token_ids);
  EXPECT_FALSE(parsed.logprobs.has_value());
  EXPECT_TRUE(parsed.skip_special_tokens);
  EXPECT_EQ(parsed.stream_interval, 1u);
}

TEST_F(RequestParserTest, TakesEveryField) {
  GenerateRequest request = TextRequest();
  request.set_request_id("mine");
  request.set_model("tiny");
  SamplingParams* sampling = request.mutable_sampling_params();
  sampling->set_temperature(0);
  sampling->set_top_p(0.5f);
  sampling->set_top_k(-1);
  sampling->set_min_p(0.1f);
  sampling->set_frequency_penalty(-2);
  sampling->set_presence_penalty(2);
  sampling->set_repetition_penalty(1.5f);
  sampling->set_max_tokens(7);
  sampling->set_min_tokens(7);
  sampling->add_stop("x");
  sampling->add_stop_token_ids(300);
  sampling->add_stop_token_ids(20);
  sampling->add_stop_token_ids(300);
  sampling->set_include_stop_str_in_output(true);
  sampling->set_ignore_eos(true);
  sampling->set_seed(UINT64_MAX);
  sampling->set_n(16);
  (*sampling->mutable_logit_bias())[5] = -100;
  auto* output = request.mutable_output_options();
  output->set_text(false);
  output->set_token_ids(true);
  output->set_logprobs(20);
  output->set_skip_special_tokens(false);
  output->set_stream_interval(4);
  request.mutable_cache_options()->set_policy("full");
  const RouterRequest parsed = ParseOk(request);
  EXPECT_EQ(parsed.request_id, "mine");
  EXPECT_EQ(parsed.temperature, 0.0f);
  EXPECT_EQ(parsed.top_p, 0.5f);
  EXPECT_EQ(parsed.top_k, 0u);
  EXPECT_EQ(parsed.min_p, 0.1f);
  EXPECT_EQ(parsed.frequency_penalty, -2.0f);
  EXPECT_EQ(parsed.presence_penalty, 2.0f);
  EXPECT_EQ(parsed.repetition_penalty, 1.5f);
  EXPECT_EQ(parsed.max_tokens, 7u);
  EXPECT_EQ(parsed.min_tokens, 7u);
  ASSERT_EQ(parsed.stop.size(), 1u);
  EXPECT_EQ(parsed.stop[0], "x");
  EXPECT_EQ(parsed.end_ids, (std::vector<uint32_t>{20, 300}));
  EXPECT_TRUE(parsed.include_stop_str_in_output);
  EXPECT_EQ(parsed.seed, UINT64_MAX);
  EXPECT_EQ(parsed.n, 16u);
  EXPECT_EQ(parsed.logit_bias.at(5), -100.0f);
  EXPECT_FALSE(parsed.output_text);
  EXPECT_TRUE(parsed.output_token_ids);
  EXPECT_EQ(parsed.logprobs, 20u);
  EXPECT_FALSE(parsed.skip_special_tokens);
  EXPECT_EQ(parsed.stream_interval, 4u);
  EXPECT_EQ(parsed.policy, CanonicalPolicy(*ParsePolicy("full", model_->policy_names)));
  sampling->set_top_k(3);
  EXPECT_EQ(ParseOk(request).top_k, 3u);
}

TEST_F(RequestParserTest, RefusesWrongSamplingParamsAndNamesTheField) {
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  ExpectSamplingRefused("sampling_params.temperature: is NaN; must be at least 0",
                        [&](auto* s) { s->set_temperature(nan); });
  ExpectSamplingRefused("sampling_params.temperature: is infinite", [&](auto* s) { s->set_temperature(infinity); });
  ExpectSamplingRefused("sampling_params.temperature: is -1;", [](auto* s) { s->set_temperature(-1); });
  ExpectSamplingRefused("sampling_params.top_p: is 0;", [](auto* s) { s->set_top_p(0); });
  ExpectSamplingRefused("sampling_params.top_p: is 1.5;", [](auto* s) { s->set_top_p(1.5f); });
  ExpectSamplingRefused("sampling_params.top_p: is NaN", [&](auto* s) { s->set_top_p(nan); });
  ExpectSamplingRefused("sampling_params.top_k: is -2;", [](auto* s) { s->set_top_k(-2); });
  ExpectSamplingRefused("sampling_params.min_p: is 2; must be in [0, 1]", [](auto* s) { s->set_min_p(2); });
  ExpectSamplingRefused("sampling_params.frequency_penalty: is 2.5;", [](auto* s) { s->set_frequency_penalty(2.5f); });
  ExpectSamplingRefused("sampling_params.presence_penalty: is NaN", [&](auto* s) { s->set_presence_penalty(nan); });
  ExpectSamplingRefused("sampling_params.repetition_penalty: is 0;", [](auto* s) { s->set_repetition_penalty(0); });
  ExpectSamplingRefused("sampling_params.max_tokens: is 0;", [](auto* s) { s->set_max_tokens(0); });
  ExpectSamplingRefused("sampling_params.max_tokens: is 513; must be at most the context, 512",
                        [](auto* s) { s->set_max_tokens(513); });
  ExpectSamplingRefused("sampling_params.min_tokens: is 5; must be at most max_tokens, 4", [](auto* s) {
    s->set_max_tokens(4);
    s->set_min_tokens(5);
  });
  ExpectSamplingRefused("sampling_params.min_tokens: is 257; must be at most max_tokens, 256 by default",
                        [](auto* s) { s->set_min_tokens(257); });
  ExpectSamplingRefused("sampling_params.stop: has 17 strings", [](auto* s) {
    for (int i = 0; i < 17; ++i) s->add_stop("x");
  });
  ExpectSamplingRefused("sampling_params.stop[1]: is empty", [](auto* s) {
    s->add_stop("x");
    s->add_stop("");
  });
  ExpectSamplingRefused("sampling_params.stop_token_ids[0]: token id 352 is out of range; the vocabulary has 352",
                        [](auto* s) { s->add_stop_token_ids(352); });
  ExpectSamplingRefused("sampling_params.n: is 0;", [](auto* s) { s->set_n(0); });
  ExpectSamplingRefused("sampling_params.n: is 17;", [](auto* s) { s->set_n(17); });
  ExpectSamplingRefused("sampling_params.logit_bias: token id 352",
                        [](auto* s) { (*s->mutable_logit_bias())[352] = 1; });
  ExpectSamplingRefused("sampling_params.logit_bias[3]: is NaN", [&](auto* s) { (*s->mutable_logit_bias())[3] = nan; });
  ExpectSamplingRefused("sampling_params.logit_bias[3]: is 101;", [](auto* s) { (*s->mutable_logit_bias())[3] = 101; });
}

TEST_F(RequestParserTest, RefusesOtherWrongFields) {
  GenerateRequest request = TextRequest();
  request.mutable_output_options()->set_logprobs(21);
  ExpectRefused(request, "output_options.logprobs: is 21;");
  request = TextRequest();
  request.mutable_output_options()->set_stream_interval(0);
  ExpectRefused(request, "output_options.stream_interval: is 0;");
  request = TextRequest();
  request.mutable_cache_options()->set_policy("window,recnt=3");
  ExpectRefused(request, "cache_options.policy: ");
  request = TextRequest();
  request.set_model("gpt");
  ExpectRefused(request, "model: ", absl::StatusCode::kNotFound);
  request = TextRequest();
  request.set_request_id("a\nb");
  ExpectRefused(request, "request_id: ");
  EXPECT_EQ(parser_.Parse(TextRequest(), "from metadata")->request_id, "from metadata");
}

TEST_F(RequestParserTest, TenantAndSaltMakeTheCacheDomain) {
  GenerateRequest request = TextRequest();
  EXPECT_EQ(parser_.Parse(request, "")->cache_domain, "");
  EXPECT_EQ(parser_.Parse(request, "", "acme")->cache_domain, CacheDomain("acme", ""));
  request.mutable_cache_options()->set_cache_salt(std::string(256, 's'));
  EXPECT_EQ(parser_.Parse(request, "", "acme")->cache_domain, CacheDomain("acme", std::string(256, 's')));
  request.mutable_cache_options()->mutable_cache_salt()->push_back('s');
  ExpectRefused(request, "cache_options.cache_salt: has 257 bytes");
}

TEST_F(RequestParserTest, RefusesEmptyPromptsAndTokenIdsOutOfRange) {
  ExpectRefused(GenerateRequest(), "prompt: one of text, token_ids and messages is required");
  ExpectRefused(TextRequest(""), "text: is empty");
  GenerateRequest request;
  request.mutable_token_ids();
  ExpectRefused(request, "token_ids: is empty");
  request.mutable_token_ids()->add_ids(0);
  request.mutable_token_ids()->add_ids(352);
  ExpectRefused(request, "token_ids.ids[1]: token id 352 is out of range");
  request.mutable_messages();
  ExpectRefused(request, "messages.messages: there are none");
  request.mutable_messages()->add_messages()->set_role("a robot");
  ExpectRefused(request, "messages.messages[0].role: must be ");
}

TEST_F(RequestParserTest, PromptAndAnswerFitTheContext) {
  GenerateRequest request;
  for (int i = 0; i < 511; ++i) request.mutable_token_ids()->add_ids(20);
  request.mutable_sampling_params()->set_max_tokens(512);
  request.mutable_sampling_params()->set_min_tokens(50);
  EXPECT_EQ(ParseOk(request).max_tokens, 1u);
  EXPECT_EQ(ParseOk(request).min_tokens, 1u);
  request.mutable_token_ids()->add_ids(20);
  ExpectRefused(request, "token_ids: has 512 tokens; the context of 512 leaves no room for an answer");
}

TEST_F(RequestParserTest, RefusesTextsThatCannotFitBeforeTokenizingThem) {
  const size_t longest = model_->tokenizer->longest_text();
  ASSERT_GT(longest, 1u);
  EXPECT_EQ(model_->token_bytes.count(), 256u);
  const std::string refusal = "has at least 512 tokens; the context of 512 leaves no room for an answer";
  ExpectRefused(TextRequest(std::string(511 * longest + 1, '~')), "text: " + refusal);
  ExpectRefused(TextRequest(std::string(511 * longest, '~')),  // might fit, but does not
                "text: has " + std::to_string(511 * longest) + " tokens; the context of 512");
  GenerateRequest request;
  for (int i = 0; i < 512; ++i) {
    auto* message = request.mutable_messages()->add_messages();
    message->set_role("user");
    message->set_content("x");
  }
  ExpectRefused(request,
                "messages: are too much for a context of 512 tokens (chat template: line 3: the template writes more "
                "than 8192 bytes of output)");
  request.mutable_messages()->mutable_messages()->DeleteSubrange(1, 511);
  request.mutable_messages()->mutable_messages(0)->set_content(std::string(511 * longest + 1, '~'));
  ExpectRefused(request, "messages: " + refusal);

  const absl::Time start = absl::Now();
  ExpectRefused(TextRequest(std::string(16 << 20, 'a')), "text: has at least ");
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
}

TEST_F(RequestParserTest, PinsAreTheTokensThatOverlapThem) {
  GenerateRequest request = TextRequest("One. Zw\u00f6lf! Three.");
  inference::v1::TextSpan* span = request.mutable_cache_options()->add_pinned()->mutable_text();
  span->set_begin(5);
  span->set_end(11);  // code points: "Zw\u00f6lf!"
  const RouterRequest parsed = ParseOk(request);
  ASSERT_EQ(parsed.pinned.size(), 1u);
  std::string text;
  for (uint32_t i = parsed.pinned[0].begin; i < parsed.pinned[0].end; ++i) {
    text += std::string(model_->tokenizer->TokenBytes(parsed.prompt_ids[i]));
  }
  EXPECT_NE(text.find("Zw\u00f6lf!"), std::string::npos) << text;
  EXPECT_LE(text.size(), 2 + std::string("Zw\u00f6lf!").size());  // a space that the first token brings, say

  span->set_end(100);
  ExpectRefused(request, "cache_options.pinned[0].text: [5, 100) is empty or goes beyond");
  span->set_end(5);
  ExpectRefused(request, "cache_options.pinned[0].text");
  request.mutable_cache_options()->mutable_pinned(0)->set_message(0);
  ExpectRefused(request, "cache_options.pinned[0].message: the prompt has no messages");
  request.mutable_cache_options()->mutable_pinned(0)->clear_span();
  ExpectRefused(request, "cache_options.pinned[0]: one of");
}

TEST_F(RequestParserTest, AsManyPinsAsFitIntoAMessageAreReadInPassing) {
  std::string text;
  while (text.size() < 400) text += "\u00f6. ";
  GenerateRequest request = TextRequest(text);
  for (uint32_t i = 0; i < 300'000; ++i) {
    inference::v1::TextSpan* span = request.mutable_cache_options()->add_pinned()->mutable_text();
    span->set_begin(280 + i % 10);
    span->set_end(290);
  }
  const absl::Time start = absl::Now();
  const RouterRequest parsed = ParseOk(request);
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  EXPECT_EQ(parsed.pinned.size(), 1u);
}

TEST_F(RequestParserTest, APinnedMessageIsItsContentAndTheLastOneIsTheTurn) {
  GenerateRequest request;
  for (const char* content : {"Be kind.", "What is an anchor?"}) {
    auto* message = request.mutable_messages()->add_messages();
    message->set_role(request.messages().messages_size() == 1 ? "system" : "user");
    message->set_content(content);
  }
  request.mutable_cache_options()->add_pinned()->set_message(1);
  const RouterRequest parsed = ParseOk(request);
  ASSERT_EQ(parsed.pinned.size(), 1u);
  EXPECT_EQ(parsed.turn_begin, parsed.pinned[0].begin);
  std::string text;
  for (uint32_t i = parsed.pinned[0].begin; i < parsed.pinned[0].end; ++i) {
    text += std::string(model_->tokenizer->TokenBytes(parsed.prompt_ids[i]));
  }
  EXPECT_NE(text.find("What is an anchor?"), std::string::npos) << text;
  request.mutable_cache_options()->mutable_pinned(0)->set_message(2);
  ExpectRefused(request, "cache_options.pinned[0].message: 2 is not below the 2 messages");
}

TEST_F(RequestParserTest, UnderAnchorsTextTheTextSaysWhereSequencesEnd) {
  GenerateRequest request = TextRequest("It is 10.27;\nthen. So. It");
  request.mutable_cache_options()->set_policy("window");
  EXPECT_TRUE(ParseOk(request).sequence_ends.empty());
  request.mutable_cache_options()->set_policy("salient");
  const RouterRequest parsed = ParseOk(request);
  EXPECT_TRUE(parsed.chooses);
  EXPECT_TRUE(parsed.no_anchor_positions.empty());
  const auto pieces = [&](const RouterRequest& made) {
    std::vector<std::string> pieces = {""};
    for (uint32_t i = 0; i < made.prompt_ids.size(); ++i) {
      pieces.back() += std::string(model_->tokenizer->TokenBytes(made.prompt_ids[i]));
      if (std::count(made.sequence_ends.begin(), made.sequence_ends.end(), i) > 0) pieces.emplace_back();
    }
    return pieces;
  };
  EXPECT_THAT(pieces(parsed), ElementsAre("It is 10.27;\n", "then.", " So.", " It"));
  GenerateRequest by_ids = request;  // the same ids, chosen by the client
  by_ids.mutable_token_ids()->mutable_ids()->Add(parsed.prompt_ids.begin(), parsed.prompt_ids.end());
  EXPECT_EQ(ParseOk(by_ids).sequence_ends, parsed.sequence_ends);
  request.mutable_cache_options()->set_policy("salient,longest=4");
  uint32_t begin = 0;
  for (uint32_t end : ParseOk(request).sequence_ends) {
    EXPECT_LE(end + 1 - begin, 4u);
    begin = end + 1;
  }
}

TEST_F(RequestParserTest, UnderAnchorsTextWhatOpensAnAnswerEndsNone) {
  GenerateRequest request;
  auto* message = request.mutable_messages()->add_messages();
  message->set_role("user");
  message->set_content("Hi.");
  request.mutable_cache_options()->set_policy("window");
  const std::vector<uint32_t> opening = ParseOk(request).no_anchor_positions;
  request.mutable_cache_options()->set_policy("salient");
  const RouterRequest parsed = ParseOk(request);
  ASSERT_FALSE(opening.empty());
  ASSERT_FALSE(parsed.sequence_ends.empty());
  EXPECT_LT(parsed.sequence_ends.back(), opening.front());
}

TEST(RequestParserPaddingTest, TakesTokenIdsOfAPaddedEmbedding) {
  const std::string bytes = MakeTinyModel({});
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny");
  RouterModel model;
  model.context_length = 512;
  model.vocab_size = kTinyVocabularySize + 8;
  model.tokenizer = *Tokenizer::Load(**file);
  const SimulatedClock clock;
  const RequestParser parser(&model, &clock);
  GenerateRequest request;
  request.mutable_token_ids()->add_ids(kTinyVocabularySize + 7);
  request.mutable_sampling_params()->add_stop_token_ids(kTinyVocabularySize + 7);
  (*request.mutable_sampling_params()->mutable_logit_bias())[kTinyVocabularySize + 7] = 1;
  EXPECT_TRUE(parser.Parse(request, "").ok()) << parser.Parse(request, "").status();
  request.mutable_token_ids()->add_ids(kTinyVocabularySize + 8);
  EXPECT_EQ(parser.Parse(request, "").status(),
            absl::InvalidArgumentError("token_ids.ids[1]: token id 360 is out of range; the vocabulary has 360"));
}

TEST_F(RequestParserTest, AppliesTheChatTemplateAndMarksTheOpeningOfAnswers) {
  GenerateRequest request;
  auto* message = request.mutable_messages()->add_messages();
  message->set_role("user");
  message->set_content("Hi.");
  request.mutable_cache_options()->set_policy("window");
  const RouterRequest open = ParseOk(request);
  ASSERT_FALSE(open.no_anchor_positions.empty());
  EXPECT_EQ(open.no_anchor_positions.back(), open.prompt_ids.size() - 1);

  inference::v1::TokenizeRequest tokenize;
  *tokenize.mutable_messages() = request.messages();
  EXPECT_EQ(*parser_.Tokenize(tokenize), open.prompt_ids);

  request.mutable_messages()->set_add_generation_prompt(false);
  const RouterRequest closed = ParseOk(request);
  EXPECT_LT(closed.prompt_ids.size(), open.prompt_ids.size());
  EXPECT_TRUE(closed.no_anchor_positions.empty());
}

TEST_F(RequestParserTest, TokenizesAsGenerateDoes) {
  inference::v1::TokenizeRequest request;
  EXPECT_EQ(parser_.Tokenize(request).status().code(), absl::StatusCode::kInvalidArgument);
  request.set_text("Hello there.");
  EXPECT_EQ(*parser_.Tokenize(request), ParseOk(TextRequest()).prompt_ids);
  request.set_text("");
  EXPECT_TRUE(parser_.Tokenize(request)->empty());
  request.set_model("gpt");
  EXPECT_EQ(parser_.Tokenize(request).status().code(), absl::StatusCode::kNotFound);
}

// The policy inserts token 8.
class InsertTest : public RequestParserTest {
 protected:
  InsertTest() { request_.mutable_cache_options()->set_policy("anchors=8,insert=8"); }

  // The tokens of the texts with anchors between them.
  std::vector<uint32_t> Anchored(const std::vector<std::string>& texts) {
    std::vector<uint32_t> ids;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) ids.push_back(8);
      const std::vector<uint32_t> text_ids = *model_->tokenizer->Encode(texts[i]);
      ids.insert(ids.end(), text_ids.begin(), text_ids.end());
    }
    return ids;
  }

  void AddSpan(uint32_t begin, uint32_t end) {
    inference::v1::TextSpan* span = request_.mutable_cache_options()->add_anchor_spans();
    span->set_begin(begin);
    span->set_end(end);
  }

  GenerateRequest request_;
};

TEST_F(InsertTest, AnchorsStandBetweenTheSentencesOfATextAndOfMessages) {
  request_.set_text("One. Dr. Two!\n\nThree.");
  const RouterRequest parsed = ParseOk(request_);
  EXPECT_EQ(parsed.prompt_ids, Anchored({"One.", "Dr. Two!", "Three."}));
  EXPECT_EQ(parsed.hidden_id, 8u);
  EXPECT_EQ(ParseOk(TextRequest("One. Two.")).hidden_id, std::nullopt);

  auto* message = request_.mutable_messages()->add_messages();
  message->set_role("user");
  message->set_content("One. Two");
  const std::vector<uint32_t> ids = ParseOk(request_).prompt_ids;
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 8u), 1);
}

TEST_F(InsertTest, TokenIdsAreUsedAsTheyAre) {
  for (const uint32_t id : Anchored({"One. Two."})) request_.mutable_token_ids()->add_ids(id);
  EXPECT_EQ(ParseOk(request_).prompt_ids, Anchored({"One. Two."}));
  EXPECT_EQ(ParseOk(request_).hidden_id, 8u);
}

TEST_F(InsertTest, SpansSayWhereInstead) {
  request_.set_text("\u00C9\u00C9. Two.  Three. Four");
  AddSpan(0, 8);
  EXPECT_EQ(ParseOk(request_).prompt_ids, Anchored({"\u00C9\u00C9. Two.", "Three. Four"}));
  AddSpan(8, 21);  // up to the end
  EXPECT_EQ(ParseOk(request_).prompt_ids, Anchored({"\u00C9\u00C9. Two.", "Three. Four", ""}));
  AddSpan(21, 22);
  ExpectRefused(request_, "cache_options.anchor_spans[2].end: is 22; the text has 21 code points");
  request_.mutable_cache_options()->mutable_anchor_spans(2)->set_begin(20);
  ExpectRefused(request_, "cache_options.anchor_spans[2].begin: is 20; the span before it ends at 21");
  request_.mutable_cache_options()->mutable_anchor_spans()->Clear();
  AddSpan(3, 3);
  ExpectRefused(request_, "cache_options.anchor_spans[0].end: is 3; must be above begin, 3");
  request_.mutable_cache_options()->set_policy("window");
  ExpectRefused(request_, "cache_options.anchor_spans: the policy inserts no anchors");
  request_.mutable_token_ids()->add_ids(20);
  ExpectRefused(request_, "cache_options.anchor_spans: are places in the field text");
}

TEST_F(InsertTest, WhiteSpaceAroundAnchorsDoesNotCountAgainstTheContext) {
  request_.set_text("One." + std::string(100000, '\n') + "Two.");
  EXPECT_EQ(ParseOk(request_).prompt_ids, Anchored({"One.", "Two."}));
  request_.set_text("\xFF. One. Two");
  ExpectRefused(request_, "text: not valid UTF-8 at byte 0");
}

TEST_F(InsertTest, TheDefaultPolicyHoldsForTokenizeAsWell) {
  const auto model = TinyModel({}, "anchors=8,insert=8");
  const RequestParser parser(model.get(), &clock_);
  inference::v1::TokenizeRequest tokenize;
  tokenize.set_text("One. Two.");
  EXPECT_EQ(*parser.Tokenize(tokenize), Anchored({"One.", "Two."}));
  EXPECT_EQ(parser.Parse(TextRequest("One. Two."), "")->prompt_ids, Anchored({"One.", "Two."}));
}

TEST(LoadRouterModelTest, AChatTemplateOfAFileMustBeOne) {
  const std::string model = testing::TempDir() + "/tiny.gguf", path = testing::TempDir() + "/wrong.jinja";
  ASSERT_TRUE(WriteTinyModel({}, model).ok());
  std::ofstream(path) << "a\n{% if %}";
  absl::Status status = LoadRouterModel(*ModelFiles::Open(model, ""), "", "", 256, path).status();
  EXPECT_EQ(status.message().substr(0, 17), "--chat-template: ") << status;
  EXPECT_NE(status.message().find("line 2"), absl::string_view::npos) << status;
  status = LoadRouterModel(*ModelFiles::Open(model, ""), "", "", 256, testing::TempDir()).status();
  EXPECT_EQ(status.message(), "--chat-template: " + testing::TempDir() + ": cannot be read");
}

TEST(LoadRouterModelTest, SaysWhyMessagesCannotBeServed) {
  const auto model = TinyModel({.chat_template = false});
  GenerateRequest request;
  request.mutable_messages()->add_messages()->set_role("user");
  const SimulatedClock clock;
  const absl::Status status = RequestParser(model.get(), &clock).Parse(request, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().substr(0, 10), "messages: ");
}

TEST(LoadRouterModelTest, NamesTheModelInUtf8) {
  std::string bytes = MakeTinyModel({});
  const size_t at = bytes.find("tiny-1");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 2] = '\xFF';
  const auto load = [&](const std::string& file_name, const std::string& name) {
    const std::string path = testing::TempDir() + "/" + file_name;
    std::ofstream(path, std::ios::binary) << bytes;
    return LoadRouterModel(*ModelFiles::Open(path, ""), name, "", 256);
  };
  const auto model = load("named-by-file.gguf", "");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->name, "named-by-file");
  EXPECT_EQ((*model)->vocab_size, static_cast<uint32_t>(kTinyVocabularySize));
  EXPECT_EQ((*load("named-by-file.gguf", "mine"))->name, "mine");
  EXPECT_EQ(load("named-by-file.gguf", "\xFF").status().message().substr(0, 14), "--model-name: ");
  EXPECT_EQ(load("\xFF.gguf", "").status().message().substr(0, 14), "--model-name: ");
}

TEST(LoadRouterModelTest, TakesItsDefaultPolicyFromTheFlag) {
  const auto model = TinyModel({}, "full");
  EXPECT_EQ(model->default_policy, CanonicalPolicy(*ParsePolicy("full", model->policy_names)));
  GenerateRequest request;
  request.set_text("x");
  const SimulatedClock clock;
  EXPECT_EQ(RequestParser(model.get(), &clock).Parse(request, "")->policy, model->default_policy);
  const ModelFiles files = *ModelFiles::Open(testing::TempDir() + "/tiny.gguf", "");
  const absl::Status status = LoadRouterModel(files, "", "fulll", 256).status();
  EXPECT_EQ(status.message().substr(0, 10), "--policy: ") << status;
  EXPECT_EQ((*LoadRouterModel(files, "", "", 256))->name, "tiny-1");
}

TEST(LoadRouterModelTest, APolicyNamesItsAnchorsToWhoReadsIt) {
  const auto model = TinyModel({}, "sep");
  GenerateRequest request;
  request.set_text("x");
  const SimulatedClock clock;
  const auto parse = [&](const std::string& policy) {
    request.mutable_cache_options()->set_policy(policy);
    return *RequestParser(model.get(), &clock).Parse(request, "");
  };
  EXPECT_EQ(parse("").readable_policy, model->readable_default_policy);
  EXPECT_EQ(model->readable_default_policy.substr(0, 25), "anchors=separators,insert");
  for (const std::string policy : {"", "sep", "window", "full", "salient", "window,anchors=46"}) {
    const RouterRequest parsed = parse(policy);
    EXPECT_EQ(parse(parsed.readable_policy).policy, parsed.policy) << policy;
    EXPECT_LT(parsed.readable_policy.size(), 150u);
  }
}

// Request, flag, adapter, model, built-in default.
TEST(LoadRouterModelTest, APolicyIsTheFirstOfFive) {
  const auto write = [](const std::string& name, const std::string& bytes) {
    const std::string path = testing::TempDir() + "/" + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return path;
  };
  const std::string plain = write("plain.gguf", MakeTinyModel({}));
  const std::string trained = write("trained.gguf", MakeTinyModel({.policy = "sinks=1,recent=11"}));
  const std::string silent = write("silent-adapter.gguf", MakeTinyAdapter({}, {}));
  const std::string adapter = write("adapter.gguf", MakeTinyAdapter({}, {.policy = "sinks=2,recent=12"}));
  const SimulatedClock clock;
  const auto chosen = [&](const std::string& path, const std::string& adapter_path, const std::string& flag,
                          const std::string& in_request) {
    const auto model = LoadRouterModel(*ModelFiles::Open(path, adapter_path), "", flag, 256).value();
    GenerateRequest request;
    request.set_text("x");
    request.mutable_cache_options()->set_policy(in_request);
    return RequestParser(model.get(), &clock).Parse(request, "")->policy;
  };
  const auto canonical = [&](const std::string& policy) {
    return CanonicalPolicy(
        *ParsePolicy(policy, LoadRouterModel(*ModelFiles::Open(plain, ""), "", "", 256).value()->policy_names));
  };
  EXPECT_EQ(chosen(trained, adapter, "sinks=3,recent=13", "sinks=4,recent=14"), canonical("sinks=4,recent=14"));
  EXPECT_EQ(chosen(trained, adapter, "sinks=3,recent=13", ""), canonical("sinks=3,recent=13"));
  EXPECT_EQ(chosen(trained, adapter, "", ""), canonical("sinks=2,recent=12"));
  EXPECT_EQ(chosen(trained, silent, "", ""), canonical("sinks=1,recent=11"));
  EXPECT_EQ(chosen(trained, "", "", ""), canonical("sinks=1,recent=11"));
  EXPECT_EQ(chosen(plain, adapter, "", ""), canonical("sinks=2,recent=12"));
  EXPECT_EQ(chosen(plain, silent, "", ""), canonical(kDefaultPolicy));

  const std::string wrong = write("wrong-adapter.gguf", MakeTinyAdapter({}, {.policy = "sinkz=2"}));
  const absl::Status status = LoadRouterModel(*ModelFiles::Open(plain, wrong), "", "", 256).status();
  EXPECT_EQ(status.message().substr(0, 36), "kedge.anchor.policy of the adapter: ") << status;
}

}  // namespace
}  // namespace kedge
