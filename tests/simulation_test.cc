// Exactly once and nothing else: whatever the network and the nodes do, a client gets the text that one device alone
// would have made, or a clean error, and every row is given back.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/simulation_testing.h"

namespace kedge {
namespace {

TEST_P(SimulationTest, ManyRequestsAtOnceGetTheTextThatTheyGetAlone) {
  uint64_t rows_ahead = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulatedCluster cluster(Options(seed), tokenizer_.get());
    std::vector<Client> clients(12);
    for (Client& client : clients) {
      client.request = RandomRequest(random);
      client.flow = cluster.Start(client.request, &client.answer);
      if (random() % 2) cluster.Turn();
    }
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    for (Client& client : clients) {
      ASSERT_TRUE(client.answer.status.ok()) << client.answer.status;
      ASSERT_EQ(client.answer.token_ids, Expected(client.request)) << client.request.policy;
      // A prompt of one token has no rows before its last; every other one was computed by a prefill node.
      if (client.answer.usage.cached_tokens() == 0) {
        EXPECT_EQ(client.answer.served_by.prefill_nodes.size(), client.request.prompt_ids.size() > 1 ? 1u : 0u);
      }
      EXPECT_EQ(client.answer.provenance.failovers(), 0u);
    }
    EXPECT_EQ(cluster.reserved_rows(), 0u);
    EXPECT_EQ(cluster.torn_rows(), 0u);
    rows_ahead += cluster.rows_ahead();
  }
  if (GetParam() == Steps::kInTurn) {
    EXPECT_EQ(rows_ahead, 0u);
  } else {
    EXPECT_GT(rows_ahead, 5000u);
  }
}

// Each domain's first request finds nothing of the others', neither what is under way nor what is stored or held, and
// gives the same text. What it left serves its own domain.
TEST_P(SimulationTest, DomainsShareNothingButTheText) {
  uint32_t found = 0, held = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulatedCluster cluster(Options(seed), tokenizer_.get());
    const RouterRequest request = RandomRequest(random);
    const std::vector<uint32_t> expected = Expected(request);
    const auto ask = [&](const std::vector<std::string>& domains) {
      std::vector<Client> clients(domains.size());
      for (size_t i = 0; i < clients.size(); ++i) {
        clients[i].request = request;
        clients[i].request.cache_domain = domains[i];
        clients[i].flow = cluster.Start(clients[i].request, &clients[i].answer);
        for (uint32_t turns = random() % 4; turns > 0; --turns) cluster.Turn();
      }
      EXPECT_TRUE(cluster.RunUntilFinished(Answers(clients)));
      for (const Client& client : clients) EXPECT_EQ(client.answer.token_ids, expected);
      return clients;
    };
    for (const std::vector<std::string>& domains : {std::vector<std::string>{"", "a"}, {"b"}}) {
      for (const Client& client : ask(domains)) {
        EXPECT_EQ(client.answer.usage.cached_tokens(), 0u) << client.request.cache_domain;
        EXPECT_EQ(client.answer.usage.held_rows(), 0u) << client.request.cache_domain;
      }
    }
    const Client again = std::move(ask({"a"}).front());
    found += again.answer.usage.cached_tokens();
    held += again.answer.usage.held_rows();
  }
  EXPECT_GT(found, 1000u);
  EXPECT_GT(held, 50u);
}

// Behind requests, beside them and without them, on nodes of both roles; nothing stays of it.
TEST_P(SimulationTest, KnownAnswersAgreeAndDisturbNobody) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.wrong_decode = seed % 4 == 0 ? 1 : -1;
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<uint32_t> ids(64);
    for (uint32_t& id : ids) id = random() % vocab_size_;
    std::vector<Client> clients;
    if (options.wrong_decode < 0) clients = StartClients(8, cluster, random);
    for (uint32_t turns = random() % 10; turns > 0; --turns) cluster.Turn();
    std::vector<std::string> answers;
    cluster.Ask(ids, &answers);
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    for (int turn = 0; turn < 100 && answers.size() < 4; ++turn) cluster.Turn();
    ASSERT_EQ(answers.size(), 4u);
    std::sort(answers.begin(), answers.end());
    const size_t different = std::unique(answers.begin(), answers.end()) - answers.begin();
    EXPECT_EQ(different, options.wrong_decode < 0 ? 1u : 2u);
    ExpectRightText(clients);
    EXPECT_EQ(cluster.reserved_rows(), 0u);
    EXPECT_EQ(cluster.torn_rows(), 0u);
    if (!clients.empty()) continue;
    EXPECT_EQ(cluster.cached_rows(), 0u);
    EXPECT_EQ(cluster.held_rows(), 0u);
  }
}

