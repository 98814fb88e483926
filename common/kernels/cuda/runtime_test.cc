// What runtime.h promises, of the emulated device and of CUDA: one text, two programs (BUILD).
#include "common/kernels/cuda/runtime.h"

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/kernels/cuda/tested_runtime.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

class RuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::vector<std::unique_ptr<Runtime>>> runtimes = NewTestedRuntimes();
    if (absl::IsFailedPrecondition(runtimes.status())) GTEST_SKIP() << runtimes.status();
    ASSERT_TRUE(runtimes.ok()) << runtimes.status();
    runtimes_ = *std::move(runtimes);
  }
  std::vector<std::unique_ptr<Runtime>> runtimes_;
};

// A number in device memory, and a stream.
struct Number {
  explicit Number(Runtime& runtime)
      : runtime(runtime),
        memory(*runtime.NewMemory(64)),
        pinned(*runtime.NewPinnedMemory(64)),
        stream(*runtime.NewStream()) {}
  int* at() { return reinterpret_cast<int*>(memory->data()); }
  int Value() {
    EXPECT_TRUE(stream->Copy(pinned->data(), at(), sizeof(int)).ok());
    EXPECT_TRUE(stream->Wait().ok());
    int value;
    std::memcpy(&value, pinned->data(), sizeof(value));
    return value;
  }
  void Append(int digit, bool early = false) {
    const absl::Status status = TestedKernels().append_digit(*stream, at(), digit, early);
    EXPECT_TRUE(status.ok()) << status;
  }

  Runtime& runtime;
  std::unique_ptr<Memory> memory, pinned;
  std::unique_ptr<Stream> stream;
};

TEST_F(RuntimeTest, AStreamKeepsItsOrder) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    EXPECT_TRUE(TestedKernels().set(*number.stream, number.at(), 1).ok());
    for (int digit = 2; digit <= 9; ++digit) number.Append(digit);
    EXPECT_EQ(number.Value(), 123456789);
    EXPECT_TRUE(number.stream->Fill(number.at(), 0, sizeof(int)).ok());
    number.Append(7);
    EXPECT_EQ(number.Value(), 7);
  }
}

TEST_F(RuntimeTest, KernelsThatBeginEarlySeeWhatTheOnesBeforeWrote) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    for (int round = 0; round < 20; ++round) {
      EXPECT_TRUE(TestedKernels().set(*number.stream, number.at(), 1).ok());
      for (int digit = 2; digit <= 9; ++digit) number.Append(digit, digit % 4 != 0);
      EXPECT_EQ(number.Value(), 123456789);
    }
  }
}

TEST_F(RuntimeTest, AnEventOrdersStreams) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    std::unique_ptr<Stream> other = *runtime->NewStream();
    std::unique_ptr<Event> event = *runtime->NewEvent();
    ASSERT_TRUE(number.stream->WaitFor(*event).ok());  // recorded nowhere: no wait
    ASSERT_TRUE(number.stream->Fill(number.at(), 0, sizeof(int)).ok());
    Stream *from = number.stream.get(), *to = other.get();
    for (int digit = 1; digit <= 9; ++digit) {
      ASSERT_TRUE(TestedKernels().append_digit(*from, number.at(), digit, false).ok());
      ASSERT_TRUE(from->Record(*event).ok());
      ASSERT_TRUE(to->WaitFor(*event).ok());
      std::swap(from, to);
    }
    ASSERT_TRUE(other->Wait().ok());
    EXPECT_EQ(number.Value(), 123456789);
  }
}

TEST_F(RuntimeTest, EventsTellWhetherAndWhen) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    std::unique_ptr<Event> begin = *runtime->NewEvent(), end = *runtime->NewEvent();
    EXPECT_TRUE(*begin->IsDone());
    EXPECT_TRUE(begin->Wait().ok());
    EXPECT_EQ(end->Since(*begin).status().code(), absl::StatusCode::kFailedPrecondition);
    ASSERT_TRUE(number.stream->Record(*begin).ok());
    ASSERT_TRUE(number.stream->Fill(number.at(), 0, sizeof(int)).ok());
    ASSERT_TRUE(number.stream->Record(*end).ok());
    EXPECT_TRUE(end->Wait().ok());
    EXPECT_TRUE(*begin->IsDone());
    EXPECT_TRUE(*end->IsDone());
    const absl::StatusOr<absl::Duration> time = end->Since(*begin);
    ASSERT_TRUE(time.ok()) << time.status();
    EXPECT_GE(*time, absl::ZeroDuration());
    EXPECT_LT(*time, absl::Seconds(10));
  }
}

