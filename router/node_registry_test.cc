#include "router/node_registry.h"

#include "common/rpc/protocol.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

node::v1::NodeInfo Info(const std::string& id, node::v1::Role role = node::v1::ROLE_DECODE) {
  node::v1::NodeInfo info;
  info.set_protocol_version(kProtocolVersion);
  info.set_node_id(id);
  info.set_role(role);
  info.set_address("host:1");
  info.set_fingerprint("f1");
  info.set_numerics_class("cpu");
  info.set_kv_type("f16");
  info.set_row_bytes(1024);
  info.set_total_rows(100);
  return info;
}

node::v1::Heartbeat Beat(uint64_t turns) {
  node::v1::Heartbeat heartbeat;
  heartbeat.set_engine_turns(turns);
  return heartbeat;
}

class NodeRegistryTest : public testing::Test {
 protected:
  void ExpectRefused(const node::v1::NodeInfo& info, absl::StatusCode code, const std::string& setting) {
    const absl::Status status = registry_.Register(info).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(status.message().substr(0, setting.size() + 1), setting + ":") << status;
  }

  SimulatedClock clock_;
  NodeRegistry registry_{&clock_, "f1", "canonical"};
};

TEST_F(NodeRegistryTest, HasNoMoreNodesThanItMay) {
  NodeRegistry registry(&clock_, "f1", "canonical", "", "", 2);
  ASSERT_TRUE(registry.Register(Info("a")).ok());
  const uint64_t b = *registry.Register(Info("b"));
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = registry.Register(Info("c")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(status.message(), "node_id: 2 nodes are registered, and no more may be (--max-nodes of the router)");
  }
  clock_.Advance(NodeRegistry::kHeartbeatLimit);
  EXPECT_TRUE(registry.Register(Info("a")).ok());  // takes its own place
  registry.Remove(b);
  EXPECT_TRUE(registry.Register(Info("c")).ok());
}

