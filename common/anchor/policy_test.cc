#include "common/anchor/policy.h"

#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using testing::HasSubstr;

PolicyNames Names() {
  PolicyNames names;
  names.sentence = {30, 33, 46};
  names.separators = {30, 33, 44, 46};
  names.full_stop = 46;
  names.vocab_size = 1000;
  return names;
}

std::string Canonical(absl::string_view text, const PolicyNames& names = Names()) {
  const absl::StatusOr<Policy> policy = ParsePolicy(text, names);
  return policy.ok() ? CanonicalPolicy(*policy) : policy.status().ToString();
}

absl::Status Error(absl::string_view text, const PolicyNames& names = Names()) {
  return ParsePolicy(text, names).status();
}

void ExpectInvalid(absl::string_view text, const std::string& part, const PolicyNames& names = Names()) {
  const absl::Status status = Error(text, names);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part)) << text;
}

constexpr char kRest[] = ",prefill=anchored,salient=0,write=anchored";

TEST(Policy, PresetsMeanWhatTheirTableSays) {
  EXPECT_EQ(Canonical("full"),
            absl::StrCat("anchors=none,insert=off,longest=0,keep=anchors,sinks=0,recent=all,view=own", kRest));
  EXPECT_EQ(Canonical("anllm-ep"),
            absl::StrCat("anchors=46,insert=off,longest=0,keep=anchors,sinks=0,recent=0,view=own", kRest));
  EXPECT_EQ(Canonical("streaming"),
            absl::StrCat("anchors=none,insert=off,longest=0,keep=anchors,sinks=4,recent=128,view=own", kRest));
  EXPECT_EQ(Canonical("sep"),
            absl::StrCat("anchors=30+33+44+46,insert=off,longest=512,keep=anchors,sinks=4,recent=128,view=all", kRest));
  EXPECT_EQ(Canonical("window"),
            absl::StrCat("anchors=30+33+46,insert=off,longest=512,keep=anchors,sinks=4,recent=128,view=all", kRest));
  EXPECT_EQ(Canonical("salient"),
            "anchors=text,insert=off,longest=48,keep=none,sinks=4,recent=32,view=all,prefill=full,salient=0.13,"
            "write=full");
}

TEST(Policy, EmptyTextIsTheModelsPolicyElseTheBuiltInDefault) {
  EXPECT_EQ(Canonical(""), Canonical("salient"));
  PolicyNames names = Names();
  names.model_policy = "streaming,sinks=2";
  EXPECT_EQ(Canonical("", names), Canonical("streaming,sinks=2"));
  names.model_policy = "anllm-ep";
  EXPECT_EQ(Canonical("", names), Canonical("anchors=46"));
}

TEST(Policy, AnllmEpTakesTheModelsAnchorsThenTheFullStop) {
  PolicyNames names = Names();
  names.model_policy = "window,anchors=7+5";
  EXPECT_EQ(Canonical("anllm-ep", names), Canonical("anchors=5+7"));
  EXPECT_EQ(Canonical("anllm-ep,anchors=3", names), Canonical("anchors=3"));
  names.model_policy = "streaming";
  EXPECT_EQ(Canonical("anllm-ep", names), Canonical("anchors=46"));
  names.full_stop.reset();
  ExpectInvalid("anllm-ep", "this model has neither", names);
  EXPECT_EQ(Canonical("anllm-ep,anchors=3", names), Canonical("anchors=3"));
  names.model_policy = "windw";
  ExpectInvalid("anllm-ep", "kedge.anchor.policy", names);
  ExpectInvalid("", "kedge.anchor.policy", names);
}

TEST(Policy, InsertNamesOneOfTheAnchors) {
  EXPECT_EQ(ParsePolicy("anchors=7+9,insert=7", Names())->insert, 7u);
  EXPECT_EQ(ParsePolicy("anchors=7,insert=off", Names())->insert, std::nullopt);
  EXPECT_EQ(Canonical("anchors=7,insert=7"),
            absl::StrCat("anchors=7,insert=7,longest=0,keep=anchors,sinks=0,recent=0,view=own", kRest));
  EXPECT_EQ(Canonical(Canonical("anchors=7,insert=7")), Canonical("anchors=7,insert=7"));
  ExpectInvalid("insert=7", "insert: 7 closes no sequence; give anchors=7");
  ExpectInvalid("anchors=9,insert=7", "give anchors=7");
  ExpectInvalid("anchors=7,insert=trained", "insert: \"trained\" is not a whole number");
}

