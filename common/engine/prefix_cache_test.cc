// With and without a hit the same bits, wherever a request goes on, whoever computed the rows, and whatever the cache
// has to give up meanwhile.
#include "common/engine/prefix_cache.h"

#include <random>

#include "common/engine/step.h"
#include "common/engine/testing.h"
#include "common/kernels/deferred_device.h"
#include "common/kernels/hash_device.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kVocabulary = 40;
constexpr uint32_t kStep = 64;

const SalienceHeads kHeads = {.pointers = {{1, 0}}, .retrieval = {{0, 0}, {0, 1}}};
const Policy kFull = {.recent = Policy::kAll};

Policy Window() { return {.anchors = {1, 2}, .longest = 30, .sinks = 3, .recent = 40, .view = Policy::View::kAll}; }

Policy Salient() {
  Policy policy{.anchors = {1, 2}, .longest = 30, .keep_anchors = false, .sinks = 4, .recent = 20};
  policy.prefill_full = policy.write_full = true;
  policy.salient_millionths = 100000;
  return policy;
}

// What a request makes of its content: logits of each row that it computed itself, by position, and its choice.
struct Outcome {
  std::map<uint32_t, std::vector<float>> logits;
  std::optional<std::vector<PositionRange>> salient;
};

// A node's part that the cache belongs to.
class Node {
 public:
  explicit Node(uint32_t pages = 400, uint32_t cache_pages = 400)
      : device_(std::make_unique<HashDevice>(
            HashDeviceOptions{.num_pages = pages, .max_rows = kStep, .vocab_size = kVocabulary})),
        pool_(pages),
        cache_({.fingerprint = "model", .max_pages = cache_pages}, &kHeads, &device_, &pool_) {}

  struct Request {
    std::unique_ptr<Sequence> sequence;
    std::unique_ptr<PrefixComputation> computation;
    Outcome outcome;
    uint32_t resumed = 0;
  };

  Request Begin(const Content& content, const std::optional<CachedPrefix>& hit) {
    Request request;
    request.sequence =
        std::make_unique<Sequence>(content, pool_.Reserve(PagesFor(content, 0, kStep, 0)).value(), &kHeads);
    request.computation = cache_.Start(request.sequence.get(), hit);
    request.resumed = request.sequence->position();
    return request;
  }

  // One step of at most `rows` rows. Returns whether more are pending.
  bool Step(Request& request, uint32_t rows = kStep) {
    Sequence& sequence = *request.sequence;
    const uint32_t first = sequence.position();
    const Slice slice{&sequence, std::min(rows, request.computation->ready()), WantedLogits::kAll};
    const std::unique_ptr<StepFuture> step = LaunchStep({slice}, &device_);
    EXPECT_TRUE(step->Wait().ok());
    for (uint32_t row = first; row < sequence.position(); ++row) {
      request.outcome.logits[row] = {step->Logits(row - first).begin(), step->Logits(row - first).end()};
    }
    EXPECT_TRUE(FinishStep({slice}, step.get(), &device_).ok());
    request.computation->Settle();
    if (store_everywhere) request.computation->StoreHere();
    sequence.DropUnseen();
    request.outcome.salient = sequence.content().salient;
    return sequence.pending() > 0;
  }

  Outcome Run(const Content& content, const std::optional<CachedPrefix>& hit, std::mt19937* random = nullptr) {
    Request request = Begin(content, hit);
    while (request.sequence->pending() > 0) Step(request, random != nullptr ? 1 + (*random)() % kStep : kStep);
    return request.outcome;
  }

  PrefixCache& cache() { return cache_; }
  PagePool& pool() { return pool_; }
  bool store_everywhere = false;

 private:
  DeferredDevice device_;
  PagePool pool_;
  PrefixCache cache_;
};

// The rows that were computed with a hit are those of a request without one.
void ExpectSame(const Outcome& cold, const Outcome& hit, uint32_t resumed) {
  ASSERT_EQ(hit.logits.size(), cold.logits.size() - resumed);
  for (const auto& [position, logits] : hit.logits) ASSERT_EQ(logits, cold.logits.at(position)) << position;
  ASSERT_EQ(hit.salient, cold.salient);
}

