// The cpu backend against the reference, with bounds derived beside them, and against itself to the bit: other threads,
// instruction sets and numbers of rows change nothing.
#include "common/kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/kernels/choose_token.h"
#include "common/kernels/reference/reference_ops.h"
#include "common/kernels/testing.h"
#include "common/testing/gguf_writer.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0,
                                    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
constexpr double kHalfUnit = 1.0 / (1 << 24);  // relative error of one rounding to float

std::vector<float> RandomFloats(std::mt19937& random, size_t count, float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

absl::Span<const uint8_t> Bytes(const std::string& data) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(data.data()), data.size());
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Every way to run that must give the same bits.
std::vector<std::unique_ptr<HostOps>> AllCpuOps() {
  std::vector<std::unique_ptr<HostOps>> all;
  for (InstructionSet set : kInstructionSets) {
    if (!IsAvailable(set)) continue;
    for (int threads : {1, 2, 3}) all.push_back(CreateCpuOps({.threads = threads, .instruction_set = set}));
  }
  return all;
}

// [rows, outputs] = x [rows, inputs] * weights.
std::vector<float> Product(HostOps& ops, TensorType type, const std::string& weights, int outputs, int inputs,
                           const std::vector<float>& x) {
  const int rows = static_cast<int>(x.size()) / inputs;
  const std::unique_ptr<WeightMatrix> matrix = *ops.LoadMatrix(type, outputs, inputs, Bytes(weights));
  const std::unique_ptr<Activations> in = Upload(ops, x, inputs);
  const std::unique_ptr<Activations> out = ops.NewActivations(rows, outputs);
  ops.MatMul(rows, *in, *matrix, *out);
  return Download(ops, *out, rows, outputs);
}

TEST(CpuOpsTest, ProductsAgreeWithTheReference) {
  std::mt19937 random(1);
  const std::unique_ptr<HostOps> cpu = CreateCpuOps({.threads = 2});
  const std::unique_ptr<HostOps> reference = CreateReferenceOps();
  for (TensorType type : kAllTypes) {
    for (int inputs : {32, 256, BlockSize(type) == 1 ? 37 : 160, 512}) {
      if (inputs % BlockSize(type) != 0) continue;
      const int outputs = 43;
      const int rows = 5;
      const std::vector<float> values = RandomFloats(random, outputs * inputs);
      const std::string data = Quantize(type, values);
      const std::vector<float> weights = Dequantize(type, data, values.size());
      const std::vector<float> x = RandomFloats(random, rows * inputs, 2);
      const std::vector<float> actual = Product(*cpu, type, data, outputs, inputs, x);
      const std::vector<float> expected = Product(*reference, type, data, outputs, inputs, x);
      for (int r = 0; r < rows; ++r) {
        for (int o = 0; o < outputs; ++o) {
          double bound = 0;
          double magnitudes = 0;
          for (int i = 0; i < inputs; ++i) magnitudes += std::abs(double{weights[o * inputs + i]} * x[r * inputs + i]);
          if (BlockSize(type) == 1) {
            bound = inputs * kHalfUnit * magnitudes;  // one rounding per term
          } else {
            // An activation is off by at most half a step of its block, each block adds four roundings.
            for (int b = 0; b < inputs; b += 32) {
              float largest = 0;
              double weight_sum = 0;
              for (int i = b; i < b + 32; ++i) {
                largest = std::max(largest, std::abs(x[r * inputs + i]));
                weight_sum += std::abs(weights[o * inputs + i]);
              }
              bound += 0.5001 * largest / 127 * weight_sum;
            }
            // Product and minimum may be larger than their sum: at most 31 steps plus the minimum.
            bound += (inputs / 32 + 4) * 4 * kHalfUnit * magnitudes * 32;
          }
          ASSERT_NEAR(actual[r * outputs + o], expected[r * outputs + o], bound + kHalfUnit * magnitudes)
              << TensorTypeName(type) << " inputs " << inputs << " row " << r << " output " << o;
        }
      }
    }
  }
}

