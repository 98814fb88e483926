// The central claim on real arithmetic: whole = steps = split to the bit, on `cpu` with all instructions that the
// machine has, mixed, and `deferred`, for every weight type, head layout and KV type, whatever the policy, the chunks
// and the point where the prompt is cut; and `cpu` agrees with the slow, obvious `reference`.
#include <cmath>
#include <deque>
#include <iterator>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/engine/prefix_cache.h"
#include "common/engine/score.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/engine/testing.h"
#include "common/kernels/create_ops.h"
#include "common/kv/held_rows.h"
#include "common/kv/page_pool.h"
#include "common/model/model_files.h"
#include "common/node/load_model.h"
#include "common/testing/gguf_writer.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "tests/golden_bits.h"

namespace kedge {
namespace {

const SalienceHeads& kHeads = kGoldenHeads;

struct Model {
  explicit Model(const TinyModelOptions& options) : bytes(MakeTinyModel(options)) {
    file = GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), "tiny")
               .value();
    vocab_size = static_cast<uint32_t>(LoadConfig(*file)->vocab_size);
  }
  std::unique_ptr<StepDevice> Device(const std::string& backend, KvType kv_type, int threads = 2) const {
    return MakeDevice(file, {.backend = backend, .kv_type = kv_type, .threads = threads, .kv_bytes = 8 << 20}).value();
  }
  std::string bytes;
  std::shared_ptr<const GgufFile> file;
  uint32_t vocab_size = 0;
};

// All that compute in class cpu-1: the cpu backend with any instructions that this machine has, and devices.
std::vector<std::string> BackendsOfTheClass() {
  std::vector<std::string> backends = Backends();
  std::erase_if(backends, [](const std::string& name) { return name == "cpu" || name == "reference"; });
  return backends;
}
std::string AnyBackend(std::mt19937& random) {
  const std::vector<std::string> backends = BackendsOfTheClass();
  return backends[random() % backends.size()];
}

class EqualityTest : public testing::TestWithParam<int> {
 protected:
  EqualityTest() : model_(GoldenModels()[GetParam()]) {}
  Model model_;
};

INSTANTIATE_TEST_SUITE_P(Models, EqualityTest, testing::Range(0, static_cast<int>(GoldenModels().size())));

TEST_P(EqualityTest, WholeStepsAndSplitAgreeToTheBit) {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(1000 * GetParam() + seed);
    const KvType kv_type = kKvTypes[random() % std::size(kKvTypes)];
    const Content content = RandomContent(model_.vocab_size, 120, random);
    SCOPED_TRACE(CanonicalPolicy(content.policy));
    const uint32_t size = static_cast<uint32_t>(content.ids.size());
    const uint32_t least = content.policy.prefill_full ? std::max(content.prompt_length, 1u) - 1 : 0;
    const std::string backends[] = {seed % 2 ? "deferred" : AnyBackend(random), AnyBackend(random)};
    SCOPED_TRACE(absl::StrCat(backends[0], " and ", backends[1]));
    const auto first = model_.Device(backends[0], kv_type);
    const auto second = model_.Device(backends[1], kv_type, 1);  // other threads and instructions, same bits
    const Score whole = ScoreWhole(content, kHeads, first.get()).value();
    const Score steps = ScoreSteps(content, kHeads, second.get()).value();
    ASSERT_EQ(whole.logprobs, steps.logprobs);
    ASSERT_EQ(whole.kept_rows, steps.kept_rows);
    for (int cut = 0; cut < 3; ++cut) {
      const Score split = ScoreSplit(content, kHeads, least + random() % (size + 1 - least), 1 + random() % 40, "tiny",
                                     first.get(), second.get())
                              .value();
      ASSERT_EQ(whole.logprobs, split.logprobs);
    }
  }
}

// Chunk edges and cuts inside a sequence, at an anchor and right after one, one by one.
TEST_P(EqualityTest, EveryCutOfOneTextAgrees) {
  Content content{.policy = {.anchors = {20}, .longest = 9, .sinks = 1, .recent = 3}};
  // Begins with an anchor, has two in a row, one by `longest`, and ends with one.
  for (uint32_t id : {20, 30, 31, 20, 20, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 20, 43, 44, 20}) {
    content.ids.push_back(id);
  }
  content.prompt_length = 12;
  const auto first = model_.Device("cpu", KvType::kF16);
  const auto second = model_.Device("deferred", KvType::kF16);
  for (const Policy::View view : {Policy::View::kOwn, Policy::View::kAll}) {
    content.policy.view = view;
    const Score whole = ScoreWhole(content, kHeads, first.get()).value();
    for (uint32_t split = 0; split <= content.ids.size(); ++split) {
      for (const uint32_t chunk : {1u, 4u, 7u}) {
        ASSERT_EQ(whole.logprobs,
                  ScoreSplit(content, kHeads, split, chunk, "tiny", first.get(), second.get())->logprobs)
            << "split " << split << " chunk " << chunk;
      }
    }
  }
}