Content Prompt(uint32_t size, const Policy& policy, uint32_t seed = 1) {
  std::mt19937 random(seed);
  Content content{.prompt_length = size, .policy = policy};
  for (uint32_t i = 0; i < size; ++i) content.ids.push_back(random() % kVocabulary);
  return content;
}

TEST(PrefixCacheTest, AHitAtEveryPossiblePlaceGivesTheSameBits) {
  uint32_t hits = 0, choices = 0;
  for (uint32_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Content content = RandomContent(kVocabulary, seed % 3 == 0 ? 400 : 120, random);
    SCOPED_TRACE(CanonicalPolicy(content.policy));
    const Outcome cold = Node(400, 0).Run(content, std::nullopt, &random);
    Node node;
    node.store_everywhere = true;
    Node::Request donor = node.Begin(content, std::nullopt);
    while (donor.sequence->pending() > 0) node.Step(donor, 1);
    node.store_everywhere = false;
    const uint32_t size = static_cast<uint32_t>(content.ids.size());
    for (uint32_t most = 1; most <= size; most += size < 130 ? 1 : 7) {
      const std::optional<CachedPrefix> hit = node.cache().Find(content, most);
      if (!hit.has_value()) continue;
      ++hits;
      if (content.NeedsChoice()) ++choices;
      ASSERT_LE(hit->rows.end, most);
      ExpectSame(cold, node.Run(content, hit, &random), hit->rows.end);
    }
  }
  EXPECT_GT(hits, 3000u);
  EXPECT_GT(choices, 100u);
}

TEST(PrefixCacheTest, EveryCheckpointOfWhatMayBeSharedIsFound) {
  for (const Policy& policy : {Window(), kFull}) {
    Node node;
    node.store_everywhere = true;
    const Content content = Prompt(200, policy);
    node.Run(content, std::nullopt);
    for (uint32_t end : {64u, 128u, 192u, 200u}) EXPECT_EQ(node.cache().Find(content, end)->rows.end, end);
    EXPECT_EQ(node.cache().Find(content, 127)->rows.end, 64u);
    Content other = content;
    other.ids[100] ^= 1;
    EXPECT_EQ(node.cache().Find(other, 200)->rows.end, 64u);
    other = content;
    other.policy.sinks += 1;
    EXPECT_FALSE(node.cache().Find(other, 200).has_value());
  }
}

TEST(PrefixCacheTest, CheckpointsComeEvery512TokensAndAtTheEndsOfTurns) {
  Node node;
  Content content = Prompt(1300, Window());
  content.turn_begin = 200;
  node.Run(content, std::nullopt);
  EXPECT_EQ(node.cache().Find(content, 1300)->rows.end, 1300u);
  EXPECT_EQ(node.cache().Find(content, 1299)->rows.end, 1024u);
  EXPECT_EQ(node.cache().Find(content, 1023)->rows.end, 512u);
  EXPECT_EQ(node.cache().Find(content, 511)->rows.end, 200u);
  EXPECT_FALSE(node.cache().Find(content, 199).has_value());
  content.ids.push_back(5);  // the next turn
  content.prompt_length = 1301;
  EXPECT_EQ(node.cache().Find(content, 1301)->rows.end, 1300u);
}

TEST(PrefixCacheTest, WhoMakesAChoiceAgainComputesTheRowsThatItStandsOn) {
  Node node;
  const Content content = Prompt(400, Salient());
  const Outcome first = node.Run(content, std::nullopt);
  const std::optional<CachedPrefix> hit = node.cache().Find(content, 398);
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->rows.end, 384u);
  ExpectSame(first, node.Run(content, hit), hit->rows.end);
}

