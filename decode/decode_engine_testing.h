// A decode engine over a device of hashes, whose prefill nodes say what a test wants.
#ifndef KEDGE_DECODE_DECODE_ENGINE_TESTING_H_
#define KEDGE_DECODE_DECODE_ENGINE_TESTING_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/kernels/hash_device.h"
#include "decode/decode_engine.h"
#include "gtest/gtest.h"

namespace kedge {

struct RecordingSink : public DecodeSink {
  void OnPrefilled(const PrefilledInfo& info) override { prefilled = info; }
  void OnToken(uint32_t index, const SampledToken& token) override {
    EXPECT_EQ(index, first_index + ids.size());
    ids.push_back(token.id);
  }
  void OnEnd(const absl::Status& status, const FinishedInfo& info) override {
    ended = status;
    finished = info;
  }
  uint32_t first_index = 0;
  std::optional<PrefilledInfo> prefilled;
  std::vector<uint32_t> ids;
  std::optional<absl::Status> ended;
  FinishedInfo finished;
};

// Prefill nodes that say what a test wants.
class ScriptedSource : public StateSource {
 public:
  struct Call : public StateCall {
    explicit Call(bool* cancelled) : cancelled(cancelled) {}
    ~Call() override { *cancelled = true; }
    bool* cancelled;
  };
  std::unique_ptr<StateCall> Fetch(const PrefillCandidate& node, const StateRequest& request, absl::Time,
                                   OnEvent on_event) override {
    addresses.push_back(node.address);
    requests.push_back(request);
    events.push_back(std::move(on_event));
    cancelled.push_back(false);
    return std::make_unique<Call>(&cancelled.back());
  }
  std::vector<std::string> addresses;
  std::vector<StateRequest> requests;
  std::vector<OnEvent> events;
  std::deque<bool> cancelled;
};

// Counts steps and what is asked of them.
class CountingDevice : public HashDevice {
 public:
  using HashDevice::HashDevice;
  std::unique_ptr<StepFuture> Launch(StepPlan plan) override {
    ++steps;
    if (clock != nullptr) clock->Advance(absl::Milliseconds(10) + plan.rows.size() * absl::Milliseconds(1));
    rows += static_cast<int>(plan.rows.size());
    for (const PlanRow& row : plan.rows) {
      tokens += row.choice >= 0;
      logits += row.wants_logits;
    }
    return HashDevice::Launch(std::move(plan));
  }
  int steps = 0, rows = 0, tokens = 0, logits = 0;
  SimulatedClock* clock = nullptr;  // of the engine, where steps take time
};

class DecodeEngineTest : public testing::Test {
 protected:
  DecodeEngineTest() { NewEngine({}); }

  void NewEngine(DecodeOptions options, uint32_t pages = 64) {
    options.fingerprint = "model";
    options.context_length = 400;
    engine_.reset();
    device_ = std::make_unique<CountingDevice>(HashDeviceOptions{.num_pages = pages,
                                                                 .max_rows = 64,
                                                                 .vocab_size = 100,
                                                                 .roles_agree = roles_agree_,
                                                                 .bad_token = bad_token_,
                                                                 .runs_ahead = runs_ahead_,
                                                                 .undecided = undecided_});
    engine_ = std::make_unique<DecodeEngine>(
        options, device_.get(), &source_, &clock_,
        [this](std::function<void()> closure) { posted_.push_back(std::move(closure)); });
  }

  DecodeJob Job(uint32_t tokens, uint32_t max_tokens = 5) {
    return {.content = {.ids = std::vector<uint32_t>(tokens, 5),
                        .prompt_length = tokens,
                        .policy = {.recent = Policy::kAll}},
            .fingerprint = "model",
            .sampling = {.temperature = 0, .max_tokens = max_tokens}};
  }

  std::shared_ptr<RecordingSink> Add(DecodeJob job) {
    auto sink = std::make_shared<RecordingSink>();
    sink->first_index = static_cast<uint32_t>(job.content.ids.size()) - job.content.prompt_length;
    last_id_ = engine_->Add(std::move(job), sink);
    return sink;
  }

  void Turns(int count) {
    for (int i = 0; i < count; ++i) {
      for (auto& closure : std::exchange(posted_, {})) closure();
      engine_->Turn();
    }
  }

  std::optional<uint32_t> bad_token_;  // of the next engine's device
  bool roles_agree_ = false;           // the same
  bool runs_ahead_ = false;            // the same
  uint32_t undecided_ = 0;             // the same
  SimulatedClock clock_;
  ScriptedSource source_;
  std::unique_ptr<CountingDevice> device_;
  std::unique_ptr<DecodeEngine> engine_;
  std::vector<std::function<void()>> posted_;
  DecodeEngine::JobId last_id_ = 0;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_DECODE_ENGINE_TESTING_H_