// One of the nodes has other weights than it says: who sees its text sees it out of placement soon after.
TEST_P(SimulationTest, AnAuditFindsAWrongNodeWhereverItIs) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.audit = 1;
    if (seed % 3 == 1) options.wrong_prefill = seed % 2;
    if (seed % 3 == 2) options.wrong_decode = seed % 2;
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> clients(6);
    for (Client& client : clients) {  // one after another: an audit has nodes to itself
      client.request = RandomRequest(random);
      client.request.max_tokens = 20 + random() % 20;
      client.flow = cluster.Start(client.request, &client.answer);
      ASSERT_TRUE(cluster.RunUntilFinished({&client.answer}));
      for (int turn = 0; turn < 200; ++turn) cluster.Turn();
      if (!cluster.out().empty()) break;
    }
    if (seed % 3 == 0) {
      EXPECT_TRUE(cluster.out().empty());
      EXPECT_EQ(cluster.audit().num_different(), 0u);
      EXPECT_GT(cluster.audit().num_compared(), 3u);
      continue;
    }
    const std::string wrong = options.wrong_prefill >= 0 ? absl::StrCat("prefill:", options.wrong_prefill + 1)
                                                         : absl::StrCat("decode:", options.wrong_decode + 1);
    const std::vector<std::string> out = cluster.out();
    EXPECT_EQ(std::count(out.begin(), out.end(), wrong), 1) << wrong;
  }
}

TEST_P(SimulationTest, DamagedLostAndDoubledFramesNeverBecomeTokens) {
  for (uint32_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.faults = {
        .drop_frame = 8, .double_frame = 8, .flip_bit = 8, .truncate_frame = 8, .silence = 6, .break_state = 4};
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> clients = StartClients(8, cluster, random);
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    ExpectRightText(clients);
    EXPECT_EQ(cluster.reserved_rows(), 0u);
    EXPECT_EQ(cluster.torn_rows(), 0u);
  }
}

TEST_P(SimulationTest, KilledDecodeNodesLoseAndDoubleNoToken) {
  int failovers = 0;
  for (uint32_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.decode_nodes = 3;
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> clients = StartClients(6, cluster, random);
    for (int kill = 0; kill < 2; ++kill) {
      for (uint32_t turns = 1 + random() % 40; turns > 0; --turns) cluster.Turn();
      cluster.KillDecode(kill);
    }
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    ExpectRightText(clients);
    failovers += Failovers(clients);
    EXPECT_EQ(cluster.reserved_rows(), 0u);
  }
  EXPECT_GT(failovers, 50) << "the kills came too late to mean anything";
}

TEST_P(SimulationTest, KilledAndFrozenPrefillNodesAreGoneAround) {
  for (uint32_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulatedCluster cluster(Options(seed), tokenizer_.get());
    std::vector<Client> clients = StartClients(6, cluster, random);
    for (uint32_t turns = random() % 5; turns > 0; --turns) cluster.Turn();
    if (seed % 2) {
      cluster.KillPrefill(0);
    } else {
      cluster.FreezePrefill(0, true);
    }
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    EXPECT_LT(cluster.now(), absl::Seconds(60));  // a frozen node is given up after seconds, not minutes
    ExpectRightText(clients);
    cluster.FreezePrefill(0, false);
    for (int i = 0; i < 50; ++i) cluster.Turn();
    EXPECT_EQ(cluster.reserved_rows(), 0u);
  }
}

TEST_P(SimulationTest, HangingDecodeNodeIsGivenUpAndTheAnswerGoesOnElsewhere) {
  int failovers = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulatedCluster cluster(Options(seed), tokenizer_.get());
    std::vector<Client> clients = StartClients(6, cluster, random);
    for (uint32_t turns = random() % 30; turns > 0; --turns) cluster.Turn();
    cluster.FreezeDecode(0);  // its connections stay open, its heartbeats come, its engine stands still
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    EXPECT_LT(cluster.now(), absl::Seconds(30));
    ExpectRightText(clients);
    failovers += Failovers(clients);
  }
  EXPECT_GT(failovers, 10);
}

