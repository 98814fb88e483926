// Where memory runs out nothing is lost either: requests wait, answers move and come back, and what never fits is told.
#include "tests/simulation_testing.h"

namespace kedge {
namespace {

// Nodes that have not the memory for all that their answers grow to: these go to and fro, wait, and end right.
TEST_P(SimulationTest, AnswersThatOutgrowTheMemoryMoveAndLoseNothing) {
  constexpr uint64_t kOfferedBytes[] = {1 << 20, 0, 5000};  // all, nothing, some 150 rows
  uint32_t moves = 0, moves_with_rows = 0;
  int offered = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.decode_pages = 36;
    options.decode_nodes = 1 + seed % 3;
    options.offered_bytes = kOfferedBytes[seed / 3 % 3];
    options.cache_pages = seed % 4 ? 10 : 0;
    if (seed % 5 == 0) options.faults = {.drop_frame = 20, .silence = 20, .break_state = 10};
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> clients(14);
    for (Client& client : clients) {
      StartLongAnswer(cluster, random, &client);
      if (random() % 2) cluster.Turn();
    }
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    ExpectRightText(clients);
    for (const Client& client : clients) {
      moves += client.answer.provenance.moves();
      if (seed / 3 % 3 == 0) moves_with_rows += client.answer.provenance.moves();
      for (const std::string& node : client.answer.served_by.prefill_nodes) EXPECT_EQ(node.find("prefill"), 0u);
    }
    offered += cluster.offered_states();
    EXPECT_EQ(cluster.reserved_rows(), 0u);
    EXPECT_EQ(cluster.torn_rows(), 0u);
  }
  EXPECT_GT(moves, 50u);
  EXPECT_GT(offered, static_cast<int>(moves_with_rows) / 2);
}

// They come back where all nodes leave.
TEST_P(SimulationTest, AnswersThatALeavingNodeMovesAreNotLost) {
  uint32_t moves = 0;
  for (uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.decode_pages = 36;
    options.decode_nodes = 1 + seed % 2;
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> clients(8);
    for (Client& client : clients) StartLongAnswer(cluster, random, &client);
    for (uint32_t turns = 1 + random() % 60; turns > 0; --turns) cluster.Turn();
    for (int i = 0; i < options.decode_nodes; ++i) cluster.LeaveDecode(i);
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    ExpectRightText(clients);
    for (const Client& client : clients) moves += client.answer.provenance.moves();
    EXPECT_EQ(cluster.reserved_rows(), 0u);
  }
  EXPECT_GT(moves, 10u);
}

TEST_P(SimulationTest, TooLittleMemoryMakesRequestsWaitAndRefusesWhatNeverFits) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.pages = 24;
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> clients = StartClients(10, cluster, random);
    Client huge;
    huge.request = RandomRequest(random);
    huge.request.policy = CanonicalPolicy({.recent = Policy::kAll});
    huge.request.prompt_ids.assign(1500, 5);
    huge.request.no_anchor_positions.clear();
    huge.request.sequence_ends.clear();
    huge.flow = cluster.Start(huge.request, &huge.answer);
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    ASSERT_TRUE(cluster.RunUntilFinished({&huge.answer}));
    EXPECT_EQ(huge.answer.status.code(), absl::StatusCode::kResourceExhausted) << huge.answer.status;
    ExpectRightText(clients);
    EXPECT_EQ(cluster.reserved_rows(), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, SimulationTest, AllSteps(), NameOf);

}  // namespace
}  // namespace kedge
