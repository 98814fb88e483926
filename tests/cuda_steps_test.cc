// Steps of a model on the emulated device: how often the host waits, what is recorded, rows that cross beside steps,
// what happens where something fails. That the bits are those of the CPU, equality_test.cc asks.
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/kernels/cuda/cuda_ops.h"
#include "common/kernels/cuda/emulated/emulated_runtime.h"
#include "common/model/gguf.h"
#include "common/model/transformer.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kPages = 24;

// A device, and the calls of its runtime.
class CudaStepsTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<StepDevice>> Make(std::optional<uint64_t> seed, uint64_t memory_bytes = 64 << 20,
                                                   uint64_t kv_bytes = 0) {
    cuda::EmulatedOptions options{.seed = seed, .memory_bytes = memory_bytes};
    options.fault = [this](absl::string_view call) {
      ++calls_[std::string(call)];
      ++num_calls_;
      if (call == "NewMemory" && Calls("NewMemory") == no_memory_at_) return absl::ResourceExhaustedError("no memory");
      return num_calls_ == fail_at_ ? absl::InternalError("injected") : absl::OkStatus();
    };
    auto ops = cuda::CreateCudaOps(cuda::CreateEmulatedRuntime(std::move(options)), cuda::EmulatedKernels(),
                                   {.max_rows = 64, .sharers = sharers_});
    if (!ops.ok()) return ops.status();
    const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(model_.data()), model_.size());
    return TransformerDevice::Create(GgufFile::Parse(bytes, "tiny").value(), *std::move(ops), KvType::kF16, kv_bytes,
                                     64);
  }
  std::unique_ptr<StepDevice> MakeWith(std::optional<uint64_t> seed, uint32_t pages = kPages) {
    return Make(seed, 64 << 20, uint64_t{pages} * kPageRows * row_bytes_).value();
  }
  int Calls(const std::string& name) { return calls_[name]; }

  std::string model_ =
      MakeTinyModel({.seed = 5, .weight_type = TensorType::kQ8_0, .embedding_type = TensorType::kQ8_0});
  const size_t row_bytes_ = RowShape{2, 2, 16, KvType::kF16}.row_bytes();
  std::map<std::string, int> calls_;
  int num_calls_ = 0;
  int fail_at_ = 0;       // that call fails; 0: none
  int no_memory_at_ = 0;  // that call of NewMemory fails; 0: none
  int sharers_ = 1;
};

// A prompt of `count` rows of request `r`, which then decodes.
StepPlan Prompt(uint32_t request, uint32_t count) {
  StepPlan plan;
  plan.choices.push_back({.temperature = 0});
  plan.tables.push_back({.recent = {2 * request, 2 * request + 1}});
  for (uint32_t i = 0; i < count; ++i) {
    plan.rows.push_back({.token = 30 + (7 * i + request) % 200, .position = i, .choice = i + 1 == count ? 0 : -1});
  }
  return plan;
}

StepPlan Decode(const std::vector<uint32_t>& tokens, uint32_t position, bool ahead) {
  StepPlan plan;
  plan.choices.push_back({.temperature = 0});
  for (uint32_t r = 0; r < tokens.size(); ++r) {
    plan.tables.push_back({.recent = {2 * r, 2 * r + 1}});
    plan.rows.push_back({.token = tokens[r],
                         .position = position,
                         .tables = r,
                         .role = Role::kGenerated,
                         .chosen_before = ahead ? static_cast<int32_t>(r) : -1,
                         .choice = 0});
  }
  return plan;
}

// Answers of `requests` to prompts of 10 tokens; steps that are ahead are launched before the one before is waited for.
std::vector<std::vector<uint32_t>> Answers(StepDevice& device, uint32_t requests, uint32_t length, bool ahead) {
  std::vector<std::vector<uint32_t>> answers(requests);
  std::vector<uint32_t> last;
  for (uint32_t r = 0; r < requests; ++r) {
    const auto step = device.Launch(Prompt(r, 10));
    EXPECT_TRUE(step->Wait().ok());
    last.push_back(step->Token(0).value());
    answers[r].push_back(last.back());
  }
  std::unique_ptr<StepFuture> under_way;
  const auto finish = [&] {
    EXPECT_TRUE(under_way->Wait().ok());
    for (uint32_t r = 0; r < requests; ++r) answers[r].push_back(last[r] = under_way->Token(r).value());
  };
  for (uint32_t i = 0; i < length; ++i) {
    auto next = device.Launch(Decode(last, 10 + i, ahead && i > 0));
    if (under_way != nullptr) finish();
    under_way = std::move(next);
    if (!ahead) {
      finish();
      under_way = nullptr;
    }
  }
  if (under_way != nullptr) finish();
  return answers;
}