TEST_P(SimulationTest, CancelledRequestsGiveEveryRowBackAtOnce) {
  for (uint32_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulatedCluster cluster(Options(seed), tokenizer_.get());
    std::vector<Client> clients = StartClients(10, cluster, random);
    for (uint32_t turns = random() % 40; turns > 0; --turns) cluster.Turn();
    std::vector<bool> cancelled;
    for (Client& client : clients) {
      cancelled.push_back(!client.answer.finished && random() % 2);
      if (cancelled.back()) client.flow->Cancel(absl::CancelledError("client is gone"));
    }
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    for (size_t i = 0; i < clients.size(); ++i) {
      if (cancelled[i]) {
        EXPECT_EQ(clients[i].answer.status.code(), absl::StatusCode::kCancelled);
      } else {
        ASSERT_EQ(clients[i].answer.token_ids, Expected(clients[i].request));
      }
    }
    EXPECT_EQ(cluster.reserved_rows(), 0u);
  }
}

// Turn after turn of several chats at once, on few nodes with little memory, with and without faults.
TEST_P(SimulationTest, ChatsGoOnFromWhatIsStored) {
  uint64_t cached = 0, prompts = 0;
  for (uint32_t seed = 0; seed < 48; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.pages = seed % 3 == 0 ? 60 : 512;
    options.cache_pages = options.pages - random() % 50;
    if (seed % 2) options.faults = {.drop_frame = 30, .flip_bit = 30, .silence = 20, .break_state = 10};
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<Client> chats(4);
    for (Client& chat : chats) chat.request = RandomRequest(random, 150);
    for (int turn = 0; turn < 5; ++turn) {
      for (Client& chat : chats) {
        chat.answer = SimulatedAnswer();
        chat.flow = cluster.Start(chat.request, &chat.answer);
      }
      if (seed % 4 == 3 && turn == 2) cluster.KillDecode(0);
      ASSERT_TRUE(cluster.RunUntilFinished(Answers(chats)));
      ExpectRightText(chats);
      for (Client& chat : chats) {
        const uint32_t size = static_cast<uint32_t>(chat.request.prompt_ids.size());
        ASSERT_LT(chat.answer.usage.cached_tokens(), size);
        if (turn > 0) {
          cached += chat.answer.usage.cached_tokens();
          prompts += size;
        }
        chat.request.turn_begin = size;
        std::vector<uint32_t>& ids = chat.request.prompt_ids;
        ids.insert(ids.end(), chat.answer.token_ids.begin(), chat.answer.token_ids.end());
        for (uint32_t more = 1 + random() % 40; more > 0; --more) ids.push_back(random() % vocab_size_);
      }
    }
    EXPECT_EQ(cluster.reserved_rows(), 0u);
    EXPECT_GT(cluster.cached_rows(), 0u);
    EXPECT_EQ(cluster.torn_rows(), 0u);
  }
  EXPECT_GT(cached, prompts / 2);
}

// Chats whose prompts are reduced: each turn asks for the rows that no turn before it got, whatever fails.
TEST_P(SimulationTest, LaterTurnsAreSentWhatIsNew) {
  const Policy policy{.text_anchors = true,
                      .longest = 7,
                      .keep_anchors = false,
                      .sinks = 2,
                      .recent = 12,
                      .view = Policy::View::kAll,
                      .prefill_full = true,
                      .salient_millionths = 300000,
                      .write_full = true};
  uint64_t held = 0, kept = 0, bytes = 0, bytes_without = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    for (const bool holds : {true, false}) {
      std::mt19937 random(seed);
      SimulationOptions options = Options(seed);
      options.pages = seed % 3 == 0 ? 100 : 512;
      options.cache_pages = options.pages / 2;
      options.held_bytes = !holds ? 0 : seed % 4 == 0 ? 8000 : 1 << 20;
      const bool faults = seed % 2 == 1;
      if (faults) {
        options.faults = {.drop_frame = 20,
                          .double_frame = 20,
                          .flip_bit = 20,
                          .truncate_frame = 20,
                          .silence = 20,
                          .break_state = 8};
      }
      SimulatedCluster cluster(options, tokenizer_.get());
      std::vector<Client> chats(3);
      for (Client& chat : chats) {
        chat.request = RandomRequest(random, 150);
        chat.request.policy = CanonicalPolicy(policy);
        chat.request.no_anchor_positions.clear();
        chat.request.sequence_ends.clear();
        chat.request.chooses = true;
      }
      for (int turn = 0; turn < 6; ++turn) {
        for (Client& chat : chats) {
          chat.answer = SimulatedAnswer();
          chat.flow = cluster.Start(chat.request, &chat.answer);
        }
        if (faults && seed % 3 == 2) {
          for (uint32_t turns = random() % 20; turns > 0; --turns) cluster.Turn();
          if (turn == 2) cluster.KillDecode(0);
          if (turn == 4) cluster.KillPrefill(0);
        }
        ASSERT_TRUE(cluster.RunUntilFinished(Answers(chats)));
        ExpectRightText(chats);
        for (Client& chat : chats) {
          const inference::v1::Usage& usage = chat.answer.usage;
          ASSERT_LE(usage.held_rows(), usage.kept_rows());
          if (!faults) {
            held += usage.held_rows();
            kept += holds ? usage.kept_rows() : 0;
            (holds ? bytes : bytes_without) += usage.segment_bytes();
          }
          std::vector<uint32_t>& ids = chat.request.prompt_ids;
          chat.request.turn_begin = static_cast<uint32_t>(ids.size());
          ids.insert(ids.end(), chat.answer.token_ids.begin(), chat.answer.token_ids.end());
          for (uint32_t more = 1 + random() % 20; more > 0; --more) ids.push_back(random() % vocab_size_);
        }
      }
      EXPECT_EQ(cluster.reserved_rows(), 0u);
      EXPECT_EQ(cluster.torn_rows(), 0u);
      EXPECT_EQ(cluster.held_rows() > 0, holds);
    }
  }
  EXPECT_GT(held, kept / 3);
  EXPECT_LT(bytes, bytes_without);
}

