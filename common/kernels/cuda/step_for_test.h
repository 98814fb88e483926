// A random step of attention, on the CPU backend and on an emulated device: the same plan, activations and rows of
// earlier steps; all else in their pages is NaN, as if an earlier owner had left it there.
#ifndef KEDGE_COMMON_KERNELS_CUDA_STEP_FOR_TEST_H_
#define KEDGE_COMMON_KERNELS_CUDA_STEP_FOR_TEST_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <ostream>
#include <random>
#include <vector>

#include "common/base/check.h"
#include "common/kernels/cpu/cpu_ops.h"
#include "common/kernels/cpu/scalar.h"
#include "common/kernels/cuda/emulated/sanitizers.h"
#include "common/kernels/cuda/launchers.h"
#include "common/kernels/rounded_blocks.h"
#include "common/kernels/cuda/step_arrays.h"
#include "common/kernels/cuda/test_device.h"
#include "common/kernels/testing.h"

namespace kedge::cuda {

// Shapes that are left out under TSan, which makes few threads in a minute.
inline bool IsLeftOut(uint32_t number) { return emulated::HasThreadSanitizer() && number % 16 != 0; }

inline constexpr int kTestLayers = 2, kTestLayer = 1;
inline constexpr uint32_t kTestPages = 40;
inline constexpr PageId kSparePage = kTestPages;  // of the device: for rows that are nobody's

struct TestShape {
  int heads = 1, kv_heads = 1, head_dim = 8;
  KvType type = KvType::kF16;