TEST_F(NodeRegistryTest, ShowsNodesByIdWithTheirLastHeartbeat) {
  const uint64_t b = *registry_.Register(Info("b"));
  ASSERT_TRUE(registry_.Register(Info("a", node::v1::ROLE_PREFILL)).ok());
  node::v1::Heartbeat heartbeat = Beat(1);
  heartbeat.set_engine_steps(2);
  heartbeat.set_running_requests(3);
  heartbeat.set_waiting_requests(4);
  heartbeat.set_waiting_tokens(5);
  heartbeat.set_reserved_rows(6);
  heartbeat.set_cached_rows(8);
  heartbeat.set_held_rows(9);
  heartbeat.set_leaves(true);
  EXPECT_TRUE(registry_.Heartbeat(b, heartbeat).ok());
  const ClusterSnapshot snapshot = registry_.Snapshot();
  ASSERT_EQ(snapshot.nodes.size(), 2u);
  EXPECT_EQ(snapshot.nodes[0].node_id, "a");
  EXPECT_EQ(snapshot.nodes[0].role, NodeRole::kPrefill);
  const NodeSnapshot& node = snapshot.nodes[1];
  EXPECT_EQ(node.registration, b);
  EXPECT_EQ(node.address, "host:1");
  EXPECT_EQ(node.engine_steps, 2u);
  EXPECT_EQ(node.running_requests, 3u);
  EXPECT_EQ(node.waiting_requests, 4u);
  EXPECT_EQ(node.waiting_tokens, 5u);
  EXPECT_EQ(node.reserved_rows, 6u);
  EXPECT_EQ(node.cached_rows, 8u);
  EXPECT_EQ(node.held_rows, 9u);
  EXPECT_TRUE(node.leaves);
  EXPECT_FALSE(registry_.CanServe());
  EXPECT_EQ(node.total_rows, 100u);
  EXPECT_EQ(node.full_until, absl::InfinitePast());
  heartbeat.set_work_ahead_ms(1500);
  heartbeat.set_token_us(70);
  heartbeat.set_full_ms(200);
  EXPECT_TRUE(registry_.Heartbeat(b, heartbeat).ok());
  clock_.Advance(absl::Milliseconds(50));  // what it says was so when it came
  EXPECT_EQ(registry_.Snapshot().nodes[1].work_ahead, absl::Milliseconds(1450));
  EXPECT_EQ(registry_.Snapshot().nodes[1].token_time, absl::Microseconds(70));
  EXPECT_EQ(registry_.Snapshot().nodes[1].full_until, clock_.Now() + absl::Milliseconds(150));
  registry_.NoteRefused(b, {.until = clock_.Now() + absl::Seconds(1)});
  EXPECT_TRUE(registry_.Snapshot().nodes[1].refused.Covers(clock_.Now(), absl::Seconds(9), 0));
  heartbeat.set_full_ms(UINT32_MAX);
  EXPECT_EQ(registry_.Heartbeat(b, heartbeat).code(), absl::StatusCode::kInvalidArgument);
  heartbeat.set_full_ms(0);
  registry_.Remove(b);
  EXPECT_EQ(registry_.Heartbeat(b, heartbeat).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(registry_.Snapshot().nodes.size(), 1u);
}

TEST_F(NodeRegistryTest, NodeIsReadyWhileHeartbeatsComeAndTheEngineTurns) {
  const uint64_t node = *registry_.Register(Info("a"));
  EXPECT_TRUE(registry_.CanServe());
  clock_.Advance(absl::Milliseconds(1999));
  EXPECT_TRUE(registry_.CanServe());
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(registry_.CanServe());
  EXPECT_TRUE(registry_.Heartbeat(node, Beat(1)).ok());
  EXPECT_TRUE(registry_.CanServe());
  for (int i = 0; i < 4; ++i) {
    clock_.Advance(absl::Seconds(1));
    EXPECT_TRUE(registry_.Heartbeat(node, Beat(1)).ok());  // the engine stands still
    EXPECT_TRUE(registry_.Snapshot().nodes[0].ready);
  }
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(registry_.Heartbeat(node, Beat(1)).ok());
  EXPECT_FALSE(registry_.Snapshot().nodes[0].ready);
  EXPECT_TRUE(registry_.Heartbeat(node, Beat(2)).ok());
  EXPECT_TRUE(registry_.Snapshot().nodes[0].ready);
}

TEST_F(NodeRegistryTest, PrefillNodesAloneCannotServe) {
  ASSERT_TRUE(registry_.Register(Info("a", node::v1::ROLE_PREFILL)).ok());
  EXPECT_FALSE(registry_.CanServe());
}

TEST_F(NodeRegistryTest, RefusesNodesThatDifferFromTheClusterAndNamesTheSetting) {
  const uint64_t first = *registry_.Register(Info("a"));
  node::v1::NodeInfo other = Info("b");
  other.set_fingerprint("f2");
  ExpectRefused(other, absl::StatusCode::kFailedPrecondition, "fingerprint of model and adapter");
  other = Info("b");
  other.set_kv_type("f32");
  ExpectRefused(other, absl::StatusCode::kFailedPrecondition, "kv_type");
  other = Info("b");
  other.set_row_bytes(7);
  ExpectRefused(other, absl::StatusCode::kFailedPrecondition, "row_bytes");
  other = Info("b");
  other.set_salience_heads("retrieval=0.1");
  ExpectRefused(other, absl::StatusCode::kFailedPrecondition, "salience heads");
  other = Info("b");
  other.set_policy("another");
  ExpectRefused(other, absl::StatusCode::kFailedPrecondition, "policy");
  other = Info("b");
  other.set_protocol_version(kProtocolVersion + 1);
  ExpectRefused(other, absl::StatusCode::kFailedPrecondition, "protocol_version");

  other = Info("b");
  other.set_policy("canonical");
  other.set_numerics_class("another-machine's");  // allowed
  const absl::StatusOr<uint64_t> second = registry_.Register(other);
  ASSERT_TRUE(second.ok()) << second.status();

  // What the nodes have in common is theirs: when the last one has gone another may come. The model is the router's.
  registry_.Remove(first);
  registry_.Remove(*second);
  other = Info("c");
  other.set_kv_type("f32");
  EXPECT_TRUE(registry_.Register(other).ok());
}

// Whoever comes first: a router that learnt its model from a node would serve that one's.
TEST_F(NodeRegistryTest, NoNodeSaysWhichModelIsServed) {
  node::v1::NodeInfo info = Info("a");
  info.set_fingerprint("f2");
  EXPECT_EQ(registry_.Register(info).status(),
            absl::FailedPreconditionError("fingerprint of model and adapter: the node's is f2, the cluster's is f1"));
  EXPECT_EQ(registry_.fingerprint(), "f1");
  EXPECT_TRUE(registry_.Register(Info("a")).ok());
}

TEST_F(NodeRegistryTest, RefusesNodesOfAnotherKvTypeThanItWasGiven) {
  NodeRegistry registry(&clock_, "f1", "canonical", "bf16");
  EXPECT_EQ(registry.Register(Info("a")).status(),
            absl::FailedPreconditionError("kv_type: the node's is f16, the cluster's is bf16"));
  node::v1::NodeInfo info = Info("a");
  info.set_kv_type("bf16");
  EXPECT_TRUE(registry.Register(info).ok());
}

TEST_F(NodeRegistryTest, KnowsARegistrationUntilItGoes) {
  const uint64_t node = *registry_.Register(Info("a"));
  EXPECT_TRUE(registry_.IsRegistered(node));
  EXPECT_FALSE(registry_.IsRegistered(node + 1));
  clock_.Advance(2 * NodeRegistry::kTurnLimit);  // silent, but there
  EXPECT_TRUE(registry_.IsRegistered(node));
  registry_.Remove(node);
  EXPECT_FALSE(registry_.IsRegistered(node));
}

TEST_F(NodeRegistryTest, RefusesMalformedNodes) {
  for (const std::string& id : {std::string(), std::string("a b"), std::string("a,b"), std::string(129, 'x')}) {
    ExpectRefused(Info(id), absl::StatusCode::kInvalidArgument, "node_id");
  }
  ExpectRefused(Info("a", node::v1::ROLE_UNSPECIFIED), absl::StatusCode::kInvalidArgument, "role");
  node::v1::NodeInfo info = Info("a");
  info.clear_address();
  ExpectRefused(info, absl::StatusCode::kInvalidArgument, "address");
  info = Info("a");
  info.clear_fingerprint();
  ExpectRefused(info, absl::StatusCode::kInvalidArgument, "fingerprint");
  info = Info("a");
  info.clear_numerics_class();
  ExpectRefused(info, absl::StatusCode::kInvalidArgument, "numerics_class");
}

TEST_F(NodeRegistryTest, ReplacesANodeOfTheSameIdOnlyWhenItIsSilent) {
  const uint64_t old = *registry_.Register(Info("a"));
  ExpectRefused(Info("a"), absl::StatusCode::kAlreadyExists, "node_id");
  clock_.Advance(NodeRegistry::kHeartbeatLimit);
  node::v1::NodeInfo changed = Info("a");
  changed.set_kv_type("f32");  // the only node: it may change the type
  const uint64_t fresh = *registry_.Register(changed);
  EXPECT_NE(fresh, old);
  EXPECT_EQ(registry_.Heartbeat(old, Beat(1)).code(), absl::StatusCode::kAborted);
  registry_.Remove(old);  // the old stream ends late
  ASSERT_EQ(registry_.Snapshot().nodes.size(), 1u);
  EXPECT_EQ(registry_.Snapshot().nodes[0].registration, fresh);
}

// Each of those who look has a word, and a node is in when none has one.
TEST_F(NodeRegistryTest, ANodeThatIsOutIsNotReadyAndItsCallsAreGivenUp) {
  NodeRegistry registry(&clock_, "f1", "canonical", "", "not yet");
  const uint64_t node = *registry.Register(Info("a"));
  EXPECT_EQ(registry.Snapshot().nodes[0].out, "not yet");
  EXPECT_FALSE(registry.CanServe());
  registry.SetOut(node, OutBy::kAudit, "another answer");
  registry.SetOut(node, OutBy::kAnswer, "");
  EXPECT_EQ(registry.Snapshot().nodes[0].out, "another answer");
  EXPECT_TRUE(registry.Hangs(node));
  registry.SetOut(node, OutBy::kAudit, "");
  EXPECT_TRUE(registry.Snapshot().nodes[0].ready);
  EXPECT_FALSE(registry.Hangs(node));
  registry.SetOut(node + 1, OutBy::kAudit, "of nobody");
}

TEST_F(NodeRegistryTest, CountsAssignmentsWhileTheyLive) {
  const uint64_t node = *registry_.Register(Info("a"));
  {
    NodeRegistry::Assignment first = registry_.Assign(node, 10);
    NodeRegistry::Assignment second = registry_.Assign(node, 5);
    EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_requests, 2u);
    EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_tokens, 15u);
    first = std::move(second);
    EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_tokens, 5u);
  }
  EXPECT_EQ(registry_.Snapshot().nodes[0].assigned_requests, 0u);
  NodeRegistry::Assignment late = registry_.Assign(node, 1);
  registry_.Remove(node);
  late.Release();
  registry_.Assign(node, 1).Release();
}