// A request's rows have the same bits alone and in any company.
TEST_P(EqualityTest, CompanyInTheBatchChangesNothing) {
  std::mt19937 random(GetParam());
  const std::string backend = GetParam() % 2 ? "deferred" : AnyBackend(random);
  SCOPED_TRACE(backend);
  const auto device = model_.Device(backend, KvType::kF16);
  PagePool pool(device->num_pages());
  std::vector<Content> contents;
  std::vector<std::vector<std::vector<float>>> alone;  // [request][row] logits
  for (int i = 0; i < 6; ++i) {
    contents.push_back(RandomContent(model_.vocab_size, 60, random));
    std::vector<std::vector<float>>& rows = alone.emplace_back();
    Sequence sequence(contents.back(), pool.Reserve(PagesFor(contents.back(), 0, 1, 0)).value(), &kHeads);
    while (sequence.pending() > 0) {
      const Slice slice{&sequence, 1, WantedLogits::kAll};
      const auto step = LaunchStep({slice}, device.get());
      ASSERT_TRUE(step->Wait().ok());
      rows.emplace_back(step->Logits(0).begin(), step->Logits(0).end());
      ASSERT_TRUE(FinishStep({slice}, step.get(), device.get()).ok());
      sequence.DropUnseen();
    }
  }
  std::vector<std::unique_ptr<Sequence>> together;
  for (const Content& content : contents) {
    together.push_back(std::make_unique<Sequence>(content, pool.Reserve(PagesFor(content, 0, 20, 0)).value(), &kHeads));
  }
  for (bool more = true; more;) {
    more = false;
    std::vector<Slice> slices;
    std::vector<std::pair<size_t, uint32_t>> wanted;  // request, row
    for (size_t i = 0; i < together.size(); ++i) {
      const uint32_t rows = std::min<uint32_t>(together[i]->ready(), random() % 20);
      more |= together[i]->pending() > 0;
      if (rows == 0) continue;
      slices.push_back({together[i].get(), rows, WantedLogits::kAll});
      for (uint32_t row = 0; row < rows; ++row) wanted.emplace_back(i, together[i]->position() + row);
    }
    if (slices.empty()) continue;
    const auto step = LaunchStep(slices, device.get());
    ASSERT_TRUE(step->Wait().ok());
    for (size_t k = 0; k < wanted.size(); ++k) {
      const auto [request, row] = wanted[k];
      const std::vector<float> logits(step->Logits(k).begin(), step->Logits(k).end());
      ASSERT_EQ(logits, alone[request][row]) << "request " << request << " row " << row;
    }
    ASSERT_TRUE(FinishStep(slices, step.get(), device.get()).ok());
    for (const auto& sequence : together) sequence->DropUnseen();
  }
}