TEST(Policy, AnllmAcTakesItsAnchorFromTheModel) {
  PolicyNames names = Names();
  ExpectInvalid("anllm-ac", "insert: anllm-ac takes it from", names);
  EXPECT_EQ(Canonical("anllm-ac,anchors=7,insert=7", names), Canonical("anchors=7,insert=7"));
  EXPECT_EQ(Canonical("anllm-ac,insert=7", names), Canonical("anchors=7,insert=7"));
  names.model_policy = "anllm-ep";  // trained without one
  ExpectInvalid("anllm-ac", "insert: anllm-ac takes it from", names);
  names.added_anchor = 901;
  EXPECT_EQ(Canonical("anllm-ac", names), Canonical("anchors=901,insert=901"));
  ExpectInvalid("anllm-ac,anchors=7", "insert: 901 closes no sequence", names);
  names.model_policy = "anchors=900,insert=900";
  EXPECT_EQ(Canonical("anllm-ac", names), Canonical("anchors=900,insert=900"));
  EXPECT_EQ(Canonical("", names), Canonical("anllm-ac", names));
  names.model_policy = "anllm-ac";
  EXPECT_EQ(Canonical("", names), Canonical("anchors=901,insert=901"));
}

TEST(Policy, LaterKeysReplaceThoseOfThePreset) {
  EXPECT_EQ(Canonical("window,recent=32,anchors=5,keep=none"),
            absl::StrCat("anchors=5,insert=off,longest=512,keep=none,sinks=4,recent=32,view=all", kRest));
  EXPECT_EQ(Canonical("window,insert=off,prefill=anchored,salient=0.0,write=anchored"), Canonical("window"));
  // What counts is what is left in the end.
  EXPECT_EQ(Canonical("window,anchors=none,longest=0"), Canonical("streaming,view=all"));
  EXPECT_EQ(Canonical("salient,anchors=sentence,longest=512,prefill=anchored,salient=0,write=anchored"),
            Canonical("window,keep=none,recent=32"));
  PolicyNames names = Names();
  names.model_policy = "anchors=9,insert=9";
  EXPECT_EQ(Canonical("anllm-ac,insert=off", names), Canonical("anchors=9"));
}

TEST(Policy, IdsAreSortedAndUnique) {
  const absl::StatusOr<Policy> policy = ParsePolicy("anchors=46+33+46+9", Names());
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->anchors, (std::vector<uint32_t>{9, 33, 46}));
  EXPECT_TRUE(policy->IsAnchorId(33));
  EXPECT_FALSE(policy->IsAnchorId(34));
}

TEST(Policy, RecentMayBeAll) {
  EXPECT_EQ(ParsePolicy("recent=all", Names())->recent, Policy::kAll);
  EXPECT_EQ(ParsePolicy("recent=4294967295", Names())->recent, Policy::kAll);
  EXPECT_EQ(ParsePolicy("recent=4294967294", Names())->recent, Policy::kAll - 1);
}

TEST(Policy, CanonicalFormParsesBackWithoutAModel) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  const uint32_t numbers[] = {0, 1, 4, 512, 70000, UINT32_MAX - 1, UINT32_MAX};
  const auto number = [&] { return numbers[random() % std::size(numbers)]; };
  for (int i = 0; i < 1000; ++i) {
    Policy policy;
    std::set<uint32_t> ids;
    for (uint64_t count = random() % 4; count > 0; --count) ids.insert(number());
    policy.anchors.assign(ids.begin(), ids.end());
    policy.longest = policy.has_sequences() ? number() : 0;
    policy.keep_anchors = random() % 2 == 0;
    policy.sinks = number();
    policy.recent = number();
    policy.view = random() % 2 == 0 ? Policy::View::kAll : Policy::View::kOwn;
    policy.write_full = random() % 2 == 0;
    policy.text_anchors = policy.write_full && !policy.has_sequences() && random() % 2 == 0;
    const std::string text = CanonicalPolicy(policy);
    const absl::StatusOr<Policy> again = ParsePolicy(text, PolicyNames());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, policy) << text;
    EXPECT_EQ(CanonicalPolicy(*again), text);
    EXPECT_EQ(*ParsePolicy(ReadablePolicy(policy, PolicyNames()), PolicyNames()), policy);
  }
}