TEST(CpuOpsTest, RowsDoNotDependOnTheirCompany) {
  std::mt19937 random(2);
  for (InstructionSet set : kInstructionSets) {
    if (!IsAvailable(set)) continue;
    const std::unique_ptr<HostOps> ops = CreateCpuOps({.threads = 2, .instruction_set = set});
    for (TensorType type : kAllTypes) {
      const int inputs = std::max(64, BlockSize(type));
      const int outputs = 27;
      const std::string data = Quantize(type, RandomFloats(random, outputs * inputs));
      const std::vector<float> x = RandomFloats(random, 37 * inputs);
      std::vector<float> one_by_one;
      for (int r = 0; r < 37; ++r) {
        const std::vector<float> row(x.begin() + r * inputs, x.begin() + (r + 1) * inputs);
        const std::vector<float> out = Product(*ops, type, data, outputs, inputs, row);
        one_by_one.insert(one_by_one.end(), out.begin(), out.end());
      }
      for (int rows = 1; rows <= 37; ++rows) {
        const std::vector<float> first(x.begin(), x.begin() + rows * inputs);
        const std::vector<float> expected(one_by_one.begin(), one_by_one.begin() + rows * outputs);
        ASSERT_TRUE(SameBits(Product(*ops, type, data, outputs, inputs, first), expected))
            << TensorTypeName(type) << " rows " << rows;
      }
    }
  }
}

// Of one, three and five panels, so that pairs of panels end within a product.
TEST(CpuOpsTest, SeveralProductsAtOnceAreThoseOfEach) {
  std::mt19937 random(4);
  constexpr int kInputs = 512;
  for (const std::unique_ptr<HostOps>& ops : AllCpuOps()) {
    for (int rows : {1, 9, 40}) {
      const std::vector<float> x = RandomFloats(random, rows * kInputs, 2);
      const std::unique_ptr<Activations> in = Upload(*ops, x, kInputs);
      std::vector<std::string> weights;
      std::vector<std::unique_ptr<WeightMatrix>> matrices;
      std::vector<std::unique_ptr<Activations>> outs;
      std::vector<Ops::Product> products;
      for (int outputs : {16, 48, 80}) {
        weights.push_back(Quantize(TensorType::kQ4_1, RandomFloats(random, outputs * kInputs)));
        matrices.push_back(*ops->LoadMatrix(TensorType::kQ4_1, outputs, kInputs, Bytes(weights.back())));
        outs.push_back(ops->NewActivations(rows, outputs));
        products.push_back({matrices.back().get(), outs.back().get()});
      }
      ops->MatMul(rows, *in, products);
      for (size_t i = 0; i < products.size(); ++i) {
        const int outputs = std::vector{16, 48, 80}[i];
        ASSERT_TRUE(SameBits(Download(*ops, *outs[i], rows, outputs),
                             Product(*ops, TensorType::kQ4_1, weights[i], outputs, kInputs, x)))
            << rows << " rows, product " << i;
      }
    }
  }
}

