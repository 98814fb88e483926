#include "common/anchor/tracker.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "common/anchor/outline.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

RowRule Next(AnchorTracker* tracker) {
  if (tracker->reduces_next()) tracker->Reduce();
  return tracker->Next();
}

AnchorTracker TrackTo(const Content* content, uint32_t count) {
  AnchorTracker tracker(content);
  tracker.AdvanceTo(count);
  return tracker;
}

AnchorTracker TrackAll(const Content* content) { return TrackTo(content, content->ids.size()); }

// The words of the rule as a matrix: slow, and with nothing of the tracker's two spans in it.
struct Oracle {
  std::vector<bool> closes;
  std::vector<std::vector<bool>> visible;  // [row][row before or itself]

  explicit Oracle(const Content& c) {
    const Policy& policy = c.policy;
    const size_t n = c.ids.size();
    std::vector<size_t> sequence(n);  // number of the sequence that row i belongs to
    for (size_t i = 0; i < n; ++i) {
      sequence[i] = std::count(closes.begin(), closes.end(), true);
      const size_t rows_in_sequence = 1 + std::count(sequence.begin(), sequence.begin() + i, sequence[i]);
      const bool is_anchor_id = std::count(policy.anchors.begin(), policy.anchors.end(), c.ids[i]) > 0;
      const bool is_longest = policy.longest > 0 && rows_in_sequence >= policy.longest;
      const bool by_id = !policy.anchors.empty() && !c.NoAnchor(i) && (is_anchor_id || is_longest);
      closes.push_back(policy.text_anchors ? std::count(c.sequence_ends.begin(), c.sequence_ends.end(), i) > 0 : by_id);
    }
    const auto within = [](const std::vector<PositionRange>& ranges, size_t j) {
      return std::any_of(ranges.begin(), ranges.end(),
                         [j](const PositionRange& r) { return r.begin <= j && j < r.end; });
    };
    const size_t prompt = c.prompt_length;
    for (size_t i = 0; i < n; ++i) {
      visible.emplace_back();
      for (size_t j = 0; j <= i; ++j) {
        const bool full_prompt = policy.prefill_full && i + 1 < prompt;
        const bool own_sequence = policy.has_sequences() && sequence[i] == sequence[j];
        const bool recent = policy.recent == Policy::kAll || i - j < policy.recent;
        const bool sink = j < policy.sinks;
        const bool salient = c.salient.has_value() && within(*c.salient, j);
        const bool kept = (closes[j] && policy.keep_anchors) || within(c.pinned, j) || salient;
        const bool sees_kept = !closes[i] || policy.view == Policy::View::kAll;
        // From the first row on that the prompt's last one sees as its own sequence or as recent.
        const bool written = policy.write_full && i >= prompt && (prompt == 0 || j >= LastBegin(c, sequence));
        visible[i].push_back(full_prompt || written || j == i || own_sequence || recent || sink || (kept && sees_kept));
      }
    }
  }

  static size_t LastBegin(const Content& c, const std::vector<size_t>& sequence) {
    const size_t last = c.prompt_length - 1;
    for (size_t j = 0; j < last; ++j) {
      const bool own_sequence = c.policy.has_sequences() && sequence[j] == sequence[last];
      if (own_sequence || c.policy.recent == Policy::kAll || last - j < c.policy.recent) return j;
    }
    return last;
  }

  std::vector<uint32_t> Visible(size_t i) const {
    std::vector<uint32_t> rows;
    for (size_t j = 0; j <= i; ++j) {
      if (visible[i][j]) rows.push_back(j);
    }
    return rows;
  }
};

