// What a node answers, and that one flipped bit of its weights is another answer.
#include "common/engine/known_answers.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <set>

#include "common/engine/step_queue.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/hash_device.h"
#include "common/model/transformer.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kContext = 400;

std::vector<uint32_t> Ids(uint32_t count, uint32_t vocab_size, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<uint32_t> ids(count);
  for (uint32_t& id : ids) id = random() % vocab_size;
  return ids;
}

// As much of an engine as it takes.
absl::StatusOr<std::string> Answer(const std::vector<uint32_t>& ids, StepDevice* device, uint32_t rows_left = 1000) {
  PagePool pool(device->num_pages());
  KnownAnswers known(kContext, device, &pool);
  std::optional<absl::StatusOr<std::string>> answer;
  known.Add(ids, [&](absl::StatusOr<std::string> given) { answer = std::move(given); });
  while (!answer.has_value()) {
    EXPECT_TRUE(known.HasWork());
    std::vector<Slice> slices;
    known.AddSlice(std::min(rows_left, device->max_rows()), &slices);
    if (!slices.empty()) {
      const StepUnderWay step = LaunchStep(slices, absl::InfinitePast(), device);
      EXPECT_TRUE(KnownAnswers::Owns(step.parts[0]));
      known.Settle(step, step.parts[0], step.future->Wait());
    }
    known.Finish(/*wait=*/true);
  }
  EXPECT_FALSE(known.HasWork());
  EXPECT_EQ(pool.num_free(), pool.num_pages());
  return *answer;
}

TEST(KnownAnswersTest, AnAnswerDependsOnTheIdsAloneAndNotOnHowTheyWereCut) {
  std::set<std::string> answers;
  for (const uint32_t rows : {1000u, 64u, 7u, 1u}) {
    HashDevice device({.num_pages = 40, .max_rows = 64, .vocab_size = 90});
    answers.insert(Answer(Ids(200, 90), &device, rows).value());
  }
  EXPECT_EQ(answers.size(), 1u);
  HashDevice device({.num_pages = 40, .max_rows = 64, .vocab_size = 90});
  for (const uint32_t seed : {2, 3}) answers.insert(Answer(Ids(200, 90, seed), &device).value());
  std::vector<uint32_t> ids = Ids(200, 90);
  ids[0] ^= 1;
  answers.insert(Answer(ids, &device).value());
  EXPECT_EQ(answers.size(), 4u);
}

TEST(KnownAnswersTest, WhatCannotBeAnsweredIsSaid) {
  HashDevice device({.num_pages = 40, .max_rows = 64, .vocab_size = 90});
  const auto error = [&](const std::vector<uint32_t>& ids) { return Answer(ids, &device).status(); };
  EXPECT_EQ(error({}), absl::InvalidArgumentError("ids: none are given"));
  EXPECT_EQ(error({1, 90}), absl::InvalidArgumentError("ids[1]: 90 is not below the vocabulary's size 90"));
  EXPECT_EQ(error(Ids(257, 90)), absl::InvalidArgumentError("ids: 257 are more than 256"));
  HashDevice small({.num_pages = 2, .max_rows = 64, .vocab_size = 90});
  EXPECT_EQ(Answer(Ids(200, 90), &small).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(KnownAnswersTest, WaitsForRoomAndRefusesTooManyAtOnce) {
  HashDevice device({.num_pages = 40, .max_rows = 64, .vocab_size = 90});
  PagePool pool(device.num_pages());
  KnownAnswers known(kContext, &device, &pool);
  std::vector<absl::Status> given;
  std::optional<PageLease> all = pool.Reserve(40).value();
  for (size_t i = 0; i <= KnownAnswers::kMostQuestions; ++i) {
    known.Add(Ids(3, 90), [&](const absl::StatusOr<std::string>& answer) { given.push_back(answer.status()); });
  }
  ASSERT_EQ(given.size(), 1u);
  EXPECT_EQ(given[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(known.HasWork());
  std::vector<Slice> slices;
  known.AddSlice(64, &slices);
  EXPECT_TRUE(slices.empty());
  all.reset();
  EXPECT_TRUE(known.HasWork());
  known.AddSlice(64, &slices);
  EXPECT_EQ(slices.size(), 1u);
}

// Wherever it is: the known answer is what finds a wrong file, a stale image of packed weights and bad memory.
TEST(KnownAnswersTest, OneFlippedBitOfAnyWeightIsAnotherAnswer) {
  const std::string bytes = MakeTinyModel({});
  const auto device = [](const std::string& bytes) {
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    return TransformerDevice::Create(GgufFile::Parse(absl::MakeConstSpan(data, bytes.size()), "tiny").value(),
                                     CreateCpuOps({.threads = 1}), KvType::kF32, 1 << 20, 64)
        .value();
  };
  const std::unique_ptr<StepDevice> whole = device(bytes);
  std::vector<uint32_t> ids(whole->vocab_size());  // all of them, so that all rows of the embedding are looked at
  for (uint32_t i = 0; i < ids.size(); ++i) ids[i] = i;
  std::vector<std::vector<uint32_t>> questions;
  for (size_t begin = 0; begin < ids.size(); begin += 200) {
    questions.emplace_back(ids.begin() + begin, ids.begin() + std::min(begin + 200, ids.size()));
  }
  const auto answers = [&](StepDevice* of) {
    std::vector<std::string> all;
    for (const std::vector<uint32_t>& question : questions) all.push_back(Answer(question, of).value());
    return all;
  };
  const std::vector<std::string> expected = answers(whole.get());
  const auto file =
      GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny").value();
  std::mt19937 random(5);
  for (const GgufTensor& tensor : file->tensors()) {
    std::string flipped = bytes;
    const size_t element = random() % (tensor.data.size() / 4);  // tensors are F32: the lowest bit but some of the mantissa
    const size_t at = tensor.data.data() - reinterpret_cast<const uint8_t*>(bytes.data()) + 4 * element + 1;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x40);
    EXPECT_NE(answers(device(flipped).get()), expected) << tensor.name;
  }
}

}  // namespace
}  // namespace kedge