TEST_F(NodeRegistryTest, CountsWhichNodeHadNothingForTheLongestTime) {
  const uint64_t a = *registry_.Register(Info("a"));
  const uint64_t b = *registry_.Register(Info("b"));
  const auto last = [&] {
    const ClusterSnapshot snapshot = registry_.Snapshot();
    return std::pair(snapshot.nodes[0].last_assigned, snapshot.nodes[1].last_assigned);
  };
  EXPECT_EQ(last(), std::pair(uint64_t{0}, uint64_t{0}));
  registry_.Assign(b, 1).Release();
  registry_.Assign(a, 1).Release();
  EXPECT_EQ(last(), std::pair(uint64_t{2}, uint64_t{1}));
}

TEST_F(NodeRegistryTest, CallsToAnExpelledNodeAreGivenUpAndToOneThatLeftAreNot) {
  const uint64_t left = *registry_.Register(Info("a"));
  const uint64_t expelled = *registry_.Register(Info("b"));
  registry_.Remove(left);
  registry_.Expel(expelled);
  EXPECT_FALSE(registry_.IsRegistered(expelled));
  EXPECT_FALSE(registry_.Hangs(left));
  EXPECT_TRUE(registry_.Hangs(expelled));
  EXPECT_FALSE(registry_.Hangs(*registry_.Register(Info("b"))));
}

TEST_F(NodeRegistryTest, CheckSaysWhatRegisterWould) {
  EXPECT_TRUE(registry_.Check(Info("a")).ok());
  EXPECT_TRUE(registry_.Snapshot().nodes.empty());
  ASSERT_TRUE(registry_.Register(Info("a")).ok());
  EXPECT_EQ(registry_.Check(Info("a")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(registry_.Check(Info("")).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kedge