constexpr uint32_t kVocabulary = 8;

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t end) { return engine_() % end; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

// Some ranges within [0, end).
std::vector<PositionRange> RandomRanges(Random& random, uint32_t end) {
  std::vector<PositionRange> ranges;
  for (uint32_t begin = random.Below(8); begin < end; begin += 1 + random.Below(16)) {
    ranges.push_back({begin, std::min(end, begin + 1 + random.Below(4))});
    begin = ranges.back().end;
  }
  return ranges;
}

Content RandomContent(Random& random) {
  Content c;
  Policy& policy = c.policy;
  if (!random.OneIn(4)) {
    std::set<uint32_t> ids;
    const uint32_t count = 1 + random.Below(3);
    for (uint32_t i = 0; i < count; ++i) ids.insert(random.Below(kVocabulary));
    policy.anchors.assign(ids.begin(), ids.end());
    policy.longest = random.OneIn(2) ? 0 : 1 + random.Below(7);
  }
  policy.keep_anchors = !random.OneIn(4);
  policy.sinks = random.OneIn(2) ? 0 : random.OneIn(8) ? UINT32_MAX : random.Below(60);
  if (policy.sinks != UINT32_MAX && !random.OneIn(4)) policy.sinks %= 5;
  const uint32_t recents[] = {0, 0, Policy::kAll, UINT32_MAX - 1, random.Below(12), random.Below(12)};
  policy.recent = recents[random.Below(std::size(recents))];
  policy.view = random.OneIn(2) ? Policy::View::kOwn : Policy::View::kAll;
  policy.prefill_full = random.OneIn(3);
  policy.write_full = random.OneIn(3);
  const uint32_t n = random.Below(48);
  const uint32_t bits = 1 + random.Below(6);  // how rare no-anchor bits are
  for (uint32_t i = 0; i < n; ++i) {
    c.ids.push_back(random.Below(kVocabulary));
    if (bits < 6 && random.OneIn(bits)) c.no_anchor_positions.push_back(i);
  }
  c.prompt_length = random.Below(n + 2);
  if (policy.write_full && policy.has_sequences() && random.OneIn(2)) {
    policy.anchors.clear();
    policy.text_anchors = true;
    c.no_anchor_positions.clear();
    for (uint32_t i = 0; i < std::min(n, c.prompt_length); ++i) {
      if (random.OneIn(5)) c.sequence_ends.push_back(i);
    }
  }
  if (random.OneIn(3)) c.pinned = RandomRanges(random, c.prompt_length);
  if (policy.prefill_full && policy.has_sequences() && random.OneIn(2)) {
    policy.salient_millionths = random.OneIn(2) ? 1000000 : 1;
    c.turn_begin = random.Below(20);
    for (uint32_t i = random.Below(10); i < c.prompt_length; i += 1 + random.Below(12)) c.question_marks.push_back(i);
    c.salient = RandomRanges(random, std::max(c.prompt_length, 1u) - 1);
  }
  return c;
}

// The first position that a state may have.
uint32_t LeastState(const Content& c) { return c.policy.prefill_full ? std::max(c.prompt_length, 1u) - 1 : 0; }

std::string Describe(const Content& c) {
  std::string text = CanonicalPolicy(c.policy) + " n=" + std::to_string(c.prompt_length);
  for (const PositionRange& r : c.pinned) text += " pin " + std::to_string(r.begin) + "-" + std::to_string(r.end);
  for (const PositionRange& r : c.salient.value_or(std::vector<PositionRange>())) {
    text += " salient " + std::to_string(r.begin) + "-" + std::to_string(r.end);
  }
  text += " ids";
  for (size_t i = 0; i < c.ids.size(); ++i) text += " " + std::to_string(c.ids[i]) + (c.NoAnchor(i) ? "!" : "");
  return text;
}

std::vector<RowRule> Rules(const Content& c) {
  AnchorTracker tracker(&c);
  std::vector<RowRule> rules;
  for (size_t i = 0; i < c.ids.size(); ++i) rules.push_back(Next(&tracker));
  return rules;
}

std::vector<uint32_t> AllKept(const Content& c) { return TrackAll(&c).kept_positions(); }

// The rows that the two spans of `rule` show: K[0, kept_end), then R[recent_begin, position].
std::vector<uint32_t> Shown(const RowRule& rule, const std::vector<uint32_t>& kept) {
  std::vector<uint32_t> rows(kept.begin(), kept.begin() + rule.kept_end);
  for (uint32_t j = rule.recent_begin; j <= rule.position; ++j) rows.push_back(j);
  return rows;
}

std::vector<uint32_t> Rows(const StateShape& state) {
  std::vector<uint32_t> rows = state.kept;
  for (uint32_t j = state.recent_begin; j < state.end; ++j) rows.push_back(j);
  return rows;
}

// One random content for each value; the seed is new in every run.
template <typename Check>
void ForRandomContents(int count, const Check& check) {
  const uint64_t seed = std::random_device()();
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    const Content c = RandomContent(random);
    SCOPED_TRACE("seed " + std::to_string(seed + i) + ": " + Describe(c));
    check(c, random);
  }
}