// The bits of class cpu-1 are a promise to whoever goes on from rows that another version has computed: they stay what
// they were, on every machine. A change here is a new numerics class.
TEST_P(EqualityTest, BitsAreThoseOfTheNumericsClass) {
  constexpr uint64_t kGolden[][std::size(kKvTypes)] = {
      {0xf9d74f2631a93cd4u, 0xca2d1b6c977e77c7u, 0xa4c1d101f67cf29au, 0x43aab7243a3a7a2cu,
       0xe8074a7088aa3082u},
      {0x8bca7cbebb0f05dcu, 0x487d707e0f1fe9e1u, 0x302bbb25134453d1u, 0x2b5cc00ed6d948eeu,
       0xd0be7e847483316fu},
      {0xe078d4c95af891fdu, 0x0a1c1502219ebd84u, 0x3caca9592c3fa70eu, 0x00cd09576a54abb4u,
       0x5bb2cd9c68136228u},
      {0xf98ae36eaf35e771u, 0x763c25aec6e5155du, 0xffa21029369f992eu, 0x6709f15e2e8db0acu,
       0x023d4b1e0702fffdu},
      {0x5e0cb3ca580921dbu, 0xca199ccf27cbdef0u, 0x34a300a1f985b282u, 0xf0aff5fd905996aau,
       0x9d574387b4aaacbfu},
      {0xe146b3eb8f5956f2u, 0xdc6c66be47aaa018u, 0x7ef584429b5ac280u, 0x9041d4747c856bc2u,
       0x0edafa5a02ee51e3u},
      {0x0817abfcce238410u, 0xb65fbbfa62d99847u, 0x61f1aca6fe94cae4u, 0xf6958faa1ae3a46bu,
       0x285d1cc36b00c28au},
      {0x7bd6fe9215a6f621u, 0x865fea37863c34d7u, 0xefd221adc6878d45u, 0x18b9a7cdc35f96c7u,
       0x121545158b9b9987u},
      {0xf3e482438d319e3fu, 0x465593c9e362290au, 0x7cca36016253c6beu, 0x226a4edc20e036c8u,
       0xbb21f5f570f5ab17u},
      {0x72dc4dd4dcee5f22u, 0x448a26f2eea2375bu, 0xd04fb9d61b1017ecu, 0xcd1678c9c353ab12u,
       0x45a4f2f3d5c2d5a9u},
      {0xd4ff9d081ee70729u, 0x5fabe8fecb637381u, 0x5ec9f788da6d8acfu, 0x7c47c2e65794e8c1u,
       0x0132cb9faa28ed2fu},
      {0xec83be5026b1e2a5u, 0xbf7868bc4167c299u, 0x613132f2ef33127du, 0x16fcd44dc2fdcd7au,
       0x6faba3227aaddf1fu},
  };  // [model][kKvTypes]
  for (const std::string& backend : BackendsOfTheClass()) {
    for (size_t type = 0; type < std::size(kKvTypes); ++type) {
      // An emulated device takes a second for what a processor does in a millisecond.
      if (backend == "cuda-emulated" && type != GetParam() % std::size(kKvTypes)) continue;
      const auto device = model_.Device(backend, kKvTypes[type]);
      ASSERT_EQ(device->numerics_class(), "cpu-1.73e9a5b5");
      uint64_t hash = 0;
      for (const Content& content : GoldenContents(model_.vocab_size)) {
        hash = hash * 31 + TrailsOfBits({content}, 1, device.get())->at(0).back();
      }
      EXPECT_EQ(hash, kGolden[GetParam()][type])
          << backend << " " << KvTypeName(kKvTypes[type]) << absl::StrFormat(" 0x%016x", hash);
    }
  }
}

// A row of an answer has the bits that it would have as part of a prompt, if the device says so.
TEST_P(EqualityTest, RolesAgreeAsStated) {
  for (uint32_t seed = 0; seed < 6; ++seed) {
    std::mt19937 random(77 * GetParam() + seed);
    Content content = RandomContent(model_.vocab_size, 150, random);
    content.policy.prefill_full = content.policy.write_full = false;
    content.policy.salient_millionths = 0;
    content.policy.text_anchors = false;  // only prompts have those
    content.sequence_ends.clear();
    content.turn_begin = 0;
    content.pinned.clear();
    const std::string backend = seed % 2 ? "deferred" : AnyBackend(random);
    SCOPED_TRACE(backend);
    const auto device = model_.Device(backend, KvType::kF16);
    content.prompt_length = static_cast<uint32_t>(content.ids.size());
    const std::vector<double> as_prompt = ScoreWhole(content, kHeads, device.get())->logprobs;
    content.prompt_length = 1;
    const std::vector<double> as_answer = ScoreSteps(content, kHeads, device.get())->logprobs;
    ASSERT_TRUE(!device->roles_agree() || as_prompt == as_answer) << CanonicalPolicy(content.policy);
  }
}

