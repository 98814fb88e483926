#include "common/tokenizer/policy_names.h"

#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(PolicyNamesTest, PresetsParseWithTheNamesOfAModel) {
  const std::string bytes = MakeTinyModel({});
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny")
          .value();
  const auto tokenizer = Tokenizer::Load(*file).value();
  const PolicyNames names = FindPolicyNames(*file, *tokenizer).value();
  EXPECT_EQ(names.vocab_size, static_cast<uint32_t>(tokenizer->vocab_size()));
  EXPECT_EQ(names.model_policy, "");
  for (const char* preset : {"full", "window", "sep", "streaming", "anllm-ep"}) {
    EXPECT_TRUE(ParsePolicy(preset, names).ok()) << preset;
  }
  EXPECT_EQ(ParsePolicy("anllm-ep", names)->anchors, std::vector<uint32_t>{*names.full_stop});
}

// A request's policy and a flag's are texts that ParsePolicy gets; the rest of the order is made here.
TEST(PolicyNamesTest, AnAdaptersPolicyGoesBeforeTheModels) {
  const std::string bytes = MakeTinyModel({.policy = "full"});
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny")
          .value();
  const auto tokenizer = Tokenizer::Load(*file).value();
  const PolicyNames own = FindPolicyNames(*file, *tokenizer).value();
  EXPECT_EQ(*ParsePolicy("", own), *ParsePolicy("full", {}));
  const PolicyNames adapted = FindPolicyNames(*file, *tokenizer, "anchors=20+21,sinks=2").value();
  EXPECT_EQ(*ParsePolicy("", adapted), *ParsePolicy("anchors=20+21,sinks=2", {}));
  EXPECT_EQ(ParsePolicy("anllm-ep", adapted)->anchors, (std::vector<uint32_t>{20, 21}));
  EXPECT_EQ(*ParsePolicy("streaming", adapted), *ParsePolicy("streaming", {}));
}

}  // namespace
}  // namespace kedge