TEST(AnchorTracker, ShowsExactlyTheRowsThatTheRuleAllows) {
  ForRandomContents(8000, [](const Content& c, Random&) {
    const Oracle oracle(c);
    const std::vector<RowRule> rules = Rules(c);
    const std::vector<uint32_t> kept = AllKept(c);
    for (uint32_t i = 0; i < rules.size(); ++i) {
      const RowRule& rule = rules[i];
      EXPECT_EQ(rule.position, i);
      EXPECT_EQ(rule.closes, oracle.closes[i]);
      if (rule.kept) {
        ASSERT_LT(rule.kept_index, kept.size());
        EXPECT_EQ(kept[rule.kept_index], i);
      }
      ASSERT_LE(rule.recent_begin, i);
      ASSERT_LE(rule.kept_end, kept.size());
      // In ascending order without repetition only if no row stands in both spans.
      EXPECT_EQ(Shown(rule, kept), oracle.Visible(i)) << "row " << i;
    }
  });
}

TEST(AnchorTracker, KeepsExactlyWhatThePolicyKeeps) {
  ForRandomContents(4000, [](const Content& c, Random&) {
    const Oracle oracle(c);
    std::vector<uint32_t> expected;
    for (uint32_t i = 0; i < c.ids.size(); ++i) {
      const bool salient = c.salient.has_value() && Contains(*c.salient, i);
      const bool kept =
          i < c.policy.sinks || (oracle.closes[i] && c.policy.keep_anchors) || Contains(c.pinned, i) || salient;
      const bool written = c.policy.write_full && i >= c.prompt_length;  // stays in R
      const bool unreduced = c.policy.prefill_full && c.ids.size() + 1 < c.prompt_length;
      if (kept && !written && !unreduced) expected.push_back(i);
    }
    EXPECT_EQ(AllKept(c), expected);
  });
}

TEST(AnchorTracker, MovesOnlyForward) {
  ForRandomContents(3000, [](const Content& c, Random&) {
    const std::vector<uint32_t> kept = AllKept(c);
    AnchorTracker tracker(&c);
    uint32_t begin = 0;
    for (size_t i = 0; i < c.ids.size(); ++i) {
      if (tracker.reduces_next()) tracker.Reduce();
      const uint32_t next_begin = tracker.next_recent_begin();
      const RowRule rule = tracker.Next();
      EXPECT_EQ(rule.recent_begin, next_begin);
      EXPECT_GE(rule.recent_begin, begin);
      begin = rule.recent_begin;
      // What a row reads of K is there, and as it will always be.
      const std::vector<uint32_t>& now = tracker.kept_positions();
      ASSERT_LE(rule.kept_end, now.size());
      EXPECT_TRUE(std::equal(now.begin(), now.end(), kept.begin()));
      EXPECT_EQ(tracker.position(), i + 1);
    }
  });
}