// Whoever goes on from stored rows computes the bits of whoever computes all rows.
TEST_P(EqualityTest, AHitGivesTheSameBits) {
  uint32_t hits = 0;
  for (uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(3000 * GetParam() + seed);
    const Content content = RandomContent(model_.vocab_size, 150, random);
    SCOPED_TRACE(CanonicalPolicy(content.policy));
    const std::string backend = seed % 2 ? "deferred" : AnyBackend(random);
    SCOPED_TRACE(backend);
    const auto device = model_.Device(backend, KvType::kF16);
    PagePool pool(device->num_pages());
    PrefixCache cache({.fingerprint = "tiny", .max_pages = pool.num_pages() / 2}, &kHeads, device.get(), &pool);
    // The logits of every row, by position, from where the sequence begins.
    const auto run = [&](const std::optional<CachedPrefix>& hit, bool store) {
      std::map<uint32_t, std::vector<float>> rows;
      Sequence sequence(content, pool.Reserve(PagesFor(content, 0, 20, 0)).value(), &kHeads);
      const auto computation = cache.Start(&sequence, hit);
      while (sequence.pending() > 0) {
        const uint32_t first = sequence.position();
        const Slice slice{&sequence, std::min<uint32_t>(computation->ready(), 1 + random() % 20), WantedLogits::kAll};
        const auto step = LaunchStep({slice}, device.get());
        EXPECT_TRUE(step->Wait().ok());
        for (uint32_t row = first; row < sequence.position(); ++row) {
          rows[row] = {step->Logits(row - first).begin(), step->Logits(row - first).end()};
        }
        EXPECT_TRUE(FinishStep({slice}, step.get(), device.get()).ok());
        computation->Settle();
        if (store) computation->StoreHere();
        sequence.DropUnseen();
      }
      return rows;
    };
    const auto cold = run(std::nullopt, true);
    for (uint32_t most = static_cast<uint32_t>(content.ids.size()); most > 0;) {
      const std::optional<CachedPrefix> hit = cache.Find(content, most);
      if (!hit.has_value()) break;
      ++hits;
      for (const auto& [position, logits] : run(hit, false)) ASSERT_EQ(logits, cold.at(position)) << position;
      most = hit->rows.end - std::min<uint32_t>(hit->rows.end, 1 + random() % 40);
    }
  }
  EXPECT_GT(hits, 10u);
}

// A state whose rows were held in part gives the bits of one that came whole, and of one pass.
TEST_P(EqualityTest, HeldRowsGiveTheSameBits) {
  uint32_t held_rows = 0;
  for (uint32_t seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(4000 * GetParam() + seed);
    const std::string backends[] = {seed % 2 ? "deferred" : AnyBackend(random), AnyBackend(random)};
    SCOPED_TRACE(absl::StrCat(backends[0], " and ", backends[1]));
    const auto first = model_.Device(backends[0], KvType::kF16), second = model_.Device(backends[1], KvType::kF16);
    HeldRows held({.fingerprint = "tiny"}, 1 << 20);
    Content content = RandomTurn({}, model_.vocab_size, 120, random);
    for (int turn = 0; turn < 8; ++turn) {
      SCOPED_TRACE(CanonicalPolicy(content.policy));
      const uint32_t split = std::max(content.prompt_length, 1u) - 1;
      const Score score =
          ScoreSplit(content, kHeads, split, 1 + random() % 40, "tiny", first.get(), second.get(), &held).value();
      ASSERT_EQ(score.logprobs, ScoreWhole(content, kHeads, first.get())->logprobs);
      held_rows += score.held_rows;
      content = RandomTurn(content, model_.vocab_size, 120, random);
    }
  }
  EXPECT_GT(held_rows, 10u);
}

// Writes an answer, each row launched when the token before it is known, or one step ahead of that where the policy
// lets it. `ahead`: how many were.
std::vector<uint32_t> Write(const Content& prompt, uint32_t count, StepDevice* device, uint32_t* ahead) {
  PagePool pool(device->num_pages());
  Sequence sequence(prompt, pool.Reserve(PagesFor(prompt, 0, 20, count)).value(), &kHeads);
  std::vector<uint32_t> written;
  std::deque<StepUnderWay> under_way;
  const auto launch = [&](uint32_t rows, size_t position, std::optional<uint32_t> chosen_before) {
    const Slice slice{.sequence = &sequence,
                      .rows = rows,
                      .choice = TokenChoice{.seed = 3, .position = static_cast<uint32_t>(position)},
                      .chosen_before = chosen_before};
    under_way.push_back(LaunchStep({slice}, absl::InfinitePast(), device));
  };
  while (written.size() < count) {
    if (sequence.ready() > 0) launch(std::min(sequence.ready(), 20u), written.size(), std::nullopt);
    const std::optional<uint32_t> output = under_way.back().parts[0].output;
    if (ahead != nullptr && output.has_value() && written.size() + 1 < count && sequence.KnowsNext()) {
      launch(1, written.size() + 1, output);
      ++*ahead;
    }
    const StepUnderWay step = std::move(under_way.front());
    under_way.pop_front();
    EXPECT_TRUE(step.future->Wait().ok());
    EXPECT_TRUE(SettlePart(step, step.parts[0], &sequence, device).ok());
    if (step.parts[0].output.has_value()) {
      written.push_back(step.future->Token(0).value());
      sequence.Append(written.back());
    }
    if (!sequence.is_under_way()) sequence.DropUnseen();
  }
  return written;
}