TEST(Policy, IsReadWithTheNamesOfItsAnchors) {
  const auto readable = [](absl::string_view text) { return ReadablePolicy(*ParsePolicy(text, Names()), Names()); };
  const auto anchors = [&](absl::string_view text) { return readable(text).substr(0, readable(text).find(',')); };
  EXPECT_EQ(anchors("window"), "anchors=sentence");
  EXPECT_EQ(anchors("anchors=46+33+30"), "anchors=sentence");
  EXPECT_EQ(anchors("sep"), "anchors=separators");
  EXPECT_EQ(anchors("anchors=46+33"), "anchors=33+46");
  EXPECT_EQ(anchors("full"), "anchors=none");
  EXPECT_EQ(anchors("salient"), "anchors=text");
  for (const absl::string_view text : {"window", "sep,sinks=7", "anchors=46+33", "full", "salient", "streaming"}) {
    EXPECT_EQ(*ParsePolicy(readable(text), Names()), *ParsePolicy(text, Names())) << text;
  }
}

TEST(Policy, NamesTheNearestKnownName) {
  ExpectInvalid("longst=4", "unknown key \"longst\"; did you mean \"longest\"?");
  ExpectInvalid("windw", "unknown preset \"windw\"; did you mean \"window\"?");
  ExpectInvalid("anchors=sentense", "anchors: unknown value \"sentense\"; did you mean \"sentence\"?");
  ExpectInvalid("view=al", "view: unknown value \"al\"; did you mean \"all\"?");
  ExpectInvalid("keep=anchor", "keep: unknown value \"anchor\"; did you mean \"anchors\"?");
  ExpectInvalid("prefill=ful", "prefill: unknown value \"ful\"; did you mean \"full\"?");
  ExpectInvalid("write=x", "write: unknown value \"x\"");
  ExpectInvalid("qqqqqqqqqqqq=1", "known are anchors, insert");
  EXPECT_THAT(std::string(Error("qqqqqqqqqqqq=1").message()), testing::Not(HasSubstr("did you mean")));
}

TEST(Policy, RejectsWhatIsNotTheForm) {
  ExpectInvalid("longest", "longest: has no value");
  ExpectInvalid("window,salient", "salient: has no value");  // a preset as well, but not here
  ExpectInvalid("recent=4,window", "the preset \"window\" must stand first");
  ExpectInvalid("sep,window", "must stand first, and alone");
  ExpectInvalid("window,foo", "\"foo\" is not key=value");
  ExpectInvalid("window,", "an empty item");
  ExpectInvalid(",recent=4", "an empty item");
  ExpectInvalid("recent=4,recent=4", "recent: given twice");
  ExpectInvalid("window,recent=4,sinks=1,recent=5", "recent: given twice");
  ExpectInvalid("recent=", "recent: the value is empty");
  ExpectInvalid(" window", "unknown preset");
}

TEST(Policy, RejectsWhatIsNoNumber) {
  ExpectInvalid("recent=-1", "recent: \"-1\" is not a whole number");
  ExpectInvalid("sinks=+1", "sinks: \"+1\" is not a whole number");
  ExpectInvalid("sinks= 1", "is not a whole number");
  ExpectInvalid("anchors=5,longest=1.5", "longest: \"1.5\" is not a whole number");
  ExpectInvalid("sinks=4294967296", "sinks: \"4294967296\" is above 4294967295");
  ExpectInvalid("sinks=all", "sinks: \"all\" is not a whole number");
  ExpectInvalid("salient=nan", "salient: \"nan\" is not a number from 0 to 1");
  ExpectInvalid("salient=2", "salient");
  ExpectInvalid("salient=-0.1", "salient");
  ExpectInvalid("salient=0.0000001", "with at most six decimals");
  ExpectInvalid("salient=0.1.2", "salient");
  ExpectInvalid("salient=1.000001", "salient");
  ExpectInvalid("salient=.", "salient");
}