TEST_F(CudaStepsTest, AheadInTurnPaddedAndInAnyOrderAnswersAreTheSame) {
  const auto expected = Answers(*MakeWith(std::nullopt), 3, 12, false);
  EXPECT_NE(expected[0], expected[1]);
  EXPECT_EQ(Answers(*MakeWith(std::nullopt), 3, 12, true), expected);
  for (uint64_t seed = 1; seed < 5; ++seed) EXPECT_EQ(Answers(*MakeWith(seed), 3, 12, seed % 2 == 0), expected) << seed;
  const auto alone = Answers(*MakeWith(7), 1, 12, true);
  EXPECT_EQ(alone[0], expected[0]);
}

// Most answers end with one step: the rows that go on name tokens far behind the last one of the next step.
TEST_F(CudaStepsTest, FewRowsGoOnBehindMany) {
  constexpr uint32_t kRequests = 60;
  const auto answers = [&](bool ahead) {
    const auto device = MakeWith(std::nullopt, 2 * kRequests);
    std::vector<uint32_t> last;
    for (uint32_t r = 0; r < kRequests; ++r) {
      const auto prompt = device->Launch(Prompt(r, 10));
      EXPECT_TRUE(prompt->Wait().ok());
      last.push_back(prompt->Token(0).value());
    }
    const auto many = device->Launch(Decode(last, 10, false));
    if (!ahead) {
      EXPECT_TRUE(many->Wait().ok());
      for (uint32_t r = 0; r < kRequests; ++r) last[r] = many->Token(r).value();
    }
    StepPlan plan = Decode(last, 11, ahead);
    plan.rows.erase(plan.rows.begin(), plan.rows.begin() + 32);
    const auto few = device->Launch(plan);
    EXPECT_TRUE(many->Wait().ok());
    EXPECT_TRUE(few->Wait().ok());
    std::vector<uint32_t> tokens;
    for (size_t i = 0; i < plan.rows.size(); ++i) tokens.push_back(few->Token(i).value());
    return tokens;
  };
  EXPECT_EQ(answers(true), answers(false));
}

TEST_F(CudaStepsTest, AStepIsWaitedForOnceAndRecordedOnce) {
  const auto device = MakeWith(3);
  std::vector<uint32_t> last;
  for (uint32_t r = 0; r < 3; ++r) {
    const auto step = device->Launch(Prompt(r, 10));
    ASSERT_TRUE(step->Wait().ok());
    last.push_back(step->Token(0).value());
  }
  calls_.clear();
  for (uint32_t i = 0; i < 20; ++i) {
    const int allocated = Calls("NewMemory") + Calls("NewPinnedMemory"), launched = Calls("Launch");
    const auto step = device->Launch(Decode(last, 10 + i, false));
    EXPECT_EQ(Calls("Wait"), static_cast<int>(i)) << "to launch is not to wait";
    ASSERT_TRUE(step->Wait().ok());
    EXPECT_EQ(Calls("Wait"), static_cast<int>(i + 1));
    EXPECT_GT(step->DeviceTime().value(), absl::ZeroDuration());
    for (uint32_t r = 0; r < 3; ++r) last[r] = step->Token(r).value();
    if (i < 2) continue;
    EXPECT_EQ(Calls("NewMemory") + Calls("NewPinnedMemory"), allocated) << "step " << i;
    EXPECT_EQ(Calls("Launch"), launched) << "what was recorded is not launched again";
  }
  EXPECT_EQ(Calls("BeginGraph"), 1);
  EXPECT_EQ(Calls("Replay"), 20);
}

TEST_F(CudaStepsTest, ARecordedStepIsNotUsedForOthers) {
  const auto device = MakeWith(std::nullopt);
  const auto host = [&](uint32_t requests) { return Answers(*MakeWith(std::nullopt), requests, 24, false); };
  for (const uint32_t requests : {1u, 4u, 2u, 3u, 1u}) {
    EXPECT_EQ(Answers(*device, requests, 24, true), host(requests)) << requests;  // into a second page
  }
  EXPECT_GT(Calls("BeginGraph"), 4);
}

