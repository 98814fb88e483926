#include "router/placement_policy.h"

#include <functional>
#include <vector>

#include "gtest/gtest.h"

namespace kedge {
namespace {

NodeSnapshot Node(NodeRole role, const std::string& id, uint64_t registration) {
  NodeSnapshot node;
  node.node_id = id;
  node.registration = registration;
  node.role = role;
  node.address = id + ":1";
  node.numerics_class = "a";
  node.ready = true;
  node.total_rows = 100;
  return node;
}

TEST(PlacementPolicyTest, TakesTheLeastLoadedReadyNodesAndOfEqualOnesWhoeverHadNothingForLongest) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d2", 2), Node(NodeRole::kDecode, "d1", 1),
                   Node(NodeRole::kPrefill, "p2", 4), Node(NodeRole::kPrefill, "p1", 3)};
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d1");
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p1");

  cluster.nodes[1].last_assigned = 7;
  cluster.nodes[3].last_assigned = 8;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d2");
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p2");
  cluster.nodes[0].last_assigned = 9;
  cluster.nodes[2].last_assigned = 10;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d1");
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p1");

  cluster.nodes[1].running_requests = 1;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d2");
  cluster.nodes[0].waiting_requests = 1;
  cluster.nodes[0].reserved_rows = 50;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d1");
  cluster.nodes[1].ready = false;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d2");

  cluster.nodes[3].waiting_tokens = 10;
  ASSERT_EQ(Place(cluster, {})->prefill.size(), 2u);
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p2");
  EXPECT_EQ(Place(cluster, {})->prefill[1].node_id, "p1");
  cluster.nodes[2].ready = cluster.nodes[3].ready = false;
  EXPECT_TRUE(Place(cluster, {})->prefill.empty());
}

TEST(PlacementPolicyTest, LeavesOutWhatIsFull) {
  ClusterSnapshot cluster{.now = absl::UnixEpoch()};
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kDecode, "d2", 2),
                   Node(NodeRole::kPrefill, "p1", 3), Node(NodeRole::kPrefill, "p2", 4)};
  cluster.nodes[0].full_until = cluster.nodes[2].full_until = cluster.now + absl::Seconds(2);
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d2");
  ASSERT_EQ(Place(cluster, {})->prefill.size(), 1u);
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p2");
  EXPECT_FALSE(AllFullFor(cluster, {}).has_value());
  // One that is no easier than what was refused; others may get in.
  cluster.nodes[1].refused = {.until = cluster.now + absl::Seconds(1), .time_left = absl::Seconds(5), .tokens = 100};
  const PlacementQuery refused{.tokens = 100, .time_left = absl::Seconds(5)};
  EXPECT_FALSE(Place(cluster, refused).has_value());
  EXPECT_EQ(AllFullFor(cluster, refused), absl::Seconds(1));
  EXPECT_TRUE(Place(cluster, {.tokens = 99, .time_left = absl::Seconds(5)}).has_value());
  EXPECT_TRUE(Place(cluster, {.tokens = 100, .time_left = absl::Seconds(6)}).has_value());
  PlacementQuery begun = refused;
  begun.has_begun = true;
  EXPECT_TRUE(Place(cluster, begun).has_value());
  cluster.now += absl::Seconds(1);
  EXPECT_EQ(Place(cluster, refused)->decode.node_id, "d2");
  cluster.now += absl::Seconds(1);
  EXPECT_EQ(Place(cluster, refused)->decode.node_id, "d1");
  // And whose wait is longer than the time.
  cluster.nodes[0].work_ahead = cluster.nodes[1].work_ahead = absl::Seconds(8);
  EXPECT_EQ(AllFullFor(cluster, refused), absl::Seconds(3));
  EXPECT_TRUE(Place(cluster, {}).has_value());
  cluster.nodes[0].ready = cluster.nodes[1].ready = false;
  EXPECT_FALSE(AllFullFor(cluster, refused).has_value());
}

TEST(PlacementPolicyTest, CountsTimeWhereNodesHaveMeasuredIt) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kDecode, "d2", 2),
                   Node(NodeRole::kPrefill, "p1", 3), Node(NodeRole::kPrefill, "p2", 4)};
  cluster.nodes[2].waiting_tokens = 100;
  cluster.nodes[3].waiting_tokens = 300;
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p1");
  cluster.nodes[2].token_time = absl::Milliseconds(10);
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p1");  // as fast, as far as is known
  cluster.nodes[3].token_time = absl::Milliseconds(1);
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p2");
  cluster.nodes[0].work_ahead = absl::Milliseconds(1500);
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d2");
}