TEST(PrefixCacheTest, ReducedRowsAndWhatIsWrittenOverThemAreNeverFound) {
  Node node;
  node.store_everywhere = true;
  Content content = Prompt(300, Salient());
  content.ids.resize(340, 7);  // an answer of 40 tokens
  node.Run(content, std::nullopt);
  Content next = content;
  next.ids.resize(600, 9);
  next.prompt_length = 600;
  next.turn_begin = 450;
  const std::optional<CachedPrefix> hit = node.cache().Find(next, 599);
  ASSERT_TRUE(hit.has_value());
  EXPECT_LE(hit->rows.end, 299u);
  EXPECT_EQ(hit->rows.recent_begin, 0u);
  EXPECT_EQ(hit->rows.kept, 0u);
  ExpectSame(Node(400, 0).Run(next, std::nullopt), node.Run(next, hit), hit->rows.end);
}

TEST(PrefixCacheTest, AGeneratedRowIsNoPromptRowWhereRolesDiffer) {
  Node node;
  node.store_everywhere = true;
  Content content = Prompt(100, Window());
  content.ids.resize(150, 7);
  Node::Request request = node.Begin(content, std::nullopt);
  while (request.sequence->pending() > 0) node.Step(request, 10);
  Content next = content;
  next.ids.resize(200, 9);
  next.prompt_length = 200;
  EXPECT_EQ(node.cache().Find(next, 199)->rows.end, 100u);
  EXPECT_EQ(node.cache().Find(content, 149)->rows.end, 100u);
}

TEST(PrefixCacheTest, CompleteRowsServeAnyPolicyThatReducesLaterAndFullAttention) {
  Node node;
  const Content content = Prompt(700, Salient());
  node.Run(content, std::nullopt);
  Content other = content;
  other.policy = {.anchors = {3}, .sinks = 1, .recent = 9};
  other.policy.prefill_full = true;
  other.pinned = {{5, 9}};
  Content full = content;
  full.policy = kFull;
  for (const Content* asked : {&other, &full}) {
    const std::optional<CachedPrefix> hit = node.cache().Find(*asked, 698);
    ASSERT_TRUE(hit.has_value());
    EXPECT_EQ(hit->rows.end, 672u);
    ExpectSame(Node(400, 0).Run(*asked, std::nullopt), node.Run(*asked, hit), hit->rows.end);
  }
  EXPECT_EQ(node.cache().Find(full, 699)->rows.end, 699u);
}

// A choice is made of what rows on both sides of the checkpoint told; where that is not known, the hit is elsewhere.
TEST(PrefixCacheTest, AChoiceIsTheSameWhereverItsRowsComeFrom) {
  uint32_t hits = 0;
  for (uint32_t seed = 0; seed < 25; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Node node;
    node.store_everywhere = true;
    Content content = Prompt(300 + random() % 300, Salient(), seed);
    content.turn_begin = random() % 2 ? 0 : random() % 250;
    for (uint32_t begin : {0, 20}) content.no_anchor_positions.push_back(begin + random() % 20);
    node.Run(content, std::nullopt, &random);
    for (int k = 0; k < 6; ++k) {
      Content asked = content;
      asked.ids.resize(200 + random() % (content.ids.size() - 200));
      while (asked.ids.size() < 450) asked.ids.push_back(random() % kVocabulary);
      asked.prompt_length = static_cast<uint32_t>(asked.ids.size());
      if (random() % 3 == 0) asked.turn_begin = random() % 300;
      if (random() % 4 == 0) asked.no_anchor_positions.pop_back();
      if (random() % 4 == 0) asked.policy.longest = 17;
      const std::optional<CachedPrefix> hit = node.cache().Find(asked, asked.prompt_length - 1);
      if (!hit.has_value()) continue;
      ++hits;
      ExpectSame(Node(400, 0).Run(asked, std::nullopt), node.Run(asked, hit, &random), hit->rows.end);
    }
  }
  EXPECT_GT(hits, 40u);
}