// Large enough that all threads take part.
TEST(CpuOpsTest, ThreadsAndInstructionSetsGiveTheSameBits) {
  std::mt19937 random(3);
  const int rows = 70;
  const int columns = 1024;
  const int outputs = 100;
  const std::vector<float> x = RandomFloats(random, rows * columns, 2);
  const std::vector<float> y = RandomFloats(random, rows * columns, 5);
  const std::vector<float> norm = RandomFloats(random, columns);
  std::vector<float> frequencies(16);
  for (int i = 0; i < 16; ++i) frequencies[i] = std::exp2(-static_cast<float>(i) / 2);
  std::vector<uint32_t> positions(rows);
  for (int r = 0; r < rows; ++r) positions[r] = static_cast<uint32_t>(r * 97);

  std::vector<std::string> weights;
  for (TensorType type : kAllTypes) weights.push_back(Quantize(type, RandomFloats(random, outputs * columns)));

  std::vector<std::vector<float>> expected;
  for (const std::unique_ptr<HostOps>& ops : AllCpuOps()) {
    std::vector<std::vector<float>> results;
    for (size_t i = 0; i < weights.size(); ++i) {
      results.push_back(Product(*ops, kAllTypes[i], weights[i], outputs, columns, x));
    }
    const std::unique_ptr<Activations> a = Upload(*ops, x, columns);
    const std::unique_ptr<Activations> b = Upload(*ops, y, columns);
    const std::unique_ptr<Activations> out = ops->NewActivations(rows, columns);
    ops->RmsNorm(rows, *a, **ops->LoadVector(norm), 1e-5f, *out);
    results.push_back(Download(*ops, *out, rows, columns));
    const std::unique_ptr<WeightVector> table = *ops->LoadVector(frequencies);
    ops->Rope(*ops->Begin(PlanOfPositions(positions)), 32, {32, table.get(), 1.25f}, *a);
    results.push_back(Download(*ops, *a, rows, columns));
    ops->SwiGlu(rows, *a, *b);
    results.push_back(Download(*ops, *b, rows, columns));
    ops->Add(rows, *out, *b);
    results.push_back(Download(*ops, *b, rows, columns));
    ops->RmsNormHeads(rows, 32, **ops->LoadVector(absl::MakeConstSpan(norm).first(32)), 1e-5f, *b);
    results.push_back(Download(*ops, *b, rows, columns));
    if (expected.empty()) expected = results;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(SameBits(results[i], expected[i])) << "operation " << i;
  }
}

TEST(CpuOpsTest, RowOperationsAgreeWithTheReference) {
  std::mt19937 random(4);
  for (int columns : {16, 40, 50, 576}) {
    const int rows = 9;
    const std::vector<float> x = RandomFloats(random, rows * columns, 2);
    const std::vector<float> y = RandomFloats(random, rows * columns, 3);
    const std::vector<float> norm = RandomFloats(random, columns);
    std::vector<std::vector<std::vector<float>>> results;
    for (const bool is_reference : {true, false}) {
      const std::unique_ptr<HostOps> ops = is_reference ? CreateReferenceOps() : CreateCpuOps({.threads = 2});
      std::vector<std::vector<float>> list;
      const std::unique_ptr<Activations> a = Upload(*ops, x, columns);
      const std::unique_ptr<Activations> b = Upload(*ops, y, columns);
      const std::unique_ptr<Activations> out = ops->NewActivations(rows, columns);
      ops->RmsNorm(rows, *a, **ops->LoadVector(norm), 1e-5f, *out);
      list.push_back(Download(*ops, *out, rows, columns));
      ops->SwiGlu(rows, *a, *b);
      list.push_back(Download(*ops, *b, rows, columns));
      ops->Add(rows, *a, *b);
      list.push_back(Download(*ops, *b, rows, columns));
      ops->AddVector(rows, **ops->LoadVector(norm), *b);
      list.push_back(Download(*ops, *b, rows, columns));
      ops->Gather(*ops->Begin(PlanOfWanting(rows, {0, 3, 4, 8})), 1, 3, *a, *out);
      list.push_back(Download(*ops, *out, 3, columns));
      results.push_back(std::move(list));
    }
    // Relative to the result: sums of squares have columns / 8 + 5 roundings (halved by the root); exp is within two
    // units and enters a sum above 1, so SwiGlu has a handful; the largest product of a value and its weight is below
    // 60.
    for (size_t op = 0; op < results[0].size(); ++op) {
      for (size_t i = 0; i < results[0][op].size(); ++i) {
        const double expected = results[0][op][i];
        const double roundings = op == 0 ? columns / 16.0 + 8 : op < 4 ? 13 : 0;
        double magnitude = std::abs(expected);
        if (op == 2 || op == 3) magnitude += std::abs(x[i]);
        if (op == 3) magnitude += std::abs(norm[i % columns]);
        ASSERT_NEAR(results[1][op][i], expected, roundings * kHalfUnit * magnitude)
            << "operation " << op << " at " << i;
      }
    }
  }
}