TEST_F(CudaStepsTest, RowsCrossInTurnWithSteps) {
  for (const uint64_t seed : {1, 2, 3}) {
    const auto device = MakeWith(seed);
    const auto prompt = device->Launch(Prompt(0, 20));
    std::vector<RowRef> rows, others;
    for (uint32_t i = 0; i < 20; ++i) {
      rows.push_back({0, i});
      others.push_back({8, 19 - i});
    }
    const size_t bytes = rows.size() * row_bytes_;
    const RowBuffer pinned = device->NewRowBuffer(bytes), plain = RowBuffer::Plain(bytes),
                    copied = device->NewRowBuffer(bytes), written = device->NewRowBuffer(bytes);
    const auto to_pinned = device->ReadRows(rows, pinned), to_plain = device->ReadRows(rows, plain);
    device->CopyRows(rows, others);
    const auto of_copy = device->ReadRows(others, copied);
    ASSERT_TRUE(to_plain->Wait().ok());
    ASSERT_TRUE(to_pinned->Wait().ok());
    ASSERT_TRUE(of_copy->Wait().ok());
    EXPECT_EQ(pinned.bytes, plain.bytes);
    EXPECT_EQ(copied.bytes, plain.bytes);
    EXPECT_TRUE(std::any_of(plain.bytes.begin(), plain.bytes.end(), [](uint8_t byte) { return byte != 0; }));
    // Written from memory that is pinned and from memory that is not; a row without a page is passed over.
    device->WriteRows(others, pinned.Share());
    others[3].page = kNoPage;
    device->WriteRows(others, Payload::Own(std::vector<uint8_t>(bytes, 0x11)));
    others[3].page = 8;
    const auto after = device->ReadRows(others, written);
    ASSERT_TRUE(after->Wait().ok());
    const size_t part = 16 * 2;  // a head's keys or values
    for (size_t i = 0; i < bytes; ++i) {
      ASSERT_EQ(written.bytes[i], i / part % 20 == 3 ? plain.bytes[i] : 0x11) << i;
    }
  }
}

TEST_F(CudaStepsTest, LogitsComeWhereTheyAreWanted) {
  const auto device = MakeWith(std::nullopt);
  StepPlan plan = Prompt(0, 10);
  plan.rows[4].wants_logits = true;
  plan.choices.push_back({.temperature = 1.5f, .top_p = 0.9f, .seed = 4});
  plan.rows[6].choice = 1;
  const auto step = device->Launch(plan);
  ASSERT_TRUE(step->Wait().ok());
  EXPECT_EQ(step->Token(0), std::nullopt);
  ASSERT_EQ(step->Logits(0).size(), device->vocab_size());
  EXPECT_TRUE(step->Token(1).has_value());
  EXPECT_TRUE(step->Token(2).has_value());
}

TEST_F(CudaStepsTest, PagesAreWhatIsLeftOfTheMemory) {
  const auto small = Make(std::nullopt, 24 << 20).value(), large = Make(std::nullopt, 48 << 20).value();
  EXPECT_GT(small->num_pages(), 100u);
  const double page = static_cast<double>(row_bytes_) * kPageRows;
  EXPECT_NEAR(large->num_pages() - small->num_pages(), 0.9 * (24 << 20) / page, 2);
}

TEST_F(CudaStepsTest, WhoSharesADeviceTakesHisPart) {
  const double page = static_cast<double>(row_bytes_) * kPageRows;
  const auto alone = Make(std::nullopt, 48 << 20).value();
  sharers_ = 3;
  const auto third = Make(std::nullopt, 48 << 20).value();
  EXPECT_NEAR(alone->num_pages() - third->num_pages(), 0.9 * (32 << 20) / page, 2);
}

TEST_F(CudaStepsTest, RunningOutOfMemoryIsAnAnswer) {
  EXPECT_EQ(Make(std::nullopt, 1 << 18).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Make(std::nullopt, 64 << 20, uint64_t{1} << 30).status().code(), absl::StatusCode::kResourceExhausted);
}

// The first tensor for which there is no memory is named, and is the last one that is asked for.
TEST_F(CudaStepsTest, LoadingEndsWithTheFirstFailure) {
  const struct {
    int memory;
    const char* where;
  } kCases[] = {{1, "tiny: frequencies of the rotation: "},
                {2, "tiny: tensor 'token_embd.weight': "},
                {3, "tiny: tensor 'blk.0.attn_norm.weight': "},
                {4, "tiny: tensor 'blk.0.attn_q.weight': "},
                {21, "tiny: tensor 'output_norm.weight': "}};
  for (const auto& c : kCases) {
    calls_.clear();
    no_memory_at_ = c.memory;
    const absl::Status status = Make(std::nullopt).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(status.message(), absl::StrCat(c.where, "the CUDA device failed: no memory"));
    EXPECT_EQ(Calls("NewMemory"), c.memory);
  }
}