TEST(PrefixCacheTest, ADonorThatGoesOnAndManyThatGoOnFromItKeepToThemselves) {
  for (const Policy& policy : {Window(), Salient(), kFull}) {
    Node node;
    const Content content = Prompt(900, policy);
    std::vector<Content> contents = {content};
    for (uint32_t i = 0; i < 5; ++i) {
      Content& other = contents.emplace_back(content);
      for (uint32_t at = 520 + 10 * i; at < 900; ++at) other.ids[at] = (other.ids[at] + i) % kVocabulary;
    }
    std::vector<Node::Request> requests;
    requests.push_back(node.Begin(content, std::nullopt));
    while (requests[0].sequence->position() < 512) node.Step(requests[0]);
    for (uint32_t i = 1; i < contents.size(); ++i) {
      requests.push_back(node.Begin(contents[i], node.cache().Find(contents[i], 898)));
      EXPECT_EQ(requests.back().resumed, 512u);
    }
    for (bool more = true; more;) {
      more = false;
      for (Node::Request& request : requests) more |= request.sequence->pending() > 0 && node.Step(request, 7);
    }
    for (size_t i = 0; i < contents.size(); ++i) {
      ExpectSame(Node(400, 0).Run(contents[i], std::nullopt), requests[i].outcome, requests[i].resumed);
    }
  }
}

// Requests take every page that they reserved, at any moment, also between a search and a start.
TEST(PrefixCacheTest, AFullPoolCostsTheCacheAndNothingElse) {
  uint32_t hits = 0;
  for (uint32_t seed = 0; seed < 15; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const uint32_t pages = 40 + random() % 30;
    Node node(pages, 1 + random() % pages);
    node.store_everywhere = random() % 2;
    const std::vector<Policy> policies = {Window(), Salient(), kFull};
    std::vector<std::pair<Content, std::unique_ptr<Node::Request>>> running;
    for (int turn = 0; turn < 300; ++turn) {
      Content content = Prompt(500, policies[random() % 3], 1 + random() % 2);
      content.ids.resize(100 + random() % 400);
      if (random() % 2) content.ids.back() = random() % kVocabulary;
      content.prompt_length = static_cast<uint32_t>(content.ids.size());
      if (node.pool().num_free() >= PagesFor(content, 0, kStep, 0)) {
        const std::optional<CachedPrefix> hit = node.cache().Find(content, content.prompt_length - 2);
        if (hit.has_value()) ++hits;
        running.emplace_back(content, std::make_unique<Node::Request>(node.Begin(content, hit)));
      }
      if (running.empty()) continue;
      std::swap(running[random() % running.size()], running.back());
      const auto& [chosen, request] = running.back();
      const bool cancelled = random() % 30 == 0;
      if (!cancelled && node.Step(*request, 1 + random() % kStep)) continue;
      if (!cancelled) ExpectSame(Node(400, 0).Run(chosen, std::nullopt), request->outcome, request->resumed);
      running.pop_back();
    }
    EXPECT_LE(node.cache().num_rows(), pages * kPageRows);
  }
  EXPECT_GT(hits, 100u);
}

TEST(PrefixCacheTest, WhoAsksForWhatIsUnderWayWaitsForExactlyThat) {
  Node node;
  const Content content = Prompt(600, Window());
  Node::Request first = node.Begin(content, std::nullopt);
  Content other = content;
  other.ids[333] ^= 1;
  EXPECT_EQ(node.cache().Await(Prompt(600, Window(), 9), 599, 0), nullptr);
  Content little = content;
  little.ids[20] ^= 1;
  EXPECT_EQ(node.cache().Await(little, 599, 0), nullptr) << "not worth it";
  const auto wait = node.cache().Await(other, 599, 0);
  ASSERT_NE(wait, nullptr);
  EXPECT_EQ(first.computation->left(), 333u);
  while (!wait->over()) node.Step(first);
  EXPECT_EQ(first.sequence->position(), 333u);
  const std::optional<CachedPrefix> hit = node.cache().Find(other, 599);
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->rows.end, 333u);
  EXPECT_EQ(node.cache().Await(other, 599, 333), nullptr);
  EXPECT_EQ(first.computation->left(), 600u - 333u);
  // The same content: what the first one has, and then it is computed once.
  const auto whole = node.cache().Await(content, 599, 333);
  ASSERT_NE(whole, nullptr);
  while (!whole->over()) node.Step(first);
  EXPECT_EQ(node.cache().Find(content, 599)->rows.end, 599u);
}