// A row of many heads is many rows of one.
TEST(CpuOpsTest, RmsNormHeadsIsRmsNormOfEachHead) {
  std::mt19937 random(7);
  const int rows = 5;
  const int heads = 3;
  for (int head_dim : {8, 10, 64, 80}) {
    const std::vector<float> x = RandomFloats(random, rows * heads * head_dim, 2);
    const std::vector<float> norm = RandomFloats(random, head_dim);
    for (const std::unique_ptr<HostOps>& ops : AllCpuOps()) {
      const std::unique_ptr<WeightVector> weight = *ops->LoadVector(norm);
      const std::unique_ptr<Activations> in_place = Upload(*ops, x, heads * head_dim);
      ops->RmsNormHeads(rows, heads, *weight, 1e-6f, *in_place);
      const std::unique_ptr<Activations> single = Upload(*ops, x, head_dim);
      const std::unique_ptr<Activations> out = ops->NewActivations(rows * heads, head_dim);
      ops->RmsNorm(rows * heads, *single, *weight, 1e-6f, *out);
      EXPECT_TRUE(
          SameBits(Download(*ops, *in_place, rows, heads * head_dim), Download(*ops, *out, rows * heads, head_dim)))
          << head_dim;
    }
  }
}

TEST(CpuOpsTest, RopeAgreesWithTheReference) {
  std::mt19937 random(5);
  for (int head_dim : {8, 10, 64, 80}) {
    for (int rope_dim : {2, 8, head_dim}) {
      const int heads = 3;
      const float magnitude = rope_dim == 8 ? 1.25f : 1.0f;
      const std::vector<uint32_t> positions = {0, 1, 77, 8191, 100000};
      const std::vector<float> x = RandomFloats(random, positions.size() * heads * head_dim);
      std::vector<float> frequencies(rope_dim / 2);
      for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] = std::pow(10000.0f, -2.0f * i / rope_dim);
      std::vector<std::vector<float>> results;
      for (const bool is_reference : {true, false}) {
        const std::unique_ptr<HostOps> ops = is_reference ? CreateReferenceOps() : CreateCpuOps({.threads = 2});
        const std::unique_ptr<Activations> a = Upload(*ops, x, heads * head_dim);
        // Another table in between: it must not be remembered for the wrong one.
        const std::vector<float> other(frequencies.size(), 0.5f);
        const std::unique_ptr<Activations> ignored = Upload(*ops, x, heads * head_dim);
        const std::unique_ptr<WeightVector> table = *ops->LoadVector(frequencies);
        const std::unique_ptr<WeightVector> other_table = *ops->LoadVector(other);
        const StepPlan plan = PlanOfPositions(positions);
        const std::unique_ptr<StepView> step = ops->Begin(plan);
        ops->Rope(*step, heads, {head_dim, other_table.get(), magnitude}, *ignored);
        ops->Rope(*step, heads, {head_dim, table.get(), 2 * magnitude}, *ignored);
        ops->Rope(*step, heads, {head_dim, table.get(), magnitude}, *a);
        results.push_back(Download(*ops, *a, static_cast<int>(positions.size()), heads * head_dim));
      }
      for (size_t i = 0; i < x.size(); ++i) {
        // cos and sin rounded once, two products, one sum: 4 roundings of numbers below |a| + |b|, each below 5.
        ASSERT_NEAR(results[1][i], results[0][i], 4 * kHalfUnit * 10) << head_dim << " " << rope_dim << " " << i;
        if (static_cast<int>(i % head_dim) >= rope_dim) {
          ASSERT_EQ(results[1][i], x[i]);
        }
      }
    }
  }
}