TEST(PlacementPolicyTest, CountsWhatThisRouterSentSinceTheLastHeartbeatOnce) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kDecode, "d2", 2)};
  cluster.nodes[0].assigned_requests = 2;
  cluster.nodes[1].running_requests = 1;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d2");
  cluster.nodes[0].running_requests = 2;  // the same two
  cluster.nodes[1].running_requests = 3;
  EXPECT_EQ(Place(cluster, {})->decode.node_id, "d1");
}

TEST(PlacementPolicyTest, LeavesOutNodesThatWereTriedAndPrefersTheNumericsClass) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kDecode, "d2", 2),
                   Node(NodeRole::kDecode, "d3", 3)};
  cluster.nodes[1].numerics_class = "b";
  cluster.nodes[2].running_requests = 9;
  EXPECT_EQ(Place(cluster, {.tried = {1}})->decode.node_id, "d2");
  EXPECT_EQ(Place(cluster, {.tried = {1}, .numerics_class = "a"})->decode.node_id, "d3");
  EXPECT_EQ(Place(cluster, {.tried = {1, 3}, .numerics_class = "a"})->decode.node_id, "d2");
  EXPECT_FALSE(Place(cluster, {.tried = {1, 2, 3}}).has_value());
  EXPECT_FALSE(Place({}, {}).has_value());
}

TEST(PlacementPolicyTest, NamesPrefillNodesOfTheDecodeNodesClassOnly) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kPrefill, "p1", 2),
                   Node(NodeRole::kDecode, "d2", 3), Node(NodeRole::kPrefill, "p2", 4)};
  cluster.nodes[2].numerics_class = cluster.nodes[3].numerics_class = "b";
  ASSERT_EQ(Place(cluster, {})->prefill.size(), 1u);
  EXPECT_EQ(Place(cluster, {})->prefill[0].node_id, "p1");
  ASSERT_EQ(Place(cluster, {.numerics_class = "b"})->prefill.size(), 1u);
  EXPECT_EQ(Place(cluster, {.numerics_class = "b"})->prefill[0].node_id, "p2");
  cluster.nodes[3].numerics_class = "c";
  EXPECT_EQ(Place(cluster, {.tried = {1}})->decode.node_id, "d2");
  EXPECT_TRUE(Place(cluster, {.tried = {1}})->prefill.empty());
}

TEST(PlacementPolicyTest, WhoHasTheLongestBeginningIsPreferredWhileLoadAllows) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kDecode, "d2", 2),
                   Node(NodeRole::kPrefill, "p1", 3), Node(NodeRole::kPrefill, "p2", 4)};
  const PlacementQuery query{.tokens = 1000, .held = {{2, 640}, {4, 960}, {99, 1000}}};
  EXPECT_EQ(query.Missing(2), 360u);
  EXPECT_EQ(query.Missing(1), 1000u);
  EXPECT_EQ(query.Missing(99), 0u);
  EXPECT_EQ(Place(cluster, query)->decode.node_id, "d2");
  EXPECT_EQ(Place(cluster, query)->prefill[0].node_id, "p2");

  cluster.nodes[1].running_requests = 1;  // more than what its rows are worth
  EXPECT_EQ(Place(cluster, query)->decode.node_id, "d1");
  cluster.nodes[0].running_requests = 1;
  EXPECT_EQ(Place(cluster, query)->decode.node_id, "d2");

  cluster.nodes[3].waiting_tokens = 1900;
  EXPECT_EQ(Place(cluster, query)->prefill[0].node_id, "p2");
  cluster.nodes[3].waiting_tokens = 1950;
  EXPECT_EQ(Place(cluster, query)->prefill[0].node_id, "p1");
  cluster.nodes[1].ready = false;
  EXPECT_EQ(Place(cluster, query)->decode.node_id, "d1");
}

TEST(PlacementPolicyTest, NodesThatAreNotReadyMayBecomeSo) {
  ClusterSnapshot cluster;
  EXPECT_FALSE(MayComeToPlace(cluster, {}));
  cluster.nodes = {Node(NodeRole::kPrefill, "p1", 1), Node(NodeRole::kDecode, "d1", 2)};
  EXPECT_TRUE(MayComeToPlace(cluster, {}));
  EXPECT_FALSE(MayComeToPlace(cluster, {.tried = {2}}));
  cluster.nodes.push_back(Node(NodeRole::kDecode, "d2", 3));
  cluster.nodes[2].ready = false;
  EXPECT_TRUE(MayComeToPlace(cluster, {.tried = {2}}));
}

