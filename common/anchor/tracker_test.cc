#include "common/anchor/tracker.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "common/base/check.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

struct Case {
  Policy policy;
  std::vector<uint32_t> ids;
  std::vector<bool> no_anchor;
};

// The tracker after `tokens`; `no_anchor` is empty or as long as `tokens`.
AnchorTracker TrackAll(const Policy* policy, absl::Span<const uint32_t> tokens, const std::vector<bool>& no_anchor) {
  KEDGE_CHECK(no_anchor.empty() || no_anchor.size() == tokens.size());
  AnchorTracker tracker(policy);
  for (size_t i = 0; i < tokens.size(); ++i) tracker.Next(tokens[i], !no_anchor.empty() && no_anchor[i]);
  return tracker;
}

// The words of the rule as a matrix: slow, and with nothing of the tracker's two spans in it.
struct Oracle {
  std::vector<bool> closes;
  std::vector<std::vector<bool>> visible;  // [row][row before or itself]

  explicit Oracle(const Case& c) {
    const Policy& policy = c.policy;
    const size_t n = c.ids.size();
    std::vector<size_t> sequence(n);  // number of the sequence that row i belongs to
    for (size_t i = 0; i < n; ++i) {
      sequence[i] = std::count(closes.begin(), closes.end(), true);
      const size_t rows_in_sequence = 1 + std::count(sequence.begin(), sequence.begin() + i, sequence[i]);
      const bool is_anchor_id = std::count(policy.anchors.begin(), policy.anchors.end(), c.ids[i]) > 0;
      const bool is_longest = policy.longest > 0 && rows_in_sequence >= policy.longest;
      closes.push_back(!policy.anchors.empty() && !c.no_anchor[i] && (is_anchor_id || is_longest));
    }
    for (size_t i = 0; i < n; ++i) {
      visible.emplace_back();
      for (size_t j = 0; j <= i; ++j) {
        const bool own_sequence = !policy.anchors.empty() && sequence[i] == sequence[j];
        const bool recent = policy.recent == Policy::kAll || i - j < policy.recent;
        const bool sink = j < policy.sinks;
        const bool kept = closes[j] && policy.keep_anchors;
        const bool sees_kept = !closes[i] || policy.view == Policy::View::kAll;
        visible[i].push_back(j == i || own_sequence || recent || sink || (kept && sees_kept));
      }
    }
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

Case RandomCase(Random& random) {
  Case c;
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
  const uint32_t n = random.Below(48);
  const uint32_t bits = 1 + random.Below(6);  // how rare no-anchor bits are
  for (uint32_t i = 0; i < n; ++i) {
    c.ids.push_back(random.Below(kVocabulary));
    c.no_anchor.push_back(bits < 6 && random.OneIn(bits));
  }
  return c;
}

std::string Describe(const Case& c) {
  std::string text = CanonicalPolicy(c.policy) + " ids";
  for (size_t i = 0; i < c.ids.size(); ++i) text += " " + std::to_string(c.ids[i]) + (c.no_anchor[i] ? "!" : "");
  return text;
}

std::vector<RowRule> Rules(const Case& c) {
  AnchorTracker tracker(&c.policy);
  std::vector<RowRule> rules;
  for (size_t i = 0; i < c.ids.size(); ++i) rules.push_back(tracker.Next(c.ids[i], c.no_anchor[i]));
  return rules;
}

std::vector<uint32_t> AllKept(const Case& c) { return TrackAll(&c.policy, c.ids, c.no_anchor).kept_positions(); }

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

// One random case for each value; the seed is new in every run.
template <typename Check>
void ForRandomCases(int count, const Check& check) {
  const uint64_t seed = std::random_device()();
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    const Case c = RandomCase(random);
    SCOPED_TRACE("seed " + std::to_string(seed + i) + ": " + Describe(c));
    check(c, random);
  }
}

TEST(AnchorTracker, ShowsExactlyTheRowsThatTheRuleAllows) {
  ForRandomCases(6000, [](const Case& c, Random&) {
    const Oracle oracle(c);
    const std::vector<RowRule> rules = Rules(c);
    const std::vector<uint32_t> kept = AllKept(c);
    std::vector<uint32_t> expected_kept;
    for (uint32_t i = 0; i < rules.size(); ++i) {
      const RowRule& rule = rules[i];
      EXPECT_EQ(rule.position, i);
      EXPECT_EQ(rule.closes, oracle.closes[i]);
      EXPECT_EQ(rule.kept, i < c.policy.sinks || (oracle.closes[i] && c.policy.keep_anchors));
      EXPECT_EQ(rule.kept_index, rule.kept ? expected_kept.size() : 0);
      if (rule.kept) expected_kept.push_back(i);
      ASSERT_LE(rule.recent_begin, i);
      ASSERT_LE(rule.kept_end, kept.size());
      // In ascending order without repetition only if no row stands in both spans.
      EXPECT_EQ(Shown(rule, kept), oracle.Visible(i)) << "row " << i;
    }
    EXPECT_EQ(kept, expected_kept);
  });
}

TEST(AnchorTracker, MovesOnlyForward) {
  ForRandomCases(3000, [](const Case& c, Random&) {
    const std::vector<uint32_t> kept = AllKept(c);
    AnchorTracker tracker(&c.policy);
    uint32_t begin = 0;
    for (size_t i = 0; i < c.ids.size(); ++i) {
      const uint32_t next_begin = tracker.next_recent_begin();
      const RowRule rule = tracker.Next(c.ids[i], c.no_anchor[i]);
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
  ForRandomCases(3000, [](const Case& c, Random&) {
    const Oracle oracle(c);
    AnchorTracker tracker(&c.policy);
    for (uint32_t p = 0; p <= c.ids.size(); ++p) {
      const StateShape state = tracker.State();
      const std::vector<uint32_t> rows = Rows(state);
      EXPECT_EQ(state.end, p);
      EXPECT_EQ(state.num_rows(), rows.size());
      for (uint32_t i = p; i < c.ids.size(); ++i) {
        for (uint32_t j = 0; j < p; ++j) {
          EXPECT_TRUE(!oracle.visible[i][j] || std::binary_search(rows.begin(), rows.end(), j)) << i << " sees " << j;
        }
      }
      // A next row that is no anchor sees all of it.
      Case next{c.policy, {c.ids.begin(), c.ids.begin() + p}, {c.no_anchor.begin(), c.no_anchor.begin() + p}};
      next.ids.push_back(0);
      next.no_anchor.push_back(true);
      std::vector<uint32_t> seen = Oracle(next).Visible(p);
      seen.pop_back();  // itself
      EXPECT_EQ(rows, seen) << "State(" << p << ")";
      if (p < c.ids.size()) tracker.Next(c.ids[p], c.no_anchor[p]);
    }
  });
}

TEST(AnchorTracker, CopyGoesOnFromWhereTheOriginalStands) {
  ForRandomCases(500, [](const Case& c, Random& random) {
    const std::vector<RowRule> rules = Rules(c);
    const uint32_t half = random.Below(c.ids.size() + 1);
    AnchorTracker copy =
        TrackAll(&c.policy, absl::MakeConstSpan(c.ids).first(half), {c.no_anchor.begin(), c.no_anchor.begin() + half});
    for (size_t i = half; i < c.ids.size(); ++i) EXPECT_EQ(copy.Next(c.ids[i], c.no_anchor[i]), rules[i]);
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
                                              std::vector<bool> no_anchor = {}) {
  no_anchor.resize(ids.size());
  const Case c{policy, ids, no_anchor};
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
  EXPECT_EQ(Rows(TrackAll(&policy, ids, {}).State()), (std::vector<uint32_t>{3, 6, 7}));
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
  const AnchorTracker tracker = TrackAll(&policy, ids, {});
  EXPECT_EQ(Rows(tracker.State()), (std::vector<uint32_t>{0, 3}));
  EXPECT_EQ(tracker.State().recent_begin, 4u);
  EXPECT_EQ(tracker.open_rows(), 0u);
}

TEST(AnchorTracker, WithoutAnyAnchorEveryRowIsSeen) {
  const Table expected = {{0}, {0, 1}, {0, 1, 2}};
  EXPECT_EQ(ShownByRow(Plain(), {w, w, w}), expected);
  const Policy policy = Plain();
  EXPECT_EQ(TrackAll(&policy, {w, w, w}, {}).open_rows(), 3u);
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
  const std::vector<bool> no_anchor = {false, true, true, false, false};
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {3, 4}};
  EXPECT_EQ(ShownByRow(policy, {w, w, kAnchor, w, w}, no_anchor), expected);
}

TEST(AnchorTracker, MoreSinksThanRowsKeepsEveryRow) {
  Policy policy = Plain();
  policy.sinks = 100;
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}};
  EXPECT_EQ(ShownByRow(policy, {w, kAnchor, kAnchor, w}), expected);
  EXPECT_EQ(TrackAll(&policy, {w, kAnchor, kAnchor, w}, {}).State().num_rows(), 4u);
}

TEST(AnchorTracker, StreamingSeesSinksAndWindow) {
  Policy policy;
  policy.sinks = 1;
  policy.recent = 2;
  const Table expected = {{0}, {0, 1}, {0, 1, 2}, {0, 2, 3}, {0, 3, 4}};
  EXPECT_EQ(ShownByRow(policy, {w, w, kAnchor, w, w}), expected);
}

// --- RowsNeeded ---

struct Held {
  uint64_t recent = 0;
  uint64_t kept = 0;
};

// The most rows held when State(start) is placed at once, the prompt's rest is computed in pieces that `next_piece`
// gives, and `generated` follows row by row.
template <typename NextPiece>
Held Simulate(const Case& c, uint32_t start, const std::vector<uint32_t>& generated, const NextPiece& next_piece) {
  AnchorTracker tracker =
      TrackAll(&c.policy, absl::MakeConstSpan(c.ids).first(start), {c.no_anchor.begin(), c.no_anchor.begin() + start});
  Held most{start - tracker.next_recent_begin(), 0};
  uint32_t row = start;
  while (row < c.ids.size()) {
    const uint32_t begin = tracker.next_recent_begin();
    const uint32_t end = std::min<uint32_t>(c.ids.size(), row + next_piece());
    for (; row < end; ++row) tracker.Next(c.ids[row], c.no_anchor[row]);
    most.recent = std::max<uint64_t>(most.recent, end - begin);
  }
  for (uint32_t id : generated) {
    const RowRule rule = tracker.Next(id);
    most.recent = std::max<uint64_t>(most.recent, rule.position + 1 - rule.recent_begin);
  }
  most.kept = tracker.kept_positions().size();
  return most;
}

TEST(RowsNeeded, IsNeverBelowWhatARequestHolds) {
  ForRandomCases(4000, [](const Case& c, Random& random) {
    const uint32_t chunk = 1 + random.Below(20);
    const uint32_t max_new = random.Below(30);
    const RowNeeds needs = RowsNeeded(c.policy, c.ids, c.no_anchor, chunk, max_new);
    for (int run = 0; run < 10; ++run) {
      std::vector<uint32_t> generated(random.Below(max_new + 1));
      for (uint32_t& id : generated) id = random.Below(kVocabulary);
      const uint32_t start = random.Below(c.ids.size() + 1);
      const Held held = Simulate(c, start, generated, [&] { return 1 + random.Below(chunk); });
      EXPECT_LE(held.recent, needs.recent);
      EXPECT_LE(held.kept, needs.kept);
    }
    if (!c.ids.empty()) {  // what a decode node does: State(n - 1) at once, then one row at a time
      const std::vector<uint32_t> generated(max_new, 0);
      const Held held = Simulate(c, c.ids.size() - 1, generated, [] { return 1; });
      EXPECT_LE(held.recent, needs.recent);
      EXPECT_LE(held.kept, needs.kept);
    }
  });
}

TEST(RowsNeeded, IsReachedBySomeWayToServeTheRequest) {
  ForRandomCases(2000, [](const Case& c, Random& random) {
    const uint32_t chunk = 1 + random.Below(20);
    const uint32_t max_new = random.Below(30);
    const RowNeeds needs = RowsNeeded(c.policy, c.ids, c.no_anchor, chunk, max_new);
    Held most;
    // The worst continuations: text in which every token is an anchor, and in which none is.
    for (const uint32_t id : {c.policy.has_sequences() ? c.policy.anchors[0] : 0, kVocabulary}) {
      const std::vector<uint32_t> generated(max_new, id);
      for (uint32_t start = 0; start <= c.ids.size(); ++start) {
        const Held held = Simulate(c, start, generated, [&] { return chunk; });
        most.recent = std::max(most.recent, held.recent);
        most.kept = std::max(most.kept, held.kept);
      }
    }
    EXPECT_EQ(needs.recent, most.recent);
    EXPECT_EQ(needs.kept, most.kept);
  });
}

TEST(RowsNeeded, OfTheDefaultPolicyIsFarBelowTheWholePrompt) {
  Policy policy = Plain();
  policy.longest = 512;
  policy.sinks = 4;
  policy.recent = 128;
  policy.view = Policy::View::kAll;
  std::vector<uint32_t> ids(4000, w);
  for (size_t i = 19; i < ids.size(); i += 20) ids[i] = kAnchor;
  const RowNeeds needs = RowsNeeded(policy, ids, {}, 256, 100);
  EXPECT_EQ(needs.recent, 256u + 127u);  // a chunk and the window before its first row
  EXPECT_EQ(needs.kept, 4u + 200u + 100u);
}

TEST(RowsNeeded, DoesNotOverflow) {
  Policy policy = Plain();
  policy.recent = Policy::kAll - 1;
  policy.sinks = UINT32_MAX;
  const RowNeeds needs = RowsNeeded(policy, {w, w}, {}, UINT32_MAX, UINT32_MAX);
  EXPECT_EQ(needs.recent, uint64_t{UINT32_MAX} + 2);
  EXPECT_EQ(needs.kept, uint64_t{UINT32_MAX} + 2);
  EXPECT_EQ(RowsNeeded(policy, {}, {}, 0, 0).recent, 0u);
}

}  // namespace
}  // namespace kedge
