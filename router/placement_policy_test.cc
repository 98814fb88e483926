#include "router/placement_policy.h"

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

TEST(PlacementPolicyTest, TakesTheLeastLoadedReadyNodesAndTiesGoById) {
  ClusterSnapshot cluster;
  cluster.nodes = {Node(NodeRole::kDecode, "d2", 2), Node(NodeRole::kDecode, "d1", 1),
                   Node(NodeRole::kPrefill, "p2", 4), Node(NodeRole::kPrefill, "p1", 3)};
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
