#include "common/anchor/shared_rows.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

Content Text(uint32_t size, uint32_t prompt_length, Policy policy) {
  Content content{.prompt_length = prompt_length, .policy = std::move(policy)};
  for (uint32_t i = 0; i < size; ++i) content.ids.push_back(i % 7);
  return content;
}

Policy Anchored() { return {.anchors = {6}, .recent = 4}; }
Policy Reduced() {
  Policy policy{.anchors = {6}, .recent = 4};
  policy.prefill_full = true;
  return policy;
}

ChainRoot Root(const Content& content) {
  return {.fingerprint = "model",
          .canonical_policy = CanonicalPolicy(content.policy),
          .kv_type = "f16",
          .numerics_class = "c"};
}

TEST(SharedRowsTest, GeneratedRowsServeWhereNothingTellsThemFromPromptRows) {
  EXPECT_EQ(SharedEnd(Text(50, 30, Anchored()), true), 50u);
  EXPECT_EQ(SharedEnd(Text(50, 30, Anchored()), false), 30u);
  Policy written = Anchored();
  written.write_full = true;
  EXPECT_EQ(SharedEnd(Text(50, 30, written), true), 29u);
  EXPECT_EQ(SharedEnd(Text(29, 30, Anchored()), false), 29u);  // a request for State(n-1)
}

TEST(SharedRowsTest, ReducedRowsAndWhatStandsOnThemServeNobody) {
  EXPECT_EQ(SharedEnd(Text(50, 30, Reduced()), true), 29u);
  EXPECT_EQ(SharedEnd(Text(29, 30, Reduced()), true), 29u);
  EXPECT_EQ(SharedEnd(Text(10, 1, Reduced()), true), 0u);
  EXPECT_EQ(SharedEnd(Text(10, 0, Reduced()), true), 0u);
}

TEST(SharedRowsTest, CompleteRowsStandOnTheirIdsAlone) {
  Content a = Text(40, 41, Reduced()), b = Text(60, 50, Reduced());
  b.policy.anchors = {3};
  b.policy.salient_millionths = 100000;
  b.pinned = {{2, 5}};
  b.no_anchor_positions = {6};
  b.turn_begin = 8;
  const Content shared_a = SharedContent(a, true), shared_b = SharedContent(b, true);
  EXPECT_EQ(CommonRows(shared_a, shared_b), 40u);
  const std::vector<uint32_t> ends = {1, 20, 40};
  EXPECT_EQ(NamePrefixes(shared_a, Root(shared_a), ends), NamePrefixes(shared_b, Root(shared_b), ends));
  const Content full = Text(40, 41, {.recent = Policy::kAll});
  EXPECT_EQ(NamePrefixes(shared_a, Root(shared_a), ends), NamePrefixes(full, Root(full), ends));
}

TEST(SharedRowsTest, AnchoredRowsStandOnPolicyAndBitsToo) {
  const Content a = Text(40, 41, Anchored());
  EXPECT_EQ(CommonRows(a, a), 40u);
  Content b = a;
  b.pinned = {{17, 19}};
  EXPECT_EQ(CommonRows(a, b), 17u);
  b = a;
  b.no_anchor_positions = {6};
  EXPECT_EQ(CommonRows(a, b), 6u);
  Content cut = a;  // by the text
  cut.policy.anchors.clear();
  cut.policy.text_anchors = cut.policy.write_full = true;
  cut.sequence_ends = {5, 20};
  b = cut;
  b.sequence_ends = {5, 21};
  EXPECT_EQ(CommonRows(cut, b), 20u);
  EXPECT_NE(NamePrefixes(cut, Root(cut), {30}), NamePrefixes(b, Root(b), {30}));
  EXPECT_EQ(NamePrefixes(cut, Root(cut), {20}), NamePrefixes(b, Root(b), {20}));
  b = a;
  b.ids[33] = 9;
  EXPECT_EQ(CommonRows(a, b), 33u);
  b.policy.recent = 5;
  EXPECT_EQ(CommonRows(a, b), 0u);
  EXPECT_EQ(CommonRows(SharedContent(Text(40, 41, Reduced()), true), a), 0u);
}

TEST(SharedRowsTest, TwoDomainsShareNothing) {
  for (const Policy& policy : {Anchored(), Reduced()}) {
    const Content a = SharedContent(Text(40, 41, policy), true);
    Content b = Text(40, 41, policy);
    b.cache_domain = "another";
    b = SharedContent(b, true);
    EXPECT_EQ(CommonRows(a, a), 40u);
    EXPECT_EQ(CommonRows(a, b), 0u);
    const std::vector<uint32_t> ends = {0, 1, 20, 40};
    const std::vector<ChainKey> of_a = NamePrefixes(a, Root(a), ends), of_b = NamePrefixes(b, Root(b), ends);
    for (size_t i = 0; i < ends.size(); ++i) EXPECT_NE(of_a[i], of_b[i]) << ends[i];
  }
}

TEST(SharedRowsTest, NamesAreThoseOfTheChainAndDifferWhereRowsDo) {
  const Content a = Text(600, 601, Anchored());
  Content b = a;
  b.ids[300] = 1;
  const std::vector<uint32_t> ends = {0, 1, 7, 300, 301, 600};
  const std::vector<ChainKey> of_a = NamePrefixes(a, Root(a), ends), of_b = NamePrefixes(b, Root(b), ends);
  EXPECT_EQ(of_a[0], RootKey(Root(a)));
  for (size_t i = 0; i < ends.size(); ++i) EXPECT_EQ(of_a[i] == of_b[i], ends[i] <= 300) << ends[i];
  EXPECT_EQ(NamePrefixes(a, Root(a), {300}).front(), of_a[3]);
}

}  // namespace
}  // namespace kedge