TEST(AnchorTracker, StateHasWhatAnyLaterRowSeesAndNothingElse) {
  ForRandomContents(3000, [](const Content& c, Random&) {
    const Oracle oracle(c);
    for (uint32_t p = LeastState(c); p <= c.ids.size(); ++p) {
      const StateShape state = TrackTo(&c, p).State();
      const std::vector<uint32_t> rows = Rows(state);
      EXPECT_EQ(state.end, p);
      EXPECT_EQ(state.num_rows(), rows.size());
      for (uint32_t i = p; i < c.ids.size(); ++i) {
        for (uint32_t j = 0; j < p; ++j) {
          EXPECT_TRUE(!oracle.visible[i][j] || std::binary_search(rows.begin(), rows.end(), j)) << i << " sees " << j;
        }
      }
      // A next row that is no anchor sees all of it.
      Content next = c;
      next.ids.resize(p + 1);
      std::erase_if(next.sequence_ends, [p](uint32_t position) { return position >= p; });
      std::erase_if(next.no_anchor_positions, [p](uint32_t position) { return position >= p; });
      if (!c.policy.text_anchors) next.no_anchor_positions.push_back(p);
      std::vector<uint32_t> seen = Oracle(next).Visible(p);
      seen.pop_back();  // itself
      EXPECT_EQ(rows, seen) << "State(" << p << ")";
    }
  });
}

TEST(AnchorTracker, CopyGoesOnFromWhereTheOriginalStands) {
  ForRandomContents(500, [](const Content& c, Random& random) {
    const std::vector<RowRule> rules = Rules(c);
    const uint32_t half = random.Below(c.ids.size() + 1);
    AnchorTracker copy = TrackTo(&c, half);
    for (size_t i = half; i < c.ids.size(); ++i) EXPECT_EQ(Next(&copy), rules[i]);
  });
}

TEST(AnchorTracker, ARowIsTakenBeforeItsIdIsKnown) {
  int unknown = 0;
  ForRandomContents(8000, [&unknown](const Content& c, Random& random) {
    const std::vector<RowRule> rules = Rules(c);
    Content grown = c;
    grown.ids.resize(std::min<size_t>(c.prompt_length, c.ids.size()));
    AnchorTracker tracker(&grown);
    for (uint32_t i = 0; i < c.ids.size(); ++i) {
      if (i < grown.ids.size()) {
        ASSERT_EQ(Next(&tracker), rules[i]);
        continue;
      }
      if (tracker.KnowsNext() && random.OneIn(3)) {  // what is taken back has left no trace
        tracker.NextUnknown();
        tracker.TakeBack();
        ASSERT_EQ(tracker.position(), i);
      }
      ASSERT_EQ(tracker.next_recent_begin(), rules[i].recent_begin);
      if (!tracker.KnowsNext() || random.OneIn(4)) {
        grown.ids.push_back(c.ids[i]);
        ASSERT_EQ(Next(&tracker), rules[i]);
        continue;
      }
      ++unknown;
      const RowRule rule = tracker.NextUnknown();
      ASSERT_EQ(rule.recent_begin, rules[i].recent_begin);
      ASSERT_EQ(rule.kept_end, rules[i].kept_end);
      if (rules[i].kept) {
        ASSERT_TRUE(rule.kept);
        ASSERT_EQ(rule.kept_index, rules[i].kept_index);
      }
      grown.ids.push_back(c.ids[i]);
      tracker.Confirm();
    }
    tracker.AdvanceTo(static_cast<uint32_t>(c.ids.size()));  // a reduction may be left
    ASSERT_EQ(tracker.kept_positions(), AllKept(c));
  });
  EXPECT_GT(unknown, 10000);
}

TEST(VisiblePrompt, IsWhatTheLastRowOfThePromptSees) {
  ForRandomContents(3000, [](const Content& c, Random&) {
    if (c.prompt_length == 0 || c.prompt_length > c.ids.size()) return;
    std::vector<uint32_t> positions;
    for (const PositionRange& range : VisiblePrompt(c)) {
      for (uint32_t position = range.begin; position < range.end; ++position) positions.push_back(position);
    }
    EXPECT_EQ(positions, Oracle(c).Visible(c.prompt_length - 1));
  });
}

// --- By hand. Id 9 is the anchor; w is any other. ---

constexpr uint32_t kAnchor = 9;
constexpr uint32_t w = 1;

Policy Plain() {
  Policy policy;
  policy.anchors = {kAnchor};
  return policy;
}