TEST(Policy, RejectsIdsThatTheModelDoesNotHave) {
  ExpectInvalid("anchors=46+1000", "anchors: token id 1000 is not below the vocabulary's size, 1000");
  ExpectInvalid("insert=1000", "insert: token id 1000");
  ExpectInvalid("anchors=46+", "anchors: \"\" is not a whole number");
  ExpectInvalid("anchors=46+x", "anchors: \"x\"");
  ExpectInvalid("anchors=-46", "anchors: unknown value \"-46\"");
  ExpectInvalid("anchors=99999999999", "above 4294967295");
  EXPECT_TRUE(ParsePolicy("anchors=1000", PolicyNames()).ok());
  ExpectInvalid("window", "this model has no tokens for \"sentence\"", PolicyNames());
}

TEST(Policy, TextCutsPromptsAlone) {
  const absl::StatusOr<Policy> policy = ParsePolicy("anchors=text,longest=40,write=full", PolicyNames());
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_TRUE(policy->text_anchors && policy->has_sequences() && policy->anchors.empty());
  ExpectInvalid("anchors=text", "anchors: text cuts prompts alone");
  ExpectInvalid("salient,write=anchored", "anchors: text (from the preset) cuts prompts alone");
  ExpectInvalid("anchors=text,write=full,insert=7", "insert: 7 closes no sequence");
  ExpectInvalid("anchors=txt", "did you mean \"text\"?");
}

TEST(Policy, RejectsMoreIdsThanASegmentHeaderCarries) {
  std::string text = "anchors=0";
  for (int id = 1; id < 65536; ++id) absl::StrAppend(&text, "+", id);
  EXPECT_TRUE(ParsePolicy(text, PolicyNames()).ok());
  ExpectInvalid(text + "+65536", "65537 ids; at most 65536", PolicyNames());
}

TEST(Policy, RejectsLongestWithoutSequences) {
  ExpectInvalid("anchors=none,longest=8", "longest: 8");
  ExpectInvalid("longest=8", "with anchors=none there are none");
  ExpectInvalid("window,anchors=none", "longest: 512 (from the preset)");
}

TEST(Policy, SalientIsExactInMillionths) {
  EXPECT_EQ(ParsePolicy("salient,salient=0.06", Names())->salient_millionths, 60000u);
  const Policy adaptive = ParsePolicy("salient,salient=0.04-0.15", Names()).value();
  EXPECT_EQ(adaptive.salient_millionths, 40000u);
  EXPECT_EQ(adaptive.most_salient_millionths, 150000u);
  EXPECT_EQ(ParsePolicy(CanonicalPolicy(adaptive), Names()).value(), adaptive);
  for (const char* wrong : {"0.15-0.04", "0.1-0.1", "0-0.1", "0.1-", "-0.1", "0.1-0.2-0.3"}) {
    EXPECT_EQ(ParsePolicy(absl::StrCat("salient,salient=", wrong), Names()).status().code(),
              absl::StatusCode::kInvalidArgument)
        << wrong;
  }
  EXPECT_EQ(ParsePolicy("salient,salient=1", Names())->salient_millionths, 1000000u);
  EXPECT_EQ(ParsePolicy("salient,salient=0.000001", Names())->salient_millionths, 1u);
  EXPECT_THAT(Canonical("salient,salient=0.120"), HasSubstr(",salient=0.12,"));
  EXPECT_THAT(Canonical("salient,salient=1.0"), HasSubstr(",salient=1,"));
  for (const char* text : {"salient", "salient,salient=0.000001", "write=full", "prefill=full,recent=8"}) {
    EXPECT_EQ(Canonical(Canonical(text)), Canonical(text));
  }
}

TEST(Policy, RejectsSalienceWithoutItsGround) {
  ExpectInvalid("window,salient=0.1", "give the preset first, \"salient,salient=0.1\", or prefill=full, or salient=0");
  ExpectInvalid("salient,anchors=none,longest=0", "salient: 0.13 goes to sequences");
}

TEST(Policy, QuotesOutsideTextShortAndPrintable) {
  const std::string message(Error(std::string(100000, '\xff')).message());
  EXPECT_LT(message.size(), 400u);
  for (char c : message) EXPECT_TRUE(c >= ' ' && c <= '~');
  EXPECT_LT(Error(std::string(100000, 'x') + "=1").message().size(), 400u);
  EXPECT_LT(Error("recent=" + std::string(100000, '9')).message().size(), 400u);
}

}  // namespace
}  // namespace kedge