TEST(CpuOpsTest, EmbeddingsAreTheTablesRows) {
  std::mt19937 random(6);
  for (TensorType type : kAllTypes) {
    const int columns = std::max(64, BlockSize(type));
    const std::vector<float> values = RandomFloats(random, 21 * columns);
    const std::string data = Quantize(type, values);
    const std::vector<float> weights = Dequantize(type, data, values.size());
    const std::unique_ptr<HostOps> ops = CreateCpuOps({});
    const std::unique_ptr<WeightMatrix> table = *ops->LoadMatrix(type, 21, columns, Bytes(data));
    const std::unique_ptr<Activations> out = ops->NewActivations(3, columns);
    ops->Embed(*table, *ops->Begin(PlanOfTokens({20, 0, 7})), *out);
    const std::vector<float> actual = Download(*ops, *out, 3, columns);
    for (int i = 0; i < columns; ++i) {
      // Q4_1 rounds once here and twice in the test library's decoder.
      EXPECT_NEAR(actual[i], weights[20 * columns + i], 3e-7 * 5);
      EXPECT_NEAR(actual[columns + i], weights[i], 3e-7 * 5);
      EXPECT_NEAR(actual[2 * columns + i], weights[7 * columns + i], 3e-7 * 5);
    }
  }
}

// Rows go out and in in the order of a frame, whatever a backend's own layout is.
TEST(CpuOpsTest, RowsTravelBetweenBackends) {
  std::mt19937 random(7);
  for (KvType type : kKvTypes) {
    for (uint32_t head_dim : {8u, 10u, 64u}) {
      const RowShape shape{2, 3, head_dim, type};
      const std::vector<RowRef> from = {{0, 0}, {2, 31}, {1, 7}, {2, 0}};
      const std::vector<RowRef> to = {{1, 1}, {0, 5}, {2, 30}, {0, 6}};
      std::vector<uint8_t> bytes(from.size() * shape.row_bytes());
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      const std::unique_ptr<HostOps> cpu = CreateCpuOps({.threads = 2});
      const std::unique_ptr<HostOps> reference = CreateReferenceOps();
      {  // what has no meaning, behind the last bit of a part, is zero
        const std::unique_ptr<PageMemory> pages = *cpu->NewPages(shape, 3);
        cpu->StoreRows(*pages, from, bytes);
        cpu->LoadRows(*pages, from, absl::MakeSpan(bytes));
      }
      for (auto [first, second] : {std::pair(cpu.get(), reference.get()), std::pair(reference.get(), cpu.get())}) {
        const std::unique_ptr<PageMemory> a = *first->NewPages(shape, 3);
        const std::unique_ptr<PageMemory> b = *second->NewPages(shape, 3);
        std::vector<uint8_t> middle(bytes.size()), out(bytes.size());
        first->StoreRows(*a, from, bytes);
        first->LoadRows(*a, from, absl::MakeSpan(middle));
        EXPECT_EQ(middle, bytes);
        second->StoreRows(*b, to, middle);
        second->LoadRows(*b, to, absl::MakeSpan(out));
        EXPECT_EQ(out, bytes);
      }
    }
  }
}

TEST(CpuOpsTest, WritingPassesOverRowsWithoutAPage) {
  const RowShape shape{1, 2, 8, KvType::kF16};
  for (const bool is_reference : {true, false}) {
    const std::unique_ptr<HostOps> ops = is_reference ? CreateReferenceOps() : CreateCpuOps({});
    const std::unique_ptr<PageMemory> pages = *ops->NewPages(shape, 1);
    std::vector<uint8_t> bytes(3 * shape.row_bytes());
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
    ops->StoreRows(*pages, {{0, 4}, {kNoPage, 0}, {0, 9}}, bytes);
    std::vector<uint8_t> out(bytes.size());
    ops->LoadRows(*pages, {{0, 4}, {0, 0}, {0, 9}}, absl::MakeSpan(out));
    const size_t part = 8 * 2;  // a frame: 4 parts of 3 rows of 8 halves; the row passed over is still zero
    for (size_t at = part; at < bytes.size(); at += 3 * part) std::fill_n(&bytes[at], part, 0);
    EXPECT_EQ(out, bytes);
  }
}