TEST_P(SimulationTest, ManyClientsWithOneColdBeginningGetTheirTexts) {
  for (uint32_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.prefill_nodes = static_cast<int>(random() % 3);
    SimulatedCluster cluster(options, tokenizer_.get());
    const RouterRequest first = RandomRequest(random, 400);
    std::vector<Client> clients(8);
    for (Client& client : clients) {
      client.request = RequestLike(first, random);
      client.flow = cluster.Start(client.request, &client.answer);
      if (random() % 4 == 0) cluster.Turn();
    }
    for (uint32_t turns = random() % 10; turns > 0; --turns) cluster.Turn();
    std::vector<bool> cancelled;
    for (Client& client : clients) {
      cancelled.push_back(!client.answer.finished && random() % 3 == 0);
      if (cancelled.back()) client.flow->Cancel(absl::CancelledError("client is gone"));
    }
    ASSERT_TRUE(cluster.RunUntilFinished(Answers(clients)));
    for (size_t i = 0; i < clients.size(); ++i) {
      if (cancelled[i]) continue;
      ASSERT_TRUE(clients[i].answer.status.ok()) << clients[i].answer.status;
      ASSERT_EQ(clients[i].answer.token_ids, Expected(clients[i].request)) << first.policy;
    }
    EXPECT_EQ(cluster.reserved_rows(), 0u);
    EXPECT_EQ(cluster.torn_rows(), 0u);
  }
}

TEST_P(SimulationTest, OnlyTheRowsOfTheStateCross) {
  std::mt19937 random(5);
  SimulatedCluster cluster(Options(5), tokenizer_.get());
  Client client;
  client.request = RandomRequest(random);
  client.request.prompt_ids.assign(1000, 11);
  for (size_t i = 0; i < 1000; i += 20) client.request.prompt_ids[i] = 12;
  client.request.no_anchor_positions.clear();
  client.request.sequence_ends.clear();
  client.request.policy = CanonicalPolicy({.anchors = {12}, .sinks = 4, .recent = 64, .view = Policy::View::kAll});
  client.flow = cluster.Start(client.request, &client.answer);
  ASSERT_TRUE(cluster.RunUntilFinished({&client.answer}));
  const uint32_t row_bytes = 32;
  // Row 999's window begins at 936, so 63 rows before it, 4 sinks, of which row 0 is an anchor too, and the anchors
  // 20, 40 ... 920.
  EXPECT_EQ(client.answer.usage.kept_rows(), 63 + 4 + 46u);
  EXPECT_EQ(client.answer.usage.full_bytes(), 1000u * row_bytes);
  EXPECT_GE(client.answer.usage.segment_bytes(), client.answer.usage.kept_rows() * row_bytes);
}

INSTANTIATE_TEST_SUITE_P(Steps, SimulationTest, AllSteps(), NameOf);

}  // namespace
}  // namespace kedge
