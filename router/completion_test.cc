#include "router/completion.h"

#include <memory>
#include <string>

#include "absl/types/span.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "common/tokenizer/test_vocabulary.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using inference::v1::Completion;

class CompletionAssemblerTest : public testing::Test {
 protected:
  CompletionAssemblerTest() {
    bytes_ = MakeTinyModel({});
    const auto* data = reinterpret_cast<const uint8_t*>(bytes_.data());
    file_ = *GgufFile::Parse(absl::MakeConstSpan(data, bytes_.size()), "tiny");
    tokenizer_ = *Tokenizer::Load(*file_);
  }

  // The token of one byte.
  node::v1::Token Byte(char byte) const {
    for (uint32_t id = kTinyFirstByteToken; id < kTinyFirstByteToken + 256; ++id) {
      if (tokenizer_->TokenBytes(id) == absl::string_view(&byte, 1)) {
        node::v1::Token token;
        token.set_id(id);
        return token;
      }
    }
    ADD_FAILURE() << "no token for byte " << static_cast<int>(byte);
    return {};
  }

  std::string bytes_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  RouterRequest request_;
};

TEST_F(CompletionAssemblerTest, StreamsTextWithoutTheEndingToken) {
  request_.output_token_ids = true;
  CompletionAssembler completion(2, &request_, tokenizer_.get());
  EXPECT_FALSE(completion.TakePiece().has_value());
  completion.Push(Byte('h'));
  Completion piece = *completion.TakePiece();
  EXPECT_EQ(piece.index(), 2u);
  EXPECT_EQ(piece.text(), "h");
  EXPECT_EQ(piece.finish_reason(), inference::v1::FINISH_REASON_UNSPECIFIED);
  completion.Push(Byte('i'));
  completion.FinishAtEndId(2);
  piece = *completion.TakePiece();
  EXPECT_EQ(piece.text(), "i");
  EXPECT_EQ(piece.token_ids_size(), 1);
  EXPECT_EQ(piece.finish_reason(), inference::v1::FINISH_REASON_STOP);
  EXPECT_EQ(piece.matched_token_id(), 2u);
  EXPECT_FALSE(completion.TakePiece().has_value());
  EXPECT_EQ(completion.ids().size(), 2u);
}