TEST(CpuOpsTest, TokensAreChosenFromSomeRowsByAllThreads) {
  std::mt19937 random(12);
  constexpr int kColumns = 40000, kRows = 9;
  std::vector<float> logits = RandomFloats(random, kRows * kColumns, 3);
  logits[5 * kColumns + 7] = NAN;
  for (const std::unique_ptr<HostOps>& ops : AllCpuOps()) {
    const std::unique_ptr<Activations> x = Upload(*ops, logits, kColumns);
    std::vector<HostOps::TokenQuery> queries;
    for (const uint32_t row : {8u, 0u, 3u, 5u, 4u})
      queries.push_back({.row = row, .choice = {.top_p = 0.9f, .seed = row}});
    ops->ChooseTokens(*x, absl::MakeSpan(queries));
    for (const HostOps::TokenQuery& query : queries) {
      EXPECT_EQ(query.is_finite, query.row != 5);
      if (!query.is_finite) continue;
      EXPECT_EQ(query.token,
                ChooseToken(absl::MakeConstSpan(logits).subspan(query.row * kColumns, kColumns), query.choice));
    }
  }
}

// As if through the host: rows that are written may have been copied elsewhere by the same call.
TEST(CpuOpsTest, RowsAreCopiedAsTheyWereBefore) {
  std::mt19937 random(8);
  for (KvType type : kKvTypes) {
    const RowShape shape{2, 3, 10, type};
    for (const bool is_reference : {true, false}) {
      const std::unique_ptr<HostOps> ops = is_reference ? CreateReferenceOps() : CreateCpuOps({.threads = 2});
      const std::unique_ptr<PageMemory> pages = *ops->NewPages(shape, 2);
      std::vector<RowRef> everywhere;
      for (uint32_t i = 0; i < 2 * kPageRows; ++i) everywhere.push_back({i / kPageRows, i % kPageRows});
      const size_t rows = everywhere.size();
      std::vector<uint8_t> bytes(rows * shape.row_bytes());
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      ops->StoreRows(*pages, everywhere, bytes);
      ops->LoadRows(*pages, everywhere, absl::MakeSpan(bytes));  // what has no meaning, behind the last bit, is zero now
      // Two rows change places, one moves on, one is copied twice.
      const std::vector<RowRef> from = {{0, 3}, {1, 9}, {0, 4}, {0, 7}, {0, 7}};
      const std::vector<RowRef> to = {{1, 9}, {0, 3}, {0, 5}, {1, 0}, {1, 31}};
      ops->CopyRows(*pages, from, to);
      std::vector<uint8_t> expected = bytes;
      for (size_t head = 0; head < size_t{shape.layers} * shape.kv_heads; ++head) {
        for (const KvPart part : kKvParts) {
          const auto at = [&](RowRef row) {
            return shape.FrameOffset(rows, head, part, row.page * kPageRows + row.index);
          };
          for (size_t i = 0; i < from.size(); ++i) {
            std::copy_n(&bytes[at(from[i])], shape.part_bytes(part), &expected[at(to[i])]);
          }
        }
      }
      std::vector<uint8_t> out(bytes.size());
      ops->LoadRows(*pages, everywhere, absl::MakeSpan(out));
      EXPECT_EQ(out, expected) << (is_reference ? "reference" : "cpu");
    }
  }
}

