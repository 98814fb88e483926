// Attention of the cpu backend: against the dense mask of the reference, and to the bit against itself with other
// pages, chunks, company and threads. All pages are filled with NaN first, as if an earlier owner had left it there.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/reference/reference_ops.h"
#include "common/kernels/testing.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

constexpr uint32_t kPages = 16;
constexpr int kLayers = 2;
constexpr int kLayer = 1;

// One request of `rows` rows with random spans, as an anchor policy would make them.
struct Request {
  uint32_t rows;
  std::vector<uint32_t> recent_begin;  // per row, not descending
  std::vector<bool> kept;
  std::vector<float> queries;       // [rows, heads * head_dim]
  std::vector<float> keys, values;  // [rows, kv_heads * head_dim]
};

struct Layout {
  int heads;
  int kv_heads;
  int head_dim;
  KvType type;
};

std::vector<float> RandomFloats(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal(0, 1.5f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

Request MakeRequest(std::mt19937& random, const Layout& layout, uint32_t rows) {
  Request request;
  request.rows = rows;
  const uint32_t window = 1 + random() % 80;
  uint32_t begin = 0;
  for (uint32_t i = 0; i < rows; ++i) {
    if (i >= begin + window) begin = i - random() % window;
    request.recent_begin.push_back(begin);
    request.kept.push_back(random() % 3 == 0);
  }
  request.queries = RandomFloats(random, size_t(rows) * layout.heads * layout.head_dim);
  request.keys = RandomFloats(random, size_t(rows) * layout.kv_heads * layout.head_dim);
  request.values = RandomFloats(random, size_t(rows) * layout.kv_heads * layout.head_dim);
  return request;
}

std::vector<float> Rows(const std::vector<float>& all, size_t columns, uint32_t begin, uint32_t end) {
  return std::vector<float>(all.begin() + begin * columns, all.begin() + end * columns);
}

// How a request is computed; none of it may change a bit.
struct Manner {
  uint32_t chunk = 1000;             // rows per step
  uint32_t page_seed = 0;            // 0: pages in order
  const Request* company = nullptr;  // computed in the same steps
  // Receives the mass of every head in each row of the request, row by row, head by head, summed by these ranges.
  std::vector<std::vector<uint32_t>>* mass = nullptr;
  std::vector<uint32_t> mass_ends = {};
};

// [rows, heads * head_dim].
std::vector<float> Compute(HostOps& ops, const Layout& layout, const Request& request, const Manner& manner) {
  const RowShape shape{kLayers, static_cast<uint32_t>(layout.kv_heads), static_cast<uint32_t>(layout.head_dim),
                       layout.type};
  const std::unique_ptr<PageMemory> memory = *ops.NewPages(shape, kPages);
  std::vector<RowRef> everywhere;
  for (uint32_t i = 0; i < kPages * kPageRows; ++i) everywhere.push_back({i / kPageRows, i % kPageRows});
  ops.StoreRows(*memory, everywhere, std::vector<uint8_t>(everywhere.size() * shape.row_bytes(), 0xff));

  std::vector<PageId> free_pages(kPages);
  std::iota(free_pages.begin(), free_pages.end(), 0);
  if (manner.page_seed != 0) {
    std::mt19937 random(manner.page_seed);
    std::shuffle(free_pages.begin(), free_pages.end(), random);
  }
  std::vector<const Request*> requests;
  if (manner.company != nullptr) requests.push_back(manner.company);
  requests.push_back(&request);
  std::vector<PageTables> tables(requests.size());
  std::vector<uint32_t> kept_counts(requests.size(), 0);
  for (size_t q = 0; q < requests.size(); ++q) {
    for (uint32_t page = 0; page * kPageRows < requests[q]->rows; ++page) {
      for (std::vector<PageId>* list : {&tables[q].recent, &tables[q].kept}) {
        list->push_back(free_pages.back());
        free_pages.pop_back();
      }
    }
  }

  const int query_columns = layout.heads * layout.head_dim;
  const int kv_columns = layout.kv_heads * layout.head_dim;
  std::vector<float> result;
  for (uint32_t done = 0; done < request.rows; done += manner.chunk) {
    StepPlan plan;
    plan.tables = tables;
    std::vector<float> queries, keys, values;
    uint32_t mine = 0;
    for (size_t q = 0; q < requests.size(); ++q) {
      const Request& r = *requests[q];
      const uint32_t end = std::min(done + manner.chunk, r.rows);
      for (uint32_t i = std::min(done, end); i < end; ++i) {
        const uint32_t begin = r.recent_begin[i];
        PlanRow row{.position = i, .tables = static_cast<uint32_t>(q), .recent_begin = begin};
        row.kept_end = static_cast<uint32_t>(std::count(r.kept.begin(), r.kept.begin() + begin, true));
        if (r.kept[i]) row.kept_index = static_cast<int32_t>(kept_counts[q]++);
        plan.rows.push_back(row);
      }
      const uint32_t begin = std::min(done, end);
      for (auto [from, to, columns] :
           {std::tuple(&r.queries, &queries, query_columns), std::tuple(&r.keys, &keys, kv_columns),
            std::tuple(&r.values, &values, kv_columns)}) {
        const std::vector<float> rows = Rows(*from, columns, begin, end);
        to->insert(to->end(), rows.begin(), rows.end());
      }
      mine = end - begin;  // of the last request
    }
    // Pages that all rows have left behind would be dropped; the table then starts later.
    for (size_t q = 0; q < requests.size(); ++q) {
      const Request& r = *requests[q];
      if (done >= r.rows) continue;
      const uint32_t drop = r.recent_begin[done] / kPageRows;
      plan.tables[q].first_recent_page = drop;
      plan.tables[q].recent.erase(plan.tables[q].recent.begin(), plan.tables[q].recent.begin() + drop);
    }
    const int rows = static_cast<int>(plan.rows.size());
    const std::unique_ptr<Activations> out = ops.NewActivations(rows, query_columns);
    if (manner.mass != nullptr) {
      plan.mass_ends.resize(requests.size());
      plan.mass_ends.back() = manner.mass_ends;
    }
    const std::unique_ptr<StepView> step = ops.Begin(plan);
    ops.WriteKv(*step, kLayer, *Upload(ops, keys, kv_columns), *Upload(ops, values, kv_columns), *memory);
    ops.Attention(*step, kLayer, layout.heads, *Upload(ops, queries, query_columns), *memory, *out);
    if (manner.mass != nullptr) {
      std::vector<std::vector<uint32_t>> masses;
      for (uint32_t r = rows - mine; r < static_cast<uint32_t>(rows); ++r) {
        masses.resize(masses.size() + layout.heads, std::vector<uint32_t>(MassEnds(plan, plan.rows[r]).size(), 12345));
      }
      std::vector<MassQuery> wanted;
      for (size_t i = 0; i < masses.size(); ++i) {
        wanted.push_back({.row = static_cast<uint32_t>(rows - mine + i / layout.heads),
                          .head = static_cast<uint32_t>(i % layout.heads),
                          .mass = absl::MakeSpan(masses[i])});
      }
      ops.GiveMass(*step, kLayer, layout.heads, wanted, *Upload(ops, queries, query_columns), *memory);
      manner.mass->insert(manner.mass->end(), masses.begin(), masses.end());
    }
    std::vector<float> host(size_t(rows) * query_columns);
    ops.CopyToHost(rows, *out, absl::MakeSpan(host));
    result.insert(result.end(), host.end() - size_t(mine) * query_columns, host.end());
  }
  return result;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// All head sizes by all ratios; KV types take turns.
std::vector<Layout> Layouts() {
  std::vector<Layout> layouts;
  for (int head_dim : {8, 10, 16, 64, 80}) {
    for (auto [heads, kv_heads] :
         {std::pair(1, 1), std::pair(4, 4), std::pair(6, 2), std::pair(10, 2), std::pair(7, 1)}) {
      layouts.push_back({heads, kv_heads, head_dim, kKvTypes[layouts.size() % std::size(kKvTypes)]});
    }
  }
  return layouts;
}

// The largest norm of a head.
double LargestNorm(const std::vector<float>& values, int head_dim) {
  double largest = 0;
  for (size_t i = 0; i < values.size(); i += head_dim) {
    double squares = 0;
    for (int d = 0; d < head_dim; ++d) squares += double{values[i + d]} * values[i + d];
    largest = std::max(largest, std::sqrt(squares));
  }
  return largest;
}

TEST(AttentionTest, AgreesWithTheDenseMask) {
  uint32_t seed = 100;
  for (const Layout& layout : Layouts()) {
    SCOPED_TRACE(testing::Message() << "seed " << ++seed << ": " << layout.heads << " heads, " << layout.kv_heads
                                    << " KV, " << layout.head_dim << " wide, " << KvTypeName(layout.type));
    std::mt19937 random(seed);
    const Request request = MakeRequest(random, layout, 150);
    const Manner manner{.chunk = 40, .page_seed = seed};
    const std::vector<float> actual = Compute(*CreateCpuOps({.threads = 2}), layout, request, manner);
    const std::vector<float> expected = Compute(*CreateReferenceOps(), layout, request, manner);
    // A score has head_dim + 2 roundings of at most |q| |k| / sqrt(dim); an error d of each score changes weights by a
    // factor within e^(2d); then one rounding per row and per page.
    const double score = LargestNorm(request.queries, layout.head_dim) * LargestNorm(request.keys, layout.head_dim) /
                         std::sqrt(layout.head_dim);
    const double unit = 1.0 / (1 << 24);
    const double largest = std::abs(*std::max_element(request.values.begin(), request.values.end(),
                                                      [](float a, float b) { return std::abs(a) < std::abs(b); }));
    const double bound = (2 * (layout.head_dim + 2) * score + 150 + 40) * unit * largest;
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(actual[i], expected[i], bound) << i;
  }
}

TEST(AttentionTest, PagesChunksAndCompanyChangeNoBit) {
  uint32_t seed = 500;
  for (const Layout& layout : Layouts()) {
    SCOPED_TRACE(testing::Message() << "seed " << ++seed << ": " << layout.heads << " heads, " << layout.kv_heads
                                    << " KV, " << layout.head_dim << " wide, " << KvTypeName(layout.type));
    std::mt19937 random(seed);
    const Request request = MakeRequest(random, layout, 100);
    const Request company = MakeRequest(random, layout, 70);
    const std::unique_ptr<HostOps> ops = CreateCpuOps({.threads = 2});
    const std::vector<float> expected = Compute(*ops, layout, request, {});
    for (const Manner& manner :
         {Manner{.page_seed = seed}, Manner{.chunk = 1}, Manner{.chunk = 33}, Manner{.chunk = 7, .page_seed = seed + 1},
          Manner{.company = &company}, Manner{.chunk = 21, .page_seed = seed + 2, .company = &company}}) {
      ASSERT_TRUE(SameBits(Compute(*ops, layout, request, manner), expected)) << "chunk " << manner.chunk;
    }
  }
}

TEST(AttentionTest, ThreadsAndInstructionSetsChangeNoBit) {
  uint32_t seed = 900;
  for (const Layout& layout : Layouts()) {
    SCOPED_TRACE(testing::Message() << "seed " << ++seed);
    std::mt19937 random(seed);
    const Request request = MakeRequest(random, layout, 90);
    std::vector<float> expected;
    for (InstructionSet set : kInstructionSets) {
      if (!IsAvailable(set)) continue;
      for (int threads : {1, 2, 3}) {
        const std::unique_ptr<HostOps> ops = CreateCpuOps({.threads = threads, .instruction_set = set});
        const std::vector<float> actual = Compute(*ops, layout, request, {.chunk = 45});
        if (expected.empty()) expected = actual;
        ASSERT_TRUE(SameBits(actual, expected)) << threads << " threads";
      }
    }
  }
}

// Ranges of at most `most` rows, over `rows` rows.
std::vector<uint32_t> Ends(uint32_t rows, uint32_t most, std::mt19937& random) {
  std::vector<uint32_t> ends;
  for (uint32_t end = 0; end < rows;) ends.push_back(end = std::min<uint32_t>(rows, end + 1 + random() % most));
  return ends;
}

TEST(AttentionTest, MassIsTheReferencesAndNoMannerChangesIt) {
  uint32_t seed = 1300;
  for (const Layout& layout : Layouts()) {
    SCOPED_TRACE(testing::Message() << "seed " << ++seed << ": " << layout.heads << " heads, " << layout.kv_heads
                                    << " KV, " << layout.head_dim << " wide, " << KvTypeName(layout.type));
    std::mt19937 random(seed);
    const Request request = MakeRequest(random, layout, 80);
    const Request company = MakeRequest(random, layout, 70);
    const std::unique_ptr<HostOps> cpu = CreateCpuOps({.threads = 2});
    const std::vector<uint32_t> each = Ends(80, 1, random);
    std::vector<std::vector<uint32_t>> actual, expected, otherwise;
    Compute(*cpu, layout, request, {.mass = &actual, .mass_ends = each});
    Compute(*CreateReferenceOps(), layout, request, {.mass = &expected, .mass_ends = each});
    Compute(*cpu, layout, request,
            {.chunk = 21, .page_seed = seed, .company = &company, .mass = &otherwise, .mass_ends = each});
    ASSERT_EQ(actual.size(), size_t{80} * layout.heads);
    ASSERT_EQ(actual, otherwise);
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(actual[i].size(), i / layout.heads + 1);
      ASSERT_EQ(expected[i].size(), actual[i].size());
      uint64_t sum = 0;
      for (size_t j = 0; j < actual[i].size(); ++j) {
        ASSERT_NEAR(actual[i][j], expected[i][j], 2 + 1e-3 * expected[i][j]) << i << " " << j;
        sum += actual[i][j];
      }
      ASSERT_LE(sum, kMassOne + actual[i].size() + 16);  // weights are floats of 24 bits
      if (i / layout.heads == 0) {
        ASSERT_EQ(sum, kMassOne);  // the first row sees itself alone
      }
    }
  }
}

// Ranges may leave rows at the end out, and a row sees the ranges up to its own.
TEST(AttentionTest, MassOfARangeIsTheSumOfItsRows) {
  uint32_t seed = 1700;
  for (const Layout& layout : Layouts()) {
    SCOPED_TRACE(testing::Message() << "seed " << ++seed << ": " << layout.heads << " heads, " << layout.kv_heads
                                    << " KV, " << layout.head_dim << " wide, " << KvTypeName(layout.type));
    std::mt19937 random(seed);
    const Request request = MakeRequest(random, layout, 120);
    const std::vector<uint32_t> each = Ends(120, 1, random), ends = Ends(100, 1 + random() % 40, random);
    for (const bool is_reference : {true, false}) {
      const std::unique_ptr<HostOps> ops = is_reference ? CreateReferenceOps() : CreateCpuOps({.threads = 2});
      std::vector<std::vector<uint32_t>> rows, ranges;
      Compute(*ops, layout, request, {.chunk = 50, .mass = &rows, .mass_ends = each});
      Compute(*ops, layout, request, {.chunk = 50, .mass = &ranges, .mass_ends = ends});
      ASSERT_EQ(ranges.size(), rows.size());
      for (size_t i = 0; i < rows.size(); ++i) {
        const size_t position = i / layout.heads;
        std::vector<uint32_t> sums;
        for (size_t p = 0, range = 0; p <= position && p < ends.back(); ++p) {
          if (p == ends[range]) ++range;
          sums.resize(range + 1);
          sums[range] += rows[i][p];
        }
        ASSERT_EQ(ranges[i], sums) << "row " << position;
      }
    }
  }
}

}  // namespace
}  // namespace kedge