TEST_F(CudaStepsTest, LoadingPinsTwoBuffers) {
  MakeWith(std::nullopt);
  EXPECT_EQ(Calls("NewPinnedMemory"), 2);
}

TEST_F(CudaStepsTest, AModelThatKernelsRefuseIsNotLoaded) {
  const auto expect_refused = [&](const TinyModelOptions& options, const char* message) {
    model_ = MakeTinyModel(options);
    calls_.clear();
    const absl::Status status = Make(std::nullopt).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), message);
    EXPECT_EQ(Calls("NewMemory"), 0);
  };
  expect_refused({.layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 258},
                 "tiny: head_dim is 258; the cuda backend takes at most 256");
  expect_refused({.layers = 1, .hidden = 16416, .heads = 1, .kv_heads = 1, .head_dim = 8, .ffn = 8},
                 "tiny: hidden_size is 16416; the cuda backend takes at most 16384");
}

// A group of outputs that is larger than a buffer, behind pieces that are small.
TEST_F(CudaStepsTest, RowsOfWeightsMayBeOfAnyLength) {
  constexpr int kColumns = 140'001, kRows = 33;  // of two groups
  std::vector<float> values(size_t{kRows} * kColumns);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 999'983);
  for (const std::optional<uint64_t> seed : {std::optional<uint64_t>(), std::optional<uint64_t>(1)}) {
    const auto ops =
        cuda::CreateCudaOps(cuda::CreateEmulatedRuntime({.seed = seed}), cuda::EmulatedKernels(), {}).value();
    const auto vector = ops->LoadVector({1, 2, 3}).value();
    const absl::Span<const uint8_t> data(reinterpret_cast<const uint8_t*>(values.data()),
                                         values.size() * sizeof(float));
    const auto table = ops->LoadMatrix(TensorType::kF32, kRows, kColumns, data).value();
    const auto x = ops->NewActivations(2, kColumns);
    const StepPlan plan = {.rows = {{.token = 32}, {.token = 3}}, .tables = {{.recent = {0}}}};
    ops->Embed(*table, *ops->Begin(plan), *x);
    std::vector<float> rows(size_t{2} * kColumns);
    ops->CopyToHost(2, *x, absl::MakeSpan(rows));
    EXPECT_TRUE(ops->status().ok()) << ops->status();
    EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + kColumns, values.begin() + size_t{32} * kColumns));
    EXPECT_TRUE(std::equal(rows.begin() + kColumns, rows.end(), values.begin() + size_t{3} * kColumns));
  }
}

// Whichever call fails, all that is under way and all that follows ends with it, and says so.
TEST_F(CudaStepsTest, ALostDeviceIsAStatus) {
  // The same calls, without a failure.
  const auto work = [](StepDevice& device) {
    absl::Status status;
    for (uint32_t step = 0; step < 8 && status.ok(); ++step) {
      status = device.Launch(step < 2 ? Prompt(step, 10) : Decode({40, 50}, 8 + step, false))->Wait();
      if (!status.ok()) break;
      const RowBuffer buffer = device.NewRowBuffer(device.row_shape().row_bytes());
      status = device.ReadRows({{0, 1}}, buffer)->Wait();
      device.CopyRows({{0, 1}}, {{5, 1}});
      device.WriteRows({{5, 2}}, buffer.Share());
    }
    return status;
  };
  ASSERT_TRUE(work(*MakeWith(std::nullopt)).ok());
  const int calls = num_calls_;
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    num_calls_ = 0;
    fail_at_ = 1 + static_cast<int>(random() % calls);
    SCOPED_TRACE(absl::StrCat("call ", fail_at_, " of ", calls));
    auto made = Make(std::nullopt, 64 << 20, uint64_t{kPages} * kPageRows * row_bytes_);
    if (!made.ok()) continue;
    StepDevice& device = **made;
    const absl::Status status = work(device);
    if (status.ok()) continue;  // the call was one that may fail: an event is looked at
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_EQ(device.status().code(), absl::StatusCode::kUnavailable) << "also where a wait met it";
    EXPECT_NE(status.message().find("injected"), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace kedge
