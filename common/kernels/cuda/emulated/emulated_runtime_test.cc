// Streams, events, graphs and memory: what CUDA promises holds in every order, and what it does not promise does not.
#include "common/kernels/cuda/emulated/emulated_runtime.h"

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launch.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

__global__ void Set(int* at, int value) { *at = value; }
__global__ void AppendDigit(int* at, int digit) { *at = *at * 10 + digit; }

const std::vector<std::optional<uint64_t>> kSeeds = {std::nullopt, 1, 2, 3, 4, 5, 6, 7, 8};

struct Device {
  explicit Device(EmulatedOptions options = {}) : runtime(CreateEmulatedRuntime(std::move(options))) {
    memory = *runtime->NewMemory(64);
    pinned = *runtime->NewPinnedMemory(64);
    first = *runtime->NewStream();
    second = *runtime->NewStream();
  }
  int* at() { return reinterpret_cast<int*>(memory->data()); }
  int* host() { return reinterpret_cast<int*>(pinned->data()); }
  void Append(Stream& stream, int digit) { EXPECT_TRUE(Launch(stream, {}, AppendDigit, at(), digit).ok()); }
  int Value() {
    EXPECT_TRUE(first->Wait().ok());
    EXPECT_TRUE(second->Wait().ok());
    EXPECT_TRUE(first->Copy(host(), at(), 4).ok());
    EXPECT_TRUE(first->Wait().ok());
    return *host();
  }

  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<Memory> memory, pinned;
  std::unique_ptr<Stream> first, second;
};

TEST(EmulatedRuntime, AStreamKeepsItsOrder) {
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device({.seed = seed});
    EXPECT_TRUE(Launch(*device.first, {}, Set, device.at(), 1).ok());
    for (int digit = 2; digit <= 9; ++digit) device.Append(*device.first, digit);
    EXPECT_EQ(device.Value(), 123456789);
  }
}

// The digits that two streams append, with events between them or without.
int TwoStreams(std::optional<uint64_t> seed, bool has_events) {
  Device device({.seed = seed});
  std::unique_ptr<Event> event = *device.runtime->NewEvent();
  EXPECT_TRUE(device.first->Fill(device.at(), 0, 4).ok());
  Stream *from = device.first.get(), *to = device.second.get();
  for (int digit = 1; digit <= 6; ++digit) {
    device.Append(*from, digit);
    if (has_events) {
      EXPECT_TRUE(from->Record(*event).ok());  // one event for all: a wait is for the record before it
      EXPECT_TRUE(to->WaitFor(*event).ok());
    }
    std::swap(from, to);
  }
  return device.Value();
}

TEST(EmulatedRuntime, EventsOrderStreams) {
  for (const std::optional<uint64_t> seed : kSeeds) EXPECT_EQ(TwoStreams(seed, true), 123456);
}

TEST(EmulatedRuntime, WithoutEventsTheSeedOrdersThem) {
  if (emulated::HasThreadSanitizer()) GTEST_SKIP() << "a race on purpose; defects_test.cc has it for TSan";
  EXPECT_EQ(TwoStreams(std::nullopt, false), 123456);
  std::set<int> values;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(TwoStreams(seed, false), TwoStreams(seed, false));
    values.insert(TwoStreams(seed, false));
  }
  EXPECT_GT(values.size(), 5u);
}

TEST(EmulatedRuntime, CopiesTakeWhatIsThereWhenTheyAreDone) {
  if (emulated::HasThreadSanitizer()) GTEST_SKIP() << "a race on purpose";
  std::set<int> values;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Device device({.seed = seed});
    *device.host() = 1;
    EXPECT_TRUE(device.first->Copy(device.at(), device.host(), 4).ok());
    *device.host() = 2;  // too early
    values.insert(device.Value());
  }
  EXPECT_EQ(values, (std::set<int>{1, 2}));
}

TEST(EmulatedRuntime, EventsTellWhatIsDone) {
  std::set<bool> done;
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device({.seed = seed});
    std::unique_ptr<Event> begin = *device.runtime->NewEvent(), end = *device.runtime->NewEvent();
    EXPECT_TRUE(*end->IsDone());
    EXPECT_FALSE(end->Since(*begin).ok());
    EXPECT_TRUE(device.second->WaitFor(*end).ok());  // of nothing
    EXPECT_TRUE(device.first->Record(*begin).ok());
    EXPECT_TRUE(Launch(*device.first, {}, Set, device.at(), 3).ok());
    EXPECT_TRUE(device.first->Copy(device.host(), device.at(), 4).ok());
    EXPECT_TRUE(device.first->Record(*end).ok());
    done.insert(*end->IsDone());
    EXPECT_TRUE(end->Wait().ok());
    EXPECT_EQ(*device.host(), 3);
    EXPECT_TRUE(*end->IsDone());
    EXPECT_GE(*end->Since(*begin), absl::ZeroDuration());
  }
  EXPECT_EQ(done, (std::set<bool>{false, true}));
}

TEST(EmulatedRuntime, GraphsRunAgainWithTheirArguments) {
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device({.seed = seed});
    int digit = 1;
    EXPECT_TRUE(device.first->Fill(device.at(), 0, 4).ok());
    EXPECT_TRUE(device.first->BeginGraph().ok());
    device.Append(*device.first, digit++);
    device.Append(*device.first, digit++);
    EXPECT_TRUE(device.first->Copy(device.host() + 1, device.at(), 4).ok());
    const absl::StatusOr<std::unique_ptr<Graph>> graph = device.first->EndGraph();
    ASSERT_TRUE(graph.ok());
    EXPECT_EQ(device.Value(), 0);  // recorded, not done
    digit = 7;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(device.first->Replay(**graph).ok());
    EXPECT_EQ(device.Value(), 121212);
    EXPECT_EQ(device.host()[1], 121212);
  }
}