std::vector<std::vector<uint32_t>> ShownByRow(const Policy& policy, const std::vector<uint32_t>& ids,
                                              const std::vector<uint32_t>& no_anchor_positions = {}) {
  const Content c{.ids = ids, .no_anchor_positions = no_anchor_positions, .policy = policy};
  std::vector<std::vector<uint32_t>> shown;
  for (const RowRule& rule : Rules(c)) shown.push_back(Shown(rule, AllKept(c)));
  return shown;
}

using Table = std::vector<std::vector<uint32_t>>;

TEST(AnchorTracker, AgreesWithFigure2OfThePaper) {
  const Policy policy = Plain();
  const std::vector<uint32_t> ids = {w, w, w, kAnchor, w, w, kAnchor, w};
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {3, 4}, {3, 4, 5}, {4, 5, 6}, {3, 6, 7}};
  EXPECT_EQ(ShownByRow(policy, ids), expected);
  // The cache after w7: both anchors and w7.
  const Content content{.ids = ids, .policy = policy};
  EXPECT_EQ(Rows(TrackAll(&content).State()), (std::vector<uint32_t>{3, 6, 7}));
}

TEST(AnchorTracker, TwoAnchorsInARow) {
  const Table expected = {{0}, {0, 1}, {2}, {1, 2, 3}};
  EXPECT_EQ(ShownByRow(Plain(), {w, kAnchor, kAnchor, w}), expected);
  Policy all = Plain();
  all.view = Policy::View::kAll;
  const Table expected_all = {{0}, {0, 1}, {1, 2}, {1, 2, 3}};
  EXPECT_EQ(ShownByRow(all, {w, kAnchor, kAnchor, w}), expected_all);
}

TEST(AnchorTracker, AnchorFirstAndLast) {
  const Policy policy = Plain();
  const std::vector<uint32_t> ids = {kAnchor, w, w, kAnchor};
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {1, 2, 3}};
  EXPECT_EQ(ShownByRow(policy, ids), expected);
  const Content content{.ids = ids, .policy = policy};
  const AnchorTracker tracker = TrackAll(&content);
  EXPECT_EQ(Rows(tracker.State()), (std::vector<uint32_t>{0, 3}));
  EXPECT_EQ(tracker.State().recent_begin, 4u);
  EXPECT_EQ(tracker.open_rows(), 0u);
}

TEST(AnchorTracker, WithoutAnyAnchorEveryRowIsSeen) {
  const Table expected = {{0}, {0, 1}, {0, 1, 2}};
  EXPECT_EQ(ShownByRow(Plain(), {w, w, w}), expected);
  const Content content{.ids = {w, w, w}, .policy = Plain()};
  EXPECT_EQ(TrackAll(&content).open_rows(), 3u);
}

TEST(AnchorTracker, TheLongestRowActsAsAnAnchor) {
  Policy policy = Plain();
  policy.longest = 3;
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {2, 3}, {3, 4}, {2, 4, 5}, {2, 4, 5, 6}, {5, 6, 7}};
  //                                        closes          closes: view=own                    closes
  EXPECT_EQ(ShownByRow(policy, {w, w, w, w, kAnchor, w, w, w}), expected);
}

TEST(AnchorTracker, TheNextRowThatMayIsTheLongest) {
  Policy policy = Plain();
  policy.longest = 2;
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {3, 4}};
  EXPECT_EQ(ShownByRow(policy, {w, w, kAnchor, w, w}, {1, 2}), expected);
}

TEST(AnchorTracker, MoreSinksThanRowsKeepsEveryRow) {
  Policy policy = Plain();
  policy.sinks = 100;
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}};
  EXPECT_EQ(ShownByRow(policy, {w, kAnchor, kAnchor, w}), expected);
  const Content content{.ids = {w, kAnchor, kAnchor, w}, .policy = policy};
  EXPECT_EQ(TrackAll(&content).State().num_rows(), 4u);
}

TEST(AnchorTracker, StreamingSeesSinksAndWindow) {
  Policy policy;
  policy.sinks = 1;
  policy.recent = 2;
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 2, 3}, {0, 3, 4}};
  EXPECT_EQ(ShownByRow(policy, {w, w, kAnchor, w, w}), expected);
}

