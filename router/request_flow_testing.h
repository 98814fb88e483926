// What the tests of RequestFlow share: a flow whose nodes the test plays, on a clock of its own.
#ifndef KEDGE_ROUTER_REQUEST_FLOW_TESTING_H_
#define KEDGE_ROUTER_REQUEST_FLOW_TESTING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "router/node_info_testing.h"
#include "router/request_flow.h"
#include "router/response_merge.h"

namespace kedge {

// A Decode call as its node sees it. The test plays the node.
struct FakeCall : DecodeCall {
  void Cancel() override { cancelled = true; }

  NodeSnapshot node;
  node::v1::DecodeRequest request;
  absl::Time deadline;
  DecodeEvents events;
  bool cancelled = false;
};

class FakeCaller : public DecodeCaller {
 public:
  std::shared_ptr<DecodeCall> Start(const NodeSnapshot& node, node::v1::DecodeRequest request, absl::Time deadline,
                                    DecodeEvents events) override {
    auto call = std::make_shared<FakeCall>();
    call->node = node;
    call->request = std::move(request);
    call->deadline = deadline;
    call->events = std::move(events);
    calls.push_back(call);
    return call;
  }
  std::vector<std::shared_ptr<FakeCall>> calls;
};

struct FakeSink : ResponseSink {
  void Message(inference::v1::GenerateStreamResponse message) override {
    EXPECT_FALSE(status.has_value()) << "a message after the end";
    MergeResponse(message, &merged);
    messages.push_back(std::move(message));
  }
  void Finish(const absl::Status& final_status, const ServedBy& nodes) override {
    EXPECT_FALSE(status.has_value()) << "two ends";
    status = final_status;
    served_by = nodes;
  }
  // Of one completion, all messages together.
  std::string Text(uint32_t index = 0) const {
    for (const auto& completion : merged.completions()) {
      if (completion.index() == index) return completion.text();
    }
    return "";
  }
  const inference::v1::Completion& First() const { return merged.completions(0); }

  std::vector<inference::v1::GenerateStreamResponse> messages;
  inference::v1::GenerateStreamResponse merged;
  std::optional<absl::Status> status;
  ServedBy served_by;
};

class RequestFlowTest : public testing::Test {
 protected:
  RequestFlowTest() {
    bytes_ = MakeTinyModel({});
    const auto* data = reinterpret_cast<const uint8_t*>(bytes_.data());
    file_ = *GgufFile::Parse(absl::MakeConstSpan(data, bytes_.size()), "tiny");
    tokenizer_ = *Tokenizer::Load(*file_);
    environment_.clock = &clock_;
    environment_.tokenizer = tokenizer_.get();
    environment_.registry = &registry_;
    environment_.prefixes = &prefixes_;
    environment_.caller = &caller_;
    environment_.run_after = [this](absl::Duration delay, std::function<void()> closure) {
      timers_.emplace(clock_.Now() + delay, std::move(closure));
    };
    environment_.draw_seed = [] { return uint64_t{4711}; };
    request_.request_id = "r1";
    request_.model = "tiny";
    request_.prompt_ids = {20, 21, 22};
    request_.policy = "canonical";
    request_.readable_policy = "readable";
    request_.max_tokens = 100;
  }
  ~RequestFlowTest() override {
    for (const auto& call : caller_.calls) call->events = {};  // a call under way and its flow hold one another
  }

  uint64_t AddNode(const std::string& id, node::v1::Role role = node::v1::ROLE_DECODE,
                   const std::string& numerics_class = "cpu") {
    node::v1::NodeInfo info = InfoOfNode(id, id + ":1");
    info.set_role(role);
    info.set_numerics_class(numerics_class);
    info.set_total_rows(1000);
    return *registry_.Register(info);
  }

  void Start(absl::Time deadline = absl::InfiniteFuture()) {
    flow_ = RequestFlow::Create(&environment_, request_, clock_.Now(), deadline, &sink_);
    flow_->Start();
  }

  // Lets time pass and runs what falls due.
  void Advance(absl::Duration duration) {
    const absl::Time end = clock_.Now() + duration;
    while (!timers_.empty() && timers_.begin()->first <= end) {
      clock_.Advance(timers_.begin()->first - clock_.Now());
      const auto closure = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      closure();
    }
    clock_.Advance(end - clock_.Now());
  }

  std::vector<uint32_t> Ids(const std::string& text) const { return *tokenizer_->Encode(text); }

  node::v1::DecodeResponse TokensMessage(uint32_t first_index, const std::vector<uint32_t>& ids) const {
    node::v1::DecodeResponse message;
    message.set_first_index(first_index);
    for (const uint32_t id : ids) message.add_tokens()->set_id(id);
    return message;
  }
  void SendPrefilled(size_t call, const std::string& numerics_class = "cpu") {
    node::v1::DecodeResponse message;
    auto* prefilled = message.mutable_prefilled();
    prefilled->set_prefill_node("p1");
    prefilled->set_kept_rows(2);
    prefilled->set_row_bytes(100);
    prefilled->set_segment_bytes(222);
    prefilled->set_queue_us(1000);
    prefilled->set_prefill_us(2000);
    prefilled->set_numerics_class(numerics_class);
    caller_.calls[call]->events.on_message(message);
  }
  void SendTokens(size_t call, uint32_t first_index, const std::vector<uint32_t>& ids) {
    caller_.calls[call]->events.on_message(TokensMessage(first_index, ids));
  }
  void SendFinished(size_t call, node::v1::EndReason reason = node::v1::END_REASON_END_ID) {
    node::v1::DecodeResponse message;
    message.mutable_finished()->set_reason(reason);
    if (reason == node::v1::END_REASON_END_ID) message.mutable_finished()->set_end_id(2);
    caller_.calls[call]->events.on_message(message);
    caller_.calls[call]->events.on_done(absl::OkStatus());
  }
  void EndCall(size_t call, const absl::Status& status) { caller_.calls[call]->events.on_done(status); }

  std::string bytes_;
  std::shared_ptr<const GgufFile> file_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  SimulatedClock clock_;
  NodeRegistry registry_{&clock_, "print", "canonical"};
  PrefixMemory prefixes_;
  FakeCaller caller_;
  FlowEnvironment environment_;
  std::multimap<absl::Time, std::function<void()>> timers_;
  RouterRequest request_;
  FakeSink sink_;
  std::shared_ptr<RequestFlow> flow_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_REQUEST_FLOW_TESTING_H_