TEST_F(CompletionAssemblerTest, HoldsBackIncompleteCharactersAndReplacesThemAtTheEnd) {
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  completion.Push(Byte('\xC3'));
  EXPECT_EQ(completion.TakePiece()->text(), "");  // the first message says that tokens come
  completion.Push(Byte('\xA9'));
  EXPECT_EQ(completion.TakePiece()->text(), "\xC3\xA9");
  completion.Push(Byte('\xC3'));
  EXPECT_FALSE(completion.TakePiece().has_value());  // nothing to show
  completion.FinishAtLength();
  const Completion piece = *completion.TakePiece();
  EXPECT_EQ(piece.text(), "\xEF\xBF\xBD");
  EXPECT_EQ(piece.finish_reason(), inference::v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(piece.matched_stop_case(), Completion::MATCHED_STOP_NOT_SET);
}

TEST_F(CompletionAssemblerTest, EndsAtAStopStringThatSpansTokens) {
  request_.stop = {"\n\n"};
  request_.output_token_ids = true;
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  completion.Push(Byte('a'));
  completion.Push(Byte('\n'));
  EXPECT_EQ(completion.TakePiece()->text(), "a");
  EXPECT_FALSE(completion.finished());
  completion.Push(Byte('\n'));
  ASSERT_TRUE(completion.finished());
  const Completion piece = *completion.TakePiece();
  EXPECT_EQ(piece.text(), "");
  EXPECT_EQ(piece.token_ids_size(), 1);
  EXPECT_EQ(piece.finish_reason(), inference::v1::FINISH_REASON_STOP);
  EXPECT_EQ(piece.matched_stop_str(), "\n\n");
}

TEST_F(CompletionAssemblerTest, ReturnsHeldTextWhenNoStopStringCame) {
  request_.stop = {"abc"};
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  completion.Push(Byte('a'));
  completion.Push(Byte('b'));
  completion.FinishAtLength();
  EXPECT_EQ(completion.TakePiece()->text(), "ab");
}

TEST_F(CompletionAssemblerTest, LooksForStopStringsEvenIfNoTextIsWanted) {
  request_.stop = {"b"};
  request_.output_text = false;
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  completion.Push(Byte('a'));
  completion.Push(Byte('b'));
  ASSERT_TRUE(completion.finished());
  const Completion piece = *completion.TakePiece();
  EXPECT_EQ(piece.text(), "");
  EXPECT_EQ(piece.matched_stop_str(), "b");
}

TEST_F(CompletionAssemblerTest, HidesSpecialTokensUnlessAskedFor) {
  node::v1::Token special;
  special.set_id(1);
  CompletionAssembler hidden(0, &request_, tokenizer_.get());
  hidden.Push(special);
  EXPECT_EQ(hidden.TakePiece()->text(), "");
  RouterRequest show;
  show.skip_special_tokens = false;
  CompletionAssembler shown(0, &show, tokenizer_.get());
  shown.Push(special);
  EXPECT_EQ(shown.TakePiece()->text(), "<|im_start|>");
}

TEST_F(CompletionAssemblerTest, ShowsNothingOfTheHiddenToken) {
  request_.hidden_id = 7;
  request_.skip_special_tokens = false;
  request_.output_token_ids = true;
  request_.logprobs = 0;
  request_.stop = {"ab"};
  request_.stream_interval = 2;
  node::v1::Token hidden;
  hidden.set_id(7);
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  completion.Push(hidden);
  EXPECT_FALSE(completion.TakePiece().has_value());  // not the first token that the client gets
  completion.Push(Byte('x'));
  EXPECT_EQ(completion.TakePiece()->token_ids_size(), 1);
  completion.Push(Byte('\xC3'));
  completion.Push(hidden);
  EXPECT_FALSE(completion.TakePiece().has_value());  // one of two
  completion.Push(Byte('\xA9'));
  const Completion piece = *completion.TakePiece();
  EXPECT_EQ(piece.text(), "\u00E9");
  EXPECT_EQ(piece.token_ids_size(), 2);
  EXPECT_EQ(piece.logprobs_size(), 2);
  completion.Push(Byte('a'));
  completion.Push(hidden);
  completion.Push(Byte('b'));
  EXPECT_TRUE(completion.finished());
  EXPECT_EQ(completion.ids().size(), 8u);
}

TEST_F(CompletionAssemblerTest, WaitsForTheStreamIntervalAfterTheFirstToken) {
  request_.stream_interval = 3;
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  std::string sizes;
  for (int i = 0; i < 8; ++i) {
    completion.Push(Byte('x'));
    const auto piece = completion.TakePiece();
    sizes += piece.has_value() ? std::to_string(piece->text().size()) : "-";
  }
  completion.FinishAtLength();
  sizes += std::to_string(completion.TakePiece()->text().size());
  EXPECT_EQ(sizes, "1--3--3-1");
}

TEST_F(CompletionAssemblerTest, CopiesLogProbabilities) {
  request_.logprobs = 1;
  CompletionAssembler completion(0, &request_, tokenizer_.get());
  node::v1::Token token = Byte('x');
  token.mutable_logprob()->set_logprob(-0.5f);
  token.mutable_logprob()->set_rank(2);
  token.mutable_logprob()->add_top_ids(7);
  token.mutable_logprob()->add_top_logprobs(-0.25f);
  completion.Push(token);
  const Completion piece = *completion.TakePiece();
  ASSERT_EQ(piece.logprobs_size(), 1);
  EXPECT_EQ(piece.logprobs(0).token_id(), token.id());
  EXPECT_EQ(piece.logprobs(0).logprob(), -0.5f);
  EXPECT_EQ(piece.logprobs(0).rank(), 2u);
  EXPECT_EQ(piece.logprobs(0).top_logprobs(0).token_id(), 7u);
  EXPECT_EQ(piece.logprobs(0).top_logprobs(0).logprob(), -0.25f);
}

TEST(CompletionOfUserDefinedTokensTest, TheyAreShownAndMatchedWhereSpecialOnesAreHidden) {
  TestVocabulary vocabulary = ByteVocabulary();
  const uint32_t call = vocabulary.Add("<tool_call>", 4);
  const uint32_t call_end = vocabulary.Add("</tool_call>", 4);
  const uint32_t hidden = vocabulary.Add("<|control|>", 3);
  const auto tokenizer = MakeTokenizer(vocabulary);
  RouterRequest request;
  request.stop = {"</tool_call>"};
  CompletionAssembler completion(0, &request, tokenizer.get());
  for (const uint32_t id : {call, hidden, uint32_t{'x'}, call_end}) {
    ASSERT_FALSE(completion.finished());
    node::v1::Token token;
    token.set_id(id);
    completion.Push(token);
  }
  EXPECT_TRUE(completion.finished());
  std::string text;
  while (const auto piece = completion.TakePiece()) text += piece->text();
  EXPECT_EQ(text, "<tool_call>x");
}

}  // namespace
}  // namespace kedge