TEST(PlacementPolicyTest, OnlyWhatHasBegunGoesToANodeThatLeavesAndIfNoneStays) {
  ClusterSnapshot cluster{.now = absl::UnixEpoch()};
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1)};
  cluster.nodes[0].leaves = true;
  EXPECT_FALSE(Place(cluster, {}).has_value());
  EXPECT_FALSE(MayComeToPlace(cluster, {}));
  cluster.nodes[0].full_until = cluster.now + absl::Seconds(1);
  EXPECT_FALSE(AllFullFor(cluster, {}).has_value());
  EXPECT_EQ(Place(cluster, {.has_begun = true})->decode.node_id, "d1");
  EXPECT_TRUE(MayComeToPlace(cluster, {.has_begun = true}));
  cluster.nodes[0].full_until = absl::InfinitePast();
  cluster.nodes.push_back(Node(NodeRole::kDecode, "d2", 2));
  cluster.nodes[1].full_until = cluster.now + absl::Seconds(1);
  EXPECT_EQ(Place(cluster, {.has_begun = true})->decode.node_id, "d2");
  EXPECT_EQ(Place(cluster, {.numerics_class = "a", .has_begun = true})->decode.node_id, "d2");
  cluster.nodes[1].numerics_class = "b";
  EXPECT_EQ(Place(cluster, {.numerics_class = "a", .has_begun = true})->decode.node_id, "d1");
}

TEST(PlacementPolicyTest, AnAnswerMovesWhereThereIsRoomAndItsRowsAreNamedWhereTheyAreOfUse) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kDecode, "d2", 2)};
  const PlacementQuery query{.has_begun = true};
  EXPECT_EQ(PlaceMoved(cluster, query, 1)->decode.node_id, "d2");
  EXPECT_EQ(PlaceMoved(cluster, query, 1)->moved_from->node_id, "d1");
  for (const auto& spoil : std::vector<std::function<void(NodeSnapshot&)>>{
           [](NodeSnapshot& node) { node.leaves = true; }, [](NodeSnapshot& node) { node.waiting_requests = 1; },
           [](NodeSnapshot& node) { node.total_rows = 99; }}) {
    ClusterSnapshot other = cluster;
    spoil(other.nodes[1]);
    EXPECT_EQ(PlaceMoved(other, query, 1)->decode.node_id, "d1");  // it comes back
    EXPECT_EQ(PlaceMoved(other, query, 1)->moved_from->node_id, "d1");
  }
  PlacementQuery tried = query;
  tried.tried = {1};
  cluster.nodes[1].numerics_class = "b";
  EXPECT_EQ(PlaceMoved(cluster, tried, 1)->decode.node_id, "d2");
  EXPECT_FALSE(PlaceMoved(cluster, tried, 1)->moved_from.has_value());
  cluster.nodes[1].numerics_class = "a";
  cluster.nodes[0].ready = false;
  EXPECT_FALSE(PlaceMoved(cluster, query, 1)->moved_from.has_value());
  cluster.nodes.erase(cluster.nodes.begin());
  EXPECT_EQ(PlaceMoved(cluster, query, 1)->decode.node_id, "d2");
  EXPECT_FALSE(PlaceMoved(cluster, query, 1)->moved_from.has_value());
}

TEST(PlacementPolicyTest, MachinesOfAboutTheSameSpeedTakeTurns) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1), Node(NodeRole::kPrefill, "p1", 2),
                   Node(NodeRole::kPrefill, "p2", 3)};
  uint64_t turns = 0;
  for (const int64_t us : {900, 1000, 1100, 1120, 1190}) {
    cluster.nodes[1].token_time = absl::Microseconds(us);
    cluster.nodes[2].token_time = absl::Microseconds(us * 119 / 100);
    for (int turn = 0; turn < 4; ++turn) {
      const size_t taken = 1 + turns % 2;
      EXPECT_EQ(Place(cluster, {.tokens = 500})->prefill[0].node_id, cluster.nodes[taken].node_id) << us;
      cluster.nodes[taken].last_assigned = ++turns;
    }
  }
  cluster.nodes[2].token_time = absl::Microseconds(1500);
  EXPECT_EQ(Place(cluster, {.tokens = 500})->prefill[0].node_id, "p1");
}

TEST(PlacementPolicyTest, NamesAFewPrefillNodesOnly) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d1", 1)};
  for (uint64_t i = 0; i < 10; ++i) {
    cluster.nodes.push_back(Node(NodeRole::kPrefill, "p" + std::to_string(i), 10 + i));
  }
  EXPECT_EQ(Place(cluster, {})->prefill.size(), kMaxPrefillCandidates);
}

}  // namespace
}  // namespace kedge