// Whatever a backend does at once has the bits of its parts, one after another.
TEST(CpuOpsTest, GroupsOfOperationsAreTheirParts) {
  std::mt19937 random(9);
  const int rows = 7, heads = 4, kv_heads = 2, head_dim = 16, hidden = heads * head_dim, kv_size = kv_heads * head_dim;
  const std::string query_weights = Quantize(TensorType::kQ8_0, RandomFloats(random, hidden * hidden)),
                    key_weights = Quantize(TensorType::kQ8_0, RandomFloats(random, kv_size * hidden));
  const std::vector<float> x = RandomFloats(random, rows * hidden, 2), y = RandomFloats(random, rows * hidden, 2),
                           norm = RandomFloats(random, hidden), frequencies = RandomFloats(random, head_dim / 2);
  StepPlan plan;
  plan.tables = {{.recent = {0}}};
  for (uint32_t r = 0; r < rows; ++r) plan.rows.push_back({.position = r});
  std::vector<RowRef> written;
  for (uint32_t r = 0; r < rows; ++r) written.push_back({0, r});
  const RowShape shape{1, kv_heads, head_dim, KvType::kF16};
  for (const bool is_reference : {true, false}) {
    const std::unique_ptr<HostOps> ops = is_reference ? CreateReferenceOps() : CreateCpuOps({.threads = 2});
    const auto query_matrix = *ops->LoadMatrix(TensorType::kQ8_0, hidden, hidden, Bytes(query_weights));
    const auto key_matrix = *ops->LoadMatrix(TensorType::kQ8_0, kv_size, hidden, Bytes(key_weights));
    const auto norm_vector = *ops->LoadVector(norm), bias = *ops->LoadVector(absl::MakeConstSpan(norm).first(kv_size)),
               table = *ops->LoadVector(frequencies);
    const Ops::Rotation rotation{head_dim, table.get(), 1.5f};
    const auto step = ops->Begin(plan);
    std::vector<std::vector<float>> results[2];
    std::vector<uint8_t> bytes[2];
    for (const bool at_once : {false, true}) {
      const auto a = Upload(*ops, x, hidden), b = Upload(*ops, y, hidden);
      const auto normed = ops->NewActivations(rows, hidden), queries = ops->NewActivations(rows, hidden),
                 gate = ops->NewActivations(rows, hidden), up = ops->NewActivations(rows, hidden),
                 keys = ops->NewActivations(rows, kv_size);
      const auto pages = *ops->NewPages(shape, 1);
      if (at_once) {
        ops->AddNorm(rows, nullptr, *a, *norm_vector, 1e-5f, *normed);
        ops->AddNorm(rows, normed.get(), *b, *norm_vector, 1e-5f, *normed);
        ops->MatMul(rows, *normed,
                    {{query_matrix.get(), queries.get()}, {key_matrix.get(), keys.get(), bias.get()}});
        ops->RopeAndWriteKv(*step, 0, heads, kv_heads, rotation, *queries, *keys, bias.get(), *keys, *pages);
        ops->GateUp(rows, *a, *query_matrix, *query_matrix, *gate, *up);
      } else {
        ops->RmsNorm(rows, *a, *norm_vector, 1e-5f, *normed);
        ops->Add(rows, *normed, *b);
        ops->RmsNorm(rows, *b, *norm_vector, 1e-5f, *normed);
        ops->MatMul(rows, *normed, *query_matrix, *queries);
        ops->MatMul(rows, *normed, *key_matrix, *keys);
        ops->AddVector(rows, *bias, *keys);
        ops->Rope(*step, heads, rotation, *queries);
        ops->Rope(*step, kv_heads, rotation, *keys);
        ops->AddVector(rows, *bias, *keys);
        ops->WriteKv(*step, 0, *keys, *keys, *pages);
        ops->MatMul(rows, *a, *query_matrix, *gate);
        ops->MatMul(rows, *a, *query_matrix, *up);
        ops->SwiGlu(rows, *up, *gate);
      }
      results[at_once] = {Download(*ops, *a, rows, hidden),      Download(*ops, *b, rows, hidden),
                          Download(*ops, *normed, rows, hidden), Download(*ops, *queries, rows, hidden),
                          Download(*ops, *keys, rows, kv_size),  Download(*ops, *gate, rows, hidden)};
      bytes[at_once].resize(rows * shape.row_bytes());
      ops->LoadRows(*pages, written, absl::MakeSpan(bytes[at_once]));
    }
    for (size_t i = 0; i < results[0].size(); ++i) {
      EXPECT_TRUE(SameBits(results[0][i], results[1][i])) << (is_reference ? "reference " : "cpu ") << i;
    }
    EXPECT_EQ(bytes[0], bytes[1]);
  }
}

TEST(CpuOpsTest, TooManyPagesAreAnAnswer) {
  const RowShape shape{1000, 1000, 1000, KvType::kF32};
  EXPECT_EQ(CreateCpuOps({})->NewPages(shape, 4000000000u).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kedge