  int query_columns() const { return heads * head_dim; }
  int kv_columns() const { return kv_heads * head_dim; }
  RowShape row_shape() const {
    return {kTestLayers, static_cast<uint32_t>(kv_heads), static_cast<uint32_t>(head_dim), type};
  }
  friend std::ostream& operator<<(std::ostream& out, const TestShape& shape) {
    return out << shape.heads << " heads, " << shape.kv_heads << " KV, " << shape.head_dim << " wide, "
               << KvTypeName(shape.type);
  }
};

inline std::vector<float> RandomFloats(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal(0, 1.5f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Of so many rows, in the order of a frame.
inline std::vector<uint8_t> RandomFrame(std::mt19937& random, const RowShape& shape, size_t rows) {
  std::vector<uint8_t> frame(rows * shape.row_bytes());
  std::vector<uint8_t> paged(PagePartBytes(shape.type, shape.head_dim));
  for (size_t head = 0; head < size_t{shape.layers} * shape.kv_heads; ++head) {
    for (const KvPart part : kKvParts) {
      for (size_t row = 0; row < rows; ++row) {
        const std::vector<float> values = RandomFloats(random, shape.head_dim);
        scalar::ToKv(shape.type, part, values.data(), static_cast<int>(values.size()), paged.data());
        uint8_t* const at = &frame[shape.FrameOffset(rows, head, part, row)];
        if (HasScales(shape.type)) {
          PackPart(shape.type, part, shape.head_dim, paged.data(), at);
        } else {
          std::copy(paged.begin(), paged.end(), at);
        }
      }
    }
  }
  return frame;
}

// All rows of all pages that are somebody's.
inline std::vector<RowRef> AllRows() {
  std::vector<RowRef> rows;
  for (uint32_t i = 0; i < kTestPages * kPageRows; ++i) rows.push_back({i / kPageRows, i % kPageRows});
  return rows;
}

struct TestStep {
  TestShape shape;
  StepPlan plan;
  std::vector<float> queries, keys, values;  // [rows][columns]
  // Rows of earlier steps, and what they hold.
  std::vector<RowRef> earlier;
  std::vector<uint8_t> frame;
};

// Up to `most_streams` requests, each of up to `most_rows` rows, which see R, K or both, of earlier steps and of this
// one, and of R at least themselves.
inline TestStep RandomStep(const TestShape& shape, int most_streams, int most_rows, std::mt19937& random) {
  const auto below = [&](uint32_t end) { return static_cast<uint32_t>(random() % end); };
  TestStep step = {.shape = shape};
  std::vector<PageId> free_pages(kTestPages);
  std::iota(free_pages.begin(), free_pages.end(), 0);
  std::shuffle(free_pages.begin(), free_pages.end(), random);
  const auto take = [&] {
    KEDGE_CHECK(!free_pages.empty());
    const PageId page = free_pages.back();
    free_pages.pop_back();
    return page;
  };
  const uint32_t streams = 1 + below(most_streams);
  for (uint32_t stream = 0; stream < streams; ++stream) {
    PageTables& tables = step.plan.tables.emplace_back();
    const uint32_t rows = 1 + below(most_rows), first = below(4) == 0 ? 0 : below(200);
    const uint32_t window = below(3) == 0 ? 0 : below(80);  // that the first row sees behind itself
    const uint32_t kept = below(3) == 0 ? 0 : below(70);
    const bool is_writing_kept = below(2) == 0;
    uint32_t recent_begin = first - std::min(window, first), kept_end = kept, kept_rows = kept;
    const uint32_t seen_begin = recent_begin;
    for (uint32_t i = 0; i < rows; ++i) {
      const uint32_t position = first + i;
      if (window == 0) recent_begin = position;
      if (below(4) == 0) recent_begin += below(position - recent_begin + 1);
      if (below(3) == 0) kept_end += below(kept_rows - kept_end + 1);
      PlanRow row = {.position = position, .tables = stream, .recent_begin = recent_begin, .kept_end = kept_end};
      if (is_writing_kept && below(2) == 0) row.kept_index = static_cast<int32_t>(kept_rows++);
      step.plan.rows.push_back(row);
    }
    tables.first_recent_page = seen_begin / kPageRows;
    for (uint32_t page = tables.first_recent_page; page <= (first + rows - 1) / kPageRows; ++page) {
      tables.recent.push_back(take());
    }
    for (uint32_t index = 0; index < kept_rows; index += kPageRows) tables.kept.push_back(take());
    for (uint32_t p = seen_begin; p < first; ++p) {
      step.earlier.push_back({tables.recent[p / kPageRows - tables.first_recent_page], p % kPageRows});
    }
    for (uint32_t i = 0; i < kept; ++i) step.earlier.push_back({tables.kept[i / kPageRows], i % kPageRows});
  }
  const size_t rows = step.plan.rows.size();
  step.queries = RandomFloats(random, rows * shape.query_columns());
  step.keys = RandomFloats(random, rows * shape.kv_columns());
  step.values = RandomFloats(random, rows * shape.kv_columns());
  step.frame = RandomFrame(random, shape.row_shape(), step.earlier.size());
  return step;
}

// The step as the CPU's plain code has it.
struct StepOnCpu {
  explicit StepOnCpu(const TestStep& test)
      : ops(CreateCpuOps({.instruction_set = InstructionSet::kScalar})),
        pages(*ops->NewPages(test.shape.row_shape(), kTestPages)),
        queries(Upload(*ops, test.queries, test.shape.query_columns())),
        keys(Upload(*ops, test.keys, test.shape.kv_columns())),
        values(Upload(*ops, test.values, test.shape.kv_columns())),
        step(ops->Begin(test.plan)) {
    const std::vector<RowRef> all = AllRows();
    ops->StoreRows(*pages, all, std::vector<uint8_t>(all.size() * test.shape.row_shape().row_bytes(), 0xff));
    ops->StoreRows(*pages, test.earlier, test.frame);
  }
  std::vector<uint8_t> Frame(const RowShape& shape) const {
    std::vector<uint8_t> frame(AllRows().size() * shape.row_bytes());
    ops->LoadRows(*pages, AllRows(), absl::MakeSpan(frame));
    return frame;
  }

  const std::unique_ptr<HostOps> ops;
  const std::unique_ptr<PageMemory> pages;
  const std::unique_ptr<Activations> queries, keys, values;
  std::unique_ptr<StepView> step;
};

// And on the device, with `padding` rows that are nobody's behind it.
struct StepOnDevice {
  StepOnDevice(const TestStep& test, int padding, std::optional<uint64_t> seed)
      : device(seed), arrays(test.plan, ShapeWith(test.plan, padding), kSparePage) {
    const RowShape shape = test.shape.row_shape();
    pages = {.data = device.New<uint8_t>((kTestPages + 1) * PageBytes(shape)),
             .type = shape.type,
             .layers = kTestLayers,
             .kv_heads = test.shape.kv_heads,
             .head_dim = test.shape.head_dim};
    KEDGE_CHECK(ScatterRows(device.stream(), device.Upload(test.frame), device.Upload(test.earlier),
                            static_cast<int>(test.earlier.size()), pages)
                    .ok());
    std::vector<uint8_t> block(arrays.upload_bytes());
    arrays.Write(nullptr, 0, block.data());
    upload = device.Upload(block);
    uint8_t* results = device.New<uint8_t>(arrays.result_bytes());  // faults are kNoFault
    mass = reinterpret_cast<uint32_t*>(results + arrays.mass_at());
    KEDGE_CHECK(device.stream().Fill(mass, 0, arrays.result_bytes() - arrays.mass_at()).ok());
    step = arrays.StepAt(upload, nullptr, results, nullptr);
    queries = UploadRows(test.queries, test.shape.query_columns());
    keys = UploadRows(test.keys, test.shape.kv_columns());
    values = UploadRows(test.values, test.shape.kv_columns());
  }

  FloatRows NewRows(int columns) {
    const int stride = (columns + 31) / 32 * 32;
    return {device.New<float>(size_t(arrays.num_rows()) * stride), columns, stride};
  }
  // Rows behind those that there are hold 1.
  FloatRows UploadRows(const std::vector<float>& values, int columns) {
    const int stride = (columns + 31) / 32 * 32;
    std::vector<float> all(size_t(arrays.num_rows()) * stride, 1);
    for (size_t r = 0; r < values.size() / columns; ++r) {
      std::copy_n(values.begin() + r * columns, columns, all.begin() + r * stride);
    }
    return {device.Upload(all), columns, stride};
  }
  // Of the plan, without what stands between them.
  std::vector<float> DownloadRows(const FloatRows& rows) {
    const std::vector<float> all = device.Download(rows.data, size_t(arrays.plan_rows()) * rows.stride);
    std::vector<float> out;
    for (int r = 0; r < arrays.plan_rows(); ++r) {
      out.insert(out.end(), all.begin() + r * rows.stride, all.begin() + r * rows.stride + rows.columns);
    }
    return out;
  }
  std::vector<uint8_t> Frame(const RowShape& shape) {
    const std::vector<RowRef> all = AllRows();
    uint8_t* frame = device.New<uint8_t>(all.size() * shape.row_bytes());
    KEDGE_CHECK(GatherRows(device.stream(), pages, device.Upload(all), static_cast<int>(all.size()), frame).ok());
    return device.Download(frame, all.size() * shape.row_bytes());
  }

  TestDevice device;
  const StepArrays arrays;
  Pages pages;
  Step step;
  FloatRows queries, keys, values;
  uint8_t* upload;
  uint32_t* mass;

 private:
  static std::optional<GraphShape> ShapeWith(const StepPlan& plan, int padding) {
    if (padding == 0) return std::nullopt;
    const int most_pages = StepArrays(plan, std::nullopt, kSparePage).most_pages();
    return GraphShape{static_cast<int>(plan.rows.size()) + padding, most_pages + padding};
  }
};

// NaN is NaN: of infinities, a device makes one of its own.
inline bool SameNumbers(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::memcmp(&x, &y, sizeof(float)) == 0 || (std::isnan(x) && std::isnan(y));
  });
}

}  // namespace kedge::cuda

#endif  // KEDGE_COMMON_KERNELS_CUDA_STEP_FOR_TEST_H_
