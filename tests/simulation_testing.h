// Requests at random to a simulated cluster, and what they must get: what one device alone would have written.
#ifndef KEDGE_TESTS_SIMULATION_TESTING_H_
#define KEDGE_TESTS_SIMULATION_TESTING_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/engine/testing.h"
#include "common/kernels/hash_device.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "tests/simulated_cluster.h"

namespace kedge {

struct Client {
  RouterRequest request;
  SimulatedAnswer answer;
  std::shared_ptr<RequestFlow> flow;
};

// How the nodes' devices take steps.
enum class Steps {
  kInTurn,    // one after the other
  kAhead,     // the next is launched before the one before is waited for
  kDeferred,  // the same, and nothing is done before somebody waits
};

class SimulationTest : public testing::TestWithParam<Steps> {
 protected:
  SimulationTest() {
    bytes_ = MakeTinyModel({});
    file_ = GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()), "tiny")
                .value();
    tokenizer_ = Tokenizer::Load(*file_).value();
    vocab_size_ = static_cast<uint32_t>(tokenizer_->vocab_size());
  }

  RouterRequest RandomRequest(std::mt19937& random, uint32_t most_tokens = 200) {
    Content content = RandomContent(vocab_size_, most_tokens, random);
    if (all_go_ahead_) content.policy.view = Policy::View::kAll;
    RouterRequest request{.request_id = "r",
                          .prompt_ids = content.ids,
                          .no_anchor_positions = content.no_anchor_positions,
                          .sequence_ends = content.sequence_ends,
                          .pinned = content.pinned,
                          .turn_begin = content.turn_begin,
                          .policy = CanonicalPolicy(content.policy),
                          .chooses = content.policy.salient_millionths > 0,
                          .temperature = random() % 2 ? 0.0f : 1.0f,
                          .frequency_penalty = random() % 3 ? 0.0f : 0.2f,
                          .repetition_penalty = random() % 3 ? 1.0f : 1.1f,
                          .seed = random()};
    request.max_tokens = 1 + random() % 60;
    request.end_ids = {7, 50, 90};
    request.output_text = false;
    request.output_token_ids = true;
    if (all_go_ahead_) request.frequency_penalty = 0, request.repetition_penalty = 1;
    return request;
  }

  // A request whose prompt begins like that of an earlier one, and may go on longer.
  RouterRequest RequestLike(const RouterRequest& earlier, std::mt19937& random) {
    RouterRequest request = RandomRequest(random, 1);
    request.no_anchor_positions = earlier.no_anchor_positions;
    request.sequence_ends = earlier.sequence_ends;
    request.pinned = earlier.pinned;
    request.turn_begin = earlier.turn_begin;
    request.policy = earlier.policy;
    request.chooses = earlier.chooses;
    request.prompt_ids = earlier.prompt_ids;
    for (size_t i = random() % (request.prompt_ids.size() + 1); i < request.prompt_ids.size(); ++i) {
      request.prompt_ids[i] = random() % vocab_size_;
    }
    for (uint32_t more = random() % 2 ? random() % 200 : 0; more > 0; --more) {
      request.prompt_ids.push_back(random() % vocab_size_);
    }
    return request;
  }

  // The answer of one device alone.
  std::vector<uint32_t> Expected(const RouterRequest& request) {
    HashDevice device({.num_pages = 512, .max_rows = 64, .vocab_size = vocab_size_});
    const Content prompt{.ids = request.prompt_ids,
                         .prompt_length = static_cast<uint32_t>(request.prompt_ids.size()),
                         .no_anchor_positions = request.no_anchor_positions,
                         .sequence_ends = request.sequence_ends,
                         .pinned = request.pinned,
                         .turn_begin = request.turn_begin,
                         .policy = ParsePolicy(request.policy, {}).value()};
    const SamplingParams sampling{.temperature = request.temperature,
                                  .frequency_penalty = request.frequency_penalty,
                                  .repetition_penalty = request.repetition_penalty,
                                  .seed = *request.seed,
                                  .max_tokens = request.max_tokens,
                                  .end_ids = request.end_ids};
    return GenerateAlone(prompt, sampling, kSimulatedContext, &device);
  }

  // Gets an answer under way that is longer than others, so that memory grows scarce.
  void StartLongAnswer(SimulatedCluster& cluster, std::mt19937& random, Client* client) {
    client->request = RandomRequest(random);
    client->request.max_tokens = 100 + random() % 200;
    client->request.end_ids = {7};
    client->flow = cluster.Start(client->request, &client->answer);
  }

  std::vector<Client> StartClients(int count, SimulatedCluster& cluster, std::mt19937& random) {
    std::vector<Client> clients(count);
    for (int i = 0; i < count; ++i) {
      Client& client = clients[i];
      client.request =
          i > 0 && random() % 2 ? RequestLike(clients[random() % i].request, random) : RandomRequest(random);
      client.flow = cluster.Start(client.request, &client.answer);
    }
    return clients;
  }

  void ExpectRightText(const std::vector<Client>& clients) {
    for (const Client& client : clients) {
      EXPECT_TRUE(client.answer.status.ok()) << client.answer.status;
      EXPECT_EQ(client.answer.token_ids, Expected(client.request)) << client.request.policy;
    }
  }

  // Of every second seed, all answers can run ahead; else a few of them hold the others back.
  SimulationOptions Options(uint32_t seed) {
    all_go_ahead_ = seed % 2 == 1;
    constexpr uint64_t kHeldBytes[] = {0, 3000, 1 << 20};  // nothing, of some 90 rows, all
    return {.seed = seed,
            .held_bytes = kHeldBytes[seed % 3],
            .vocab_size = vocab_size_,
            .runs_ahead = GetParam() != Steps::kInTurn,
            .deferred = GetParam() == Steps::kDeferred,
            .undecided = seed % 3 ? 0u : 5u};
  }

  std::string bytes_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  uint32_t vocab_size_ = 0;
  bool all_go_ahead_ = false;
};

inline std::vector<SimulatedAnswer*> Answers(std::vector<Client>& clients) {
  std::vector<SimulatedAnswer*> answers;
  for (Client& client : clients) answers.push_back(&client.answer);
  return answers;
}

inline int Failovers(const std::vector<Client>& clients) {
  int failovers = 0;
  for (const Client& client : clients) failovers += client.answer.provenance.failovers();
  return failovers;
}

inline auto AllSteps() { return testing::Values(Steps::kInTurn, Steps::kAhead, Steps::kDeferred); }
inline std::string NameOf(const testing::TestParamInfo<Steps>& info) {
  return info.param == Steps::kInTurn ? "InTurn" : info.param == Steps::kAhead ? "Ahead" : "Deferred";
}

}  // namespace kedge

#endif  // KEDGE_TESTS_SIMULATION_TESTING_H_
