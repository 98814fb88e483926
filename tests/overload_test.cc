// Ten times as many requests as a cluster can serve, each with five seconds: it serves about as many as it can at all,
// tells the others at once when to come again, and asks hardly anybody twice.
#include <algorithm>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/error_reason.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "tests/simulated_cluster.h"

namespace kedge {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(5);
constexpr absl::Duration kPromptly = absl::Milliseconds(30);     // while a node computes a step
constexpr absl::Duration kOnceAtWork = absl::Milliseconds(120);  // those that gave way, and hear so behind a step

// A request of the load: it ends by itself, and is looked at then.
struct Client : public SimulatedAnswer {
  const SimulatedCluster* cluster = nullptr;
  std::string id;
  absl::Duration began;
  absl::Duration ended;
  void Finish(const absl::Status& end, const ServedBy& nodes) override {
    SimulatedAnswer::Finish(end, nodes);
    ended = cluster->now();
  }
};

struct Load {
  double offered = 0;  // requests a second
  absl::Duration duration = absl::Seconds(10);
  Faults faults;
};

struct Outcome {
  double goodput = 0;  // answers in time, a second
  int refused = 0;
  int late = 0;
  int other = 0;
  int most_calls = 0;
  double calls = 0;  // a request
  absl::Duration usual_refusal;  // 97 of 100 take no longer
  absl::Duration slowest_refusal;
  int without_hint = 0;
  uint64_t reserved_rows = 0;
};

enum class Bottleneck { kPrefill, kDecode, kRows };

class OverloadTest : public testing::TestWithParam<Bottleneck> {
 protected:
  OverloadTest() {
    bytes_ = MakeTinyModel({});
    file_ = GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()), "tiny")
                .value();
    tokenizer_ = Tokenizer::Load(*file_).value();
  }

  SimulationOptions Options(uint32_t seed) const {
    SimulationOptions options{.seed = seed,
                              .pages = 2048,
                              .cache_pages = 0,
                              .vocab_size = static_cast<uint32_t>(tokenizer_->vocab_size()),
                              .heartbeat_interval = absl::Milliseconds(500),
                              .turn_time = absl::Milliseconds(2),
                              .is_prompt = true};
    // At 200 rows of prompt and 30 tokens an answer, about 20 requests a second.
    options.prefill_price = {.step = absl::Milliseconds(1), .row = absl::Microseconds(100)};
    options.decode_price = {.step = absl::Milliseconds(2), .row = absl::Microseconds(100)};
    if (GetParam() == Bottleneck::kPrefill) options.prefill_price.row = absl::Microseconds(500);
    if (GetParam() == Bottleneck::kDecode) options.decode_price.row = absl::Microseconds(1500);
    if (GetParam() == Bottleneck::kRows) {
      options.decode_price.step = absl::Milliseconds(20);
      options.decode_pages = 64;  // some six answers on each node
    }
    return options;
  }

  RouterRequest Request(std::mt19937& random) const {
    RouterRequest request{.policy = "full", .temperature = 0, .seed = random()};
    for (uint32_t tokens = 100 + random() % 200; tokens > 0; --tokens) {
      request.prompt_ids.push_back(random() % static_cast<uint32_t>(tokenizer_->vocab_size()));
    }
    request.max_tokens = 20 + random() % 20;
    request.output_text = false;
    request.output_token_ids = true;
    return request;
  }

  Outcome Run(uint32_t seed, const Load& load) const {
    std::mt19937 random(seed);
    SimulationOptions options = Options(seed);
    options.faults = load.faults;
    SimulatedCluster cluster(options, tokenizer_.get());
    std::vector<std::unique_ptr<Client>> clients;
    std::exponential_distribution<double> until_next(1);
    const absl::Duration warm = absl::Seconds(2);  // nodes have taken some steps before the load comes
    absl::Duration next;
    const auto is_under_way = [&] {
      return std::any_of(clients.begin(), clients.end(), [](const auto& client) { return !client->finished; });
    };
    const absl::Duration end = warm + load.duration;
    while (cluster.now() < end || is_under_way()) {
      while (next <= cluster.now() && next < end) {
        next += absl::Seconds(until_next(random) / (next < warm ? 5 : load.offered));
        Client& client = *clients.emplace_back(std::make_unique<Client>());
        client.cluster = &cluster;
        client.id = absl::StrCat("r", clients.size());
        client.began = cluster.now();
        RouterRequest request = Request(random);
        request.request_id = client.id;
        cluster.Start(std::move(request), &client, kDeadline);
      }
      cluster.Turn();
    }
    for (int i = 0; i < 500; ++i) cluster.Turn();
    Outcome outcome{.reserved_rows = cluster.reserved_rows()};
    int in_time = 0, calls = 0;
    std::vector<absl::Duration> refusals;
    for (const auto& client : clients) {
      const auto found = cluster.calls().find(client->id);
      const int client_calls = found == cluster.calls().end() ? 0 : found->second;
      calls += client_calls;
      outcome.most_calls = std::max(outcome.most_calls, client_calls);
      if (client->status.ok()) {
        ++in_time;
      } else if (absl::IsResourceExhausted(client->status)) {
        ++outcome.refused;
        refusals.push_back(client->ended - client->began);
        outcome.without_hint += !RetryAfter(client->status).has_value();
      } else if (absl::IsDeadlineExceeded(client->status)) {
        ++outcome.late;
      } else {
        ++outcome.other;
      }
    }
    std::sort(refusals.begin(), refusals.end());
    if (!refusals.empty()) {
      outcome.usual_refusal = refusals[refusals.size() * 97 / 100];
      outcome.slowest_refusal = refusals.back();
    }
    outcome.goodput = in_time / absl::ToDoubleSeconds(end);
    outcome.calls = static_cast<double>(calls) / static_cast<double>(clients.size());
    return outcome;
  }

  // The offered load at which a cluster serves most, and how much that is.
  struct Peak {
    double offered = 0;
    double goodput = 0;
  };
  Peak FindPeak(uint32_t seed) const {
    Peak peak;
    for (double offered = 20; offered < 300; offered *= 1.4) {
      const Outcome outcome = Run(seed, {.offered = offered});
      if (outcome.goodput > peak.goodput) peak = {offered, outcome.goodput};
      if (outcome.goodput < 0.7 * offered) break;
    }
    return peak;
  }

  static void Print(const char* what, const Outcome& outcome) {
    std::cout << what << ": " << outcome.goodput << " a second in time, " << outcome.refused << " refused, "
              << outcome.late << " late, " << outcome.other << " others, " << outcome.calls << " calls a request, "
              << outcome.most_calls << " at most, 97 of 100 refusals within " << outcome.usual_refusal
              << ", the slowest " << outcome.slowest_refusal << "\n";
  }

  std::string bytes_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_P(OverloadTest, TenTimesTheLoadIsServedAsWellAsThePeak) {
  for (uint32_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(seed);
    const Peak peak = FindPeak(seed);
    std::cout << "peak: " << peak.goodput << " of " << peak.offered << " a second\n";
    const Outcome outcome = Run(seed, {.offered = 10 * peak.offered});
    Print("overload", outcome);
    EXPECT_GE(outcome.goodput, 0.9 * peak.goodput);
    EXPECT_GT(outcome.refused, 0);
    EXPECT_LE(outcome.usual_refusal, kPromptly);
    EXPECT_LE(outcome.slowest_refusal, kOnceAtWork);
    EXPECT_EQ(outcome.without_hint, 0);
    EXPECT_LE(outcome.most_calls, 2);
    EXPECT_EQ(outcome.other, 0);
    EXPECT_EQ(outcome.reserved_rows, 0u);
  }
}

TEST_P(OverloadTest, FaultsOnTopCostNeitherRowsNorCalls) {
  for (uint32_t seed = 11; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    const Load load{.offered = 200,
                    .duration = absl::Seconds(10),
                    .faults = {.drop_frame = 100, .flip_bit = 100, .silence = 100, .break_state = 30}};
    const Outcome outcome = Run(seed, load);
    Print("with faults", outcome);
    EXPECT_GT(outcome.goodput, 0);
    EXPECT_EQ(outcome.without_hint, 0);
    EXPECT_LE(outcome.most_calls, 2);
    EXPECT_EQ(outcome.reserved_rows, 0u);
  }
}

std::string NameOf(const testing::TestParamInfo<Bottleneck>& info) {
  constexpr const char* kNames[] = {"Prefill", "Decode", "Rows"};
  return kNames[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Nodes, OverloadTest,
                         testing::Values(Bottleneck::kPrefill, Bottleneck::kDecode, Bottleneck::kRows), NameOf);

}  // namespace
}  // namespace kedge