TEST_F(RuntimeTest, AGraphIsDoneWhenItIsReplayed) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    std::unique_ptr<Event> event = *runtime->NewEvent();
    ASSERT_TRUE(number.stream->Fill(number.at(), 0, sizeof(int)).ok());
    ASSERT_TRUE(number.stream->BeginGraph().ok());
    number.Append(1);
    number.Append(2, true);
    for (const absl::Status& refused :
         {number.stream->BeginGraph(), number.stream->Wait(), number.stream->Record(*event),
          number.stream->WaitFor(*event)}) {
      EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
    }
    runtime->NewMemory(1 << 20).IgnoreError();  // and given back, which does not disturb
    std::unique_ptr<Graph> graph = *number.stream->EndGraph();
    EXPECT_EQ(number.Value(), 0);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(number.stream->Replay(*graph).ok());
    EXPECT_EQ(number.Value(), 121212);
    EXPECT_EQ(number.stream->EndGraph().status().code(), absl::StatusCode::kFailedPrecondition);
    ASSERT_TRUE(number.stream->Replay(*graph).ok());
    graph.reset();
    EXPECT_EQ(number.Value(), 12121212);
    ASSERT_TRUE(number.stream->BeginGraph().ok());  // and never ended
  }
}

TEST_F(RuntimeTest, ABlockMayHaveAllOfTheSharedMemory) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    const int most = runtime->properties().shared_bytes;
    EXPECT_GE(most, 96 << 10);
    for (const int bytes : {4096, 60 << 10, most}) {
      long long* const sum = reinterpret_cast<long long*>(number.pinned->data() + 16);  // a kernel writes to the host
      ASSERT_TRUE(TestedKernels().sum_in_shared(*number.stream, bytes, sum).ok()) << bytes;
      ASSERT_TRUE(number.stream->Wait().ok());
      const long long count = bytes / 4;
      EXPECT_EQ(*sum, count * (count - 1) / 2) << bytes;
    }
    EXPECT_EQ(TestedKernels().sum_in_shared(*number.stream, most + 1024, nullptr).code(),
              absl::StatusCode::kInvalidArgument);
    number.Append(1);  // and the stream goes on
    EXPECT_TRUE(number.stream->Wait().ok());
  }
}

TEST_F(RuntimeTest, MemoryGoesAfterTheWorkThatWasQueued) {
  for (const auto& runtime : runtimes_) {
    Number number(*runtime);
    ASSERT_TRUE(number.stream->Fill(number.at(), 0, sizeof(int)).ok());
    for (int round = 0; round < 10; ++round) {
      const size_t bytes = 32 << 20;
      std::unique_ptr<Memory> memory = *runtime->NewMemory(bytes);
      ASSERT_TRUE(number.stream->Fill(memory->data(), 1, bytes).ok());
      ASSERT_TRUE(number.stream->Copy(number.at(), memory->data() + bytes - sizeof(int), sizeof(int)).ok());
      memory.reset();
      EXPECT_EQ(number.Value(), 0x01010101);
    }
  }
}

TEST_F(RuntimeTest, MemoryThatIsNotThereIsAnAnswer) {
  for (const auto& runtime : runtimes_) {
    const size_t before = *runtime->FreeBytes();
    const absl::StatusOr<std::unique_ptr<Memory>> all = runtime->NewMemory(before + (size_t{1} << 40));
    EXPECT_EQ(all.status().code(), absl::StatusCode::kResourceExhausted) << all.status();
    Number number(*runtime);
    EXPECT_TRUE(number.stream->Fill(number.at(), 1, sizeof(int)).ok());
    EXPECT_EQ(number.Value(), 0x01010101);
    std::unique_ptr<Memory> nothing = *runtime->NewMemory(0);
    EXPECT_EQ(nothing->bytes(), 0u);
    EXPECT_TRUE(number.stream->Copy(nothing->data(), nothing->data(), 0).ok());
    EXPECT_TRUE(number.stream->Wait().ok());
  }
}

TEST_F(RuntimeTest, EachThreadHasTheDevice) {
  for (const auto& runtime : runtimes_) {
    std::vector<std::thread> threads;
    std::vector<int> values(4);
    for (int& value : values) {
      threads.emplace_back([&runtime, &value] {
        Number number(*runtime);
        EXPECT_TRUE(TestedKernels().set(*number.stream, number.at(), 4).ok());
        number.Append(2);
        value = number.Value();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(values, std::vector<int>(4, 42));
  }
}

}  // namespace
}  // namespace kedge::cuda