TEST_P(EqualityTest, AnAnswerIsTheSameOneStepAhead) {
  uint32_t ahead = 0;
  for (uint32_t seed = 0; seed < 12; ++seed) {
    std::mt19937 random(5000 * GetParam() + seed);
    Content content = RandomContent(model_.vocab_size, 100, random);
    content.prompt_length = static_cast<uint32_t>(content.ids.size());
    SCOPED_TRACE(CanonicalPolicy(content.policy));
    const auto in_turn = model_.Device(AnyBackend(random), KvType::kF16);
    const auto deferred = model_.Device("deferred", KvType::kF16);
    ASSERT_EQ(Write(content, 40, in_turn.get(), nullptr), Write(content, 40, deferred.get(), &ahead));
  }
  EXPECT_GT(ahead, 100u);
}

// A merged adapter is the same model, to the bit, as a base that was written with the merged weights.
TEST(AdapterEqualityTest, AMergedAdapterEqualsAMergedBase) {
  for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0}) {  // types that merging keeps: same bytes, moved
    const TinyModelOptions options{.seed = 8, .weight_type = type};
    const Model base(options);
    const std::string adapter_bytes = MakeTinyAdapter(options, {});
    const auto adapter =
        LoraAdapter::Create(GgufFile::Parse(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(adapter_bytes.data()),
                                                                adapter_bytes.size()),
                                            "adapter")
                                .value())
            .value();
    ASSERT_TRUE(adapter->CheckFits(*base.file).ok());
    Model merged(options);
    for (const auto& [name, pair] : adapter->pairs()) {
      const GgufTensor& w = *merged.file->FindTensor(name);
      const size_t inputs = w.shape[0], outputs = w.shape[1], rank = pair.rank();
      std::vector<float> values = Dequantize(w.type, w.data, inputs * outputs);
      const std::vector<float> a = Dequantize(pair.a->type, pair.a->data, rank * inputs);
      const std::vector<float> b = Dequantize(pair.b->type, pair.b->data, outputs * rank);
      for (size_t i = 0; i < outputs; ++i) {
        for (size_t j = 0; j < inputs; ++j) {
          float sum = 0;
          for (size_t k = 0; k < rank; ++k) sum += b[i * rank + k] * a[k * inputs + j];
          values[i * inputs + j] += adapter->alpha() / static_cast<float>(rank) * sum;
        }
      }
      const std::string bytes = Quantize(w.type, values);
      ASSERT_EQ(bytes.size(), w.data.size());
      const size_t at = w.data.data() - merged.file->bytes().data();
      merged.bytes.replace(at, bytes.size(), bytes);  // of the same length: `merged.file` sees it
    }
    std::mt19937 random(8);
    const Content content = RandomContent(base.vocab_size, 120, random);
    const auto score = [&](const ModelFiles& files) {
      const auto device = MakeDevice(files, {.threads = 2, .kv_bytes = 8 << 20}).value();
      return ScoreWhole(content, kHeads, device.get())->logprobs;
    };
    const std::vector<double> adapted = score(ModelFiles(base.file, adapter));
    EXPECT_EQ(adapted, score(merged.file));
    EXPECT_NE(adapted, score(base.file));
  }
}

TEST_P(EqualityTest, CpuAgreesWithTheReference) {
  const TinyModelOptions options = GoldenModels()[GetParam()];
  const bool quantized = BlockSize(options.weight_type) > 1;
  double worst = 0;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    std::mt19937 random(500 + seed);
    Content content = RandomContent(model_.vocab_size, 60, random);
    const std::string backend = AnyBackend(random);
    SCOPED_TRACE(backend);
    const auto cpu = model_.Device(backend, KvType::kF32);
    const auto reference = model_.Device("reference", KvType::kF32);
    const Score a = ScoreWhole(content, kHeads, cpu.get()).value();
    content.salient = a.salient;  // where attention nearly ties, the two may choose otherwise
    const Score b = ScoreWhole(content, kHeads, reference.get()).value();
    for (size_t i = 0; i < a.logprobs.size(); ++i) worst = std::max(worst, std::abs(a.logprobs[i] - b.logprobs[i]));
  }
  // Quantized weights meet activations rounded to int8, an error of up to 1/254 of a block's largest value in each of
  // seven products a layer; on these models' logits, which spread over several nats, that stays below half a nat.
  EXPECT_LT(worst, quantized ? 0.5 : 1e-4);
}

}  // namespace
}  // namespace kedge