// Neither what is stored nor what is under way: and so nobody learns from time that it is there.
TEST(PrefixCacheTest, AnotherDomainFindsNothingAndWaitsForNobody) {
  for (const Policy& policy : {Window(), Salient(), kFull}) {
    Node node;
    const Content content = Prompt(600, policy);
    Content another = content;
    another.cache_domain = "another";
    Node::Request first = node.Begin(content, std::nullopt);
    EXPECT_NE(node.cache().Await(content, 598, 0), nullptr);
    EXPECT_EQ(node.cache().Await(another, 598, 0), nullptr);
    while (node.Step(first)) {
    }
    EXPECT_TRUE(node.cache().Find(content, 598).has_value());
    EXPECT_FALSE(node.cache().Find(another, 598).has_value());
    ExpectSame(first.outcome, node.Run(another, std::nullopt), 0);
    EXPECT_TRUE(node.cache().Find(another, 598).has_value());
  }
}

TEST(PrefixCacheTest, AComputationThatIsStillWantedLeavesWhatItHas) {
  for (const Policy& policy : {Window(), Salient()}) {
    Node node;
    const Content content = Prompt(600, policy);
    auto first = std::make_unique<Node::Request>(node.Begin(content, std::nullopt));
    std::shared_ptr<const PrefixWait> wait = node.cache().Await(content, 599, 0);
    ASSERT_NE(wait, nullptr);
    for (int i = 0; i < 3; ++i) node.Step(*first);
    first.reset();  // cancelled
    EXPECT_TRUE(wait->over());
    const std::optional<CachedPrefix> hit = node.cache().Find(content, 598);
    ASSERT_TRUE(hit.has_value());
    EXPECT_EQ(hit->rows.end, 3 * kStep);
    ExpectSame(Node(400, 0).Run(content, std::nullopt), node.Run(content, hit), hit->rows.end);
  }
  // Where nobody waits, nothing is left; where a step failed, neither.
  for (const bool failed : {false, true}) {
    Node node;
    const Content content = Prompt(300, Window());
    auto first = std::make_unique<Node::Request>(node.Begin(content, std::nullopt));
    std::shared_ptr<const PrefixWait> wait = node.cache().Await(content, 299, 0);
    node.Step(*first);
    if (failed) first->computation->Abandon();
    if (!failed) wait.reset();
    first.reset();
    EXPECT_FALSE(node.cache().Find(content, 299).has_value());
    EXPECT_TRUE(!failed || wait->over());
  }
}

TEST(PrefixCacheTest, NobodyWaitsForAComputationThatPauses) {
  Node node;
  const Content content = Prompt(300, Window());
  Node::Request first = node.Begin(content, std::nullopt);
  const auto wait = node.cache().Await(content, 299, 0);
  first.computation->set_paused(true);
  EXPECT_TRUE(wait->over());
  EXPECT_EQ(node.cache().Await(content, 299, 0), nullptr);
  first.computation->set_paused(false);
  EXPECT_NE(node.cache().Await(content, 299, 0), nullptr);
}

TEST(PrefixCacheTest, WithoutABudgetNothingIsStoredAndNobodyWaits) {
  Node node(400, 0);
  const Content content = Prompt(600, Window());
  Node::Request first = node.Begin(content, std::nullopt);
  EXPECT_EQ(node.cache().Await(content, 599, 0), nullptr);
  while (node.Step(first)) {
  }
  first.computation->StoreHere();
  EXPECT_FALSE(node.cache().Find(content, 599).has_value());
  EXPECT_EQ(node.cache().num_rows(), 0u);
}

}  // namespace
}  // namespace kedge