TEST(AnchorTracker, AFullPrefillIsReducedBeforeThePromptsLastRow) {
  Policy policy = Plain();
  policy.prefill_full = true;
  policy.keep_anchors = false;
  policy.sinks = 1;
  policy.recent = 2;
  policy.view = Policy::View::kAll;
  Content content{.ids = {w, w, kAnchor, w, w, kAnchor, w, w, w, kAnchor, w}, .prompt_length = 8, .policy = policy};
  content.policy.salient_millionths = 500000;
  content.salient = {{3, 6}};
  std::vector<std::vector<uint32_t>> shown;
  for (const RowRule& rule : Rules(content)) shown.push_back(Shown(rule, AllKept(content)));
  EXPECT_EQ(shown[6], (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(shown[7], (std::vector<uint32_t>{0, 3, 4, 5, 6, 7}));
  EXPECT_EQ(shown[10], (std::vector<uint32_t>{0, 3, 4, 5, 9, 10}));  // write=anchored: 6 to 8 are gone
  content.policy.write_full = true;
  shown.clear();
  for (const RowRule& rule : Rules(content)) shown.push_back(Shown(rule, AllKept(content)));
  EXPECT_EQ(shown[10], (std::vector<uint32_t>{0, 3, 4, 5, 6, 7, 8, 9, 10}));
}

// --- RowsNeeded ---

struct Held {
  uint64_t recent = 0;
  uint64_t kept = 0;
};

// The most rows held when State(start) is placed at once, the prompt's rest is computed in pieces that `next_piece`
// gives, and `generated` follows row by row.
template <typename NextPiece>
Held Simulate(Content c, uint32_t start, const std::vector<uint32_t>& generated, const NextPiece& next_piece) {
  const uint32_t size = c.ids.size();
  AnchorTracker tracker = TrackTo(&c, start);
  Held most{start - tracker.next_recent_begin(), 0};
  while (tracker.position() < size) {
    if (tracker.reduces_next()) tracker.Reduce();
    const uint32_t begin = tracker.next_recent_begin();
    const uint32_t end = std::min<uint32_t>(size, tracker.position() + next_piece());
    while (tracker.position() < end && !tracker.reduces_next()) tracker.Next();
    most.recent = std::max<uint64_t>(most.recent, tracker.position() - begin);
  }
  for (uint32_t id : generated) {
    c.ids.push_back(id);
    const RowRule rule = Next(&tracker);
    most.recent = std::max<uint64_t>(most.recent, rule.position + 1 - rule.recent_begin);
  }
  most.kept = tracker.kept_positions().size();
  return most;
}

uint64_t OutlineCharge(const Content& c) {
  if (!c.salient.has_value() || c.prompt_length == 0 || c.prompt_length > c.ids.size() + 1) return 0;
  const PromptOutline outline = OutlinePrompt(c);
  uint64_t charge = 0;
  for (const PositionRange& range : *c.salient) charge += outline.Charge(range);
  return charge;
}

// A position that the rows may begin with: 0 or one that a state may have.
uint32_t RandomStart(const Content& c, uint32_t least, Random& random) {
  least = std::max(least, random.OneIn(2) && least == 0 ? 0 : LeastState(c));
  if (least > c.ids.size() || (least == 0 && c.policy.prefill_full)) return 0;
  return least + random.Below(c.ids.size() + 1 - least);
}

TEST(RowsNeeded, IsNeverBelowWhatARequestHolds) {
  ForRandomContents(4000, [](const Content& c, Random& random) {
    const uint32_t chunk = 1 + random.Below(20);
    const uint32_t max_new = c.prompt_length > c.ids.size() + 1 ? 0 : random.Below(30);
    const uint32_t first = RandomStart(c, 0, random);
    Content unchosen = c;
    if (random.OneIn(2) && OutlineCharge(c) <= SalientBudget(c).most) unchosen.salient.reset();
    const RowNeeds needs = RowsNeeded(unchosen, first, chunk, max_new);
    for (int run = 0; run < 10; ++run) {
      std::vector<uint32_t> generated(random.Below(max_new + 1));
      for (uint32_t& id : generated) id = random.Below(kVocabulary);
      const uint32_t start = first == 0 ? RandomStart(c, 0, random) : RandomStart(c, first, random);
      const Held held = Simulate(c, start, generated, [&] { return 1 + random.Below(chunk); });
      EXPECT_LE(held.recent, needs.recent) << "from " << first << ", at " << start;
      EXPECT_LE(held.kept, needs.kept);
    }
  });
}

TEST(RowsNeeded, IsReachedBySomeWayToServeTheRequest) {
  ForRandomContents(2000, [](const Content& c, Random& random) {
    const uint32_t chunk = 1 + random.Below(20);
    const uint32_t max_new = random.Below(30);
    const RowNeeds needs = RowsNeeded(c, 0, chunk, max_new);
    Held most;
    // The worst continuations: text in which every token is an anchor, and in which none is.
    for (const uint32_t id : {c.policy.anchors.empty() ? 0 : c.policy.anchors[0], kVocabulary}) {
      const std::vector<uint32_t> generated(max_new, id);
      for (uint32_t start = 0; start <= c.ids.size(); ++start) {
        if (start > 0 && start < LeastState(c)) continue;
        const Held held = Simulate(c, start, generated, [&] { return chunk; });
        most.recent = std::max(most.recent, held.recent);
        most.kept = std::max(most.kept, held.kept);
      }
    }
    EXPECT_EQ(needs.recent, most.recent);
    EXPECT_LE(most.kept, needs.kept);
    EXPECT_LE(needs.kept, most.kept + 1);  // a last row of the prompt that is not given counts as kept twice
  });
}

TEST(RowsNeeded, OfTheDefaultPolicyIsFarBelowTheWholePrompt) {
  Content content{.ids = std::vector<uint32_t>(4000, w), .prompt_length = 4000, .policy = Plain()};
  content.policy.longest = 512;
  content.policy.sinks = 4;
  content.policy.recent = 128;
  content.policy.view = Policy::View::kAll;
  for (size_t i = 19; i < content.ids.size(); i += 20) content.ids[i] = kAnchor;
  const RowNeeds needs = RowsNeeded(content, 0, 256, 100);
  EXPECT_EQ(needs.recent, 256u + 127u);  // a chunk and the window before its first row
  EXPECT_EQ(needs.kept, 4u + 200u + 100u);
  // Where the state arrives, only the window is held.
  EXPECT_EQ(RowsNeeded(content, 3999, 256, 100).recent, 128u);
}

TEST(RowsNeeded, OfAReducedPromptIsSmallWhereItArrives) {
  Content content{.ids = std::vector<uint32_t>(4000, w), .prompt_length = 4000, .policy = Plain()};
  content.policy.keep_anchors = false;
  content.policy.sinks = 4;
  content.policy.recent = 32;
  content.policy.prefill_full = true;
  content.policy.salient_millionths = 80000;
  content.policy.write_full = true;
  for (size_t i = 19; i < content.ids.size(); i += 20) content.ids[i] = kAnchor;
  EXPECT_EQ(RowsNeeded(content, 0, 256, 0).recent, 3999u);
  const RowNeeds needs = RowsNeeded(content, 3999, 256, 100);
  EXPECT_EQ(needs.recent, 32u + 100u);
  EXPECT_EQ(needs.kept, 4u + 320u + 31u);
}

TEST(RowsNeeded, DoesNotOverflow) {
  Content content{.ids = {w, w}, .policy = Plain()};
  content.policy.recent = Policy::kAll - 1;
  content.policy.sinks = UINT32_MAX;
  const RowNeeds needs = RowsNeeded(content, 0, UINT32_MAX, UINT32_MAX);
  EXPECT_EQ(needs.recent, uint64_t{UINT32_MAX} + 2);
  EXPECT_EQ(needs.kept, uint64_t{UINT32_MAX} + 2);
  content.ids.clear();
  EXPECT_EQ(RowsNeeded(content, 0, 0, 0).recent, 0u);
}

}  // namespace
}  // namespace kedge