TEST(EmulatedRuntime, AStreamThatRecordsAGraphTakesNothingElse) {
  Device device;
  std::unique_ptr<Event> event = *device.runtime->NewEvent();
  EXPECT_EQ(device.first->EndGraph().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(device.first->BeginGraph().ok());
  EXPECT_EQ(device.first->Wait().message(), "Wait: the stream records a graph");
  EXPECT_FALSE(device.first->Record(*event).ok());
  EXPECT_FALSE(device.first->WaitFor(*event).ok());
  EXPECT_FALSE(device.first->BeginGraph().ok());
  EXPECT_TRUE(device.first->EndGraph().ok());
}

TEST(EmulatedRuntime, MemoryIsWhatThereIs) {
  Device device({.memory_bytes = 1064});
  EXPECT_EQ(*device.runtime->FreeBytes(), 1000u);
  std::unique_ptr<Memory> most = *device.runtime->NewMemory(600);
  const absl::Status status = device.runtime->NewMemory(401).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "NewMemory: 401 bytes, of the device's memory 400 are left");
  EXPECT_TRUE(device.runtime->NewPinnedMemory(5000).ok());
  most.reset();
  EXPECT_EQ(*device.runtime->FreeBytes(), 1000u);
}

TEST(EmulatedRuntime, MemoryGoesBehindTheWorkThatUsesIt) {
  for (const std::optional<uint64_t> seed : kSeeds) {
    Device device({.seed = seed});
    std::unique_ptr<Memory> memory = *device.runtime->NewMemory(4);
    int* at = reinterpret_cast<int*>(memory->data());
    EXPECT_TRUE(Launch(*device.first, {}, Set, at, 5).ok());
    EXPECT_TRUE(device.first->Copy(device.at(), at, 4).ok());
    memory.reset();
    EXPECT_EQ(device.Value(), 5);
  }
}

TEST(EmulatedRuntime, RefusesAddressesThatADeviceHasNot) {
  Device device;
  int mine = 0;
  EXPECT_EQ(device.first->Copy(device.at(), &mine, 4).message(),
            "Copy: `from` is memory neither of the device nor pinned");
  EXPECT_EQ(device.first->Copy(device.at() + 1, device.host(), 64).message(),
            "Copy: `to`: 64 bytes reach beyond a memory of 64 by offset 4");
  EXPECT_FALSE(device.first->Fill(&mine, 0, 4).ok());
  EXPECT_EQ(Launch(*device.first, {}, Set, &mine, 1).message(),
            "launch: pointer 0 of the arguments is memory neither of the device nor pinned");
  EXPECT_TRUE(Launch(*device.first, {}, Set, device.host(), 1).ok());
  EXPECT_TRUE(device.first->Wait().ok());
  EXPECT_EQ(*device.host(), 1);
  EXPECT_EQ(Launch(*device.first, {.block = {2048}}, Set, device.at(), 1).message(),
            "launch: block.x is 2048, must be in [1, 1024]");
}

TEST(EmulatedRuntime, EveryCallCanFail) {
  std::vector<std::string> calls;
  std::string failing;
  Device device({.fault = [&](absl::string_view call) {
    calls.emplace_back(call);
    return call == failing ? absl::InternalError("injected") : absl::OkStatus();
  }});
  std::unique_ptr<Event> event = *device.runtime->NewEvent();
  EXPECT_TRUE(device.first->BeginGraph().ok());
  const std::unique_ptr<Graph> graph = *device.first->EndGraph();
  const std::vector<std::pair<std::string, std::function<absl::Status()>>> all = {
      {"NewMemory", [&] { return device.runtime->NewMemory(1).status(); }},
      {"NewPinnedMemory", [&] { return device.runtime->NewPinnedMemory(1).status(); }},
      {"NewStream", [&] { return device.runtime->NewStream().status(); }},
      {"NewEvent", [&] { return device.runtime->NewEvent().status(); }},
      {"FreeBytes", [&] { return device.runtime->FreeBytes().status(); }},
      {"Copy", [&] { return device.first->Copy(device.at(), device.host(), 4); }},
      {"Fill", [&] { return device.first->Fill(device.at(), 9, 4); }},
      {"Launch", [&] { return Launch(*device.first, {}, Set, device.at(), 9); }},
      {"Record", [&] { return device.first->Record(*event); }},
      {"WaitFor", [&] { return device.first->WaitFor(*event); }},
      {"Wait", [&] { return device.first->Wait(); }},
      {"Wait", [&] { return event->Wait(); }},
      {"IsDone", [&] { return event->IsDone().status(); }},
      {"Replay", [&] { return device.first->Replay(*graph); }},
  };
  EXPECT_TRUE(device.first->Fill(device.at(), 0, 4).ok());
  for (const auto& [name, call] : all) {
    failing = name;
    EXPECT_EQ(call(), absl::InternalError("injected")) << name;
    EXPECT_EQ(calls.back(), name);
    failing.clear();
    EXPECT_EQ(device.Value(), 0) << name;  // nothing was done
    EXPECT_TRUE(call().ok()) << name;
    EXPECT_TRUE(device.first->Fill(device.at(), 0, 4).ok());
  }
}

}  // namespace
}  // namespace kedge::cuda
