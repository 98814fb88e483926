// Rows go from pages to a frame and back, whole and to their places.
#include <algorithm>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "common/kernels/cuda/launchers.h"
#include "common/kernels/cuda/step_for_test.h"
#include "gtest/gtest.h"

namespace kedge::cuda {
namespace {

constexpr uint32_t kPages = 5;
constexpr std::optional<uint64_t> kSeeds[] = {std::nullopt, 1, 2};

// Where byte `at` of a row's keys (part 2 * head) or values (+ 1) of a layer lies, by arrays.h.
size_t ByteOf(const Pages& pages, RowRef row, int layer, int part, size_t at) {
  const size_t heads = (size_t{row.page} * pages.layers + layer) * pages.kv_heads + part / 2;
  const size_t row_bytes = pages.stride() * KvTypeBytes(pages.type),
               number_bytes = pages.head_dim * KvTypeBytes(pages.type);
  const size_t scale_bytes = PagePartBytes(pages.type, pages.head_dim) - number_bytes;
  const size_t begin = (heads * 2 + part % 2) * kPageRows * (row_bytes + scale_bytes);
  if (at < number_bytes) return begin + row.index * row_bytes + at;
  return begin + kPageRows * row_bytes + row.index * scale_bytes + at - number_bytes;
}

// Every size of what can be copied at once: head_dim 10 and 12 of both sizes of elements, and a frame that begins
// anywhere.
TEST(KvRows, GoAndCome) {
  uint32_t seed = 0;
  for (const KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8}) {
    for (const int head_dim : {8, 10, 12, 14, 64, 80, 128}) {
      for (const size_t offset : {0, 2, 4, 8}) {
        if (offset % KvTypeBytes(type) != 0) continue;
        SCOPED_TRACE(testing::Message() << KvTypeName(type) << " " << head_dim << " " << offset);
        if (IsLeftOut(++seed)) continue;
        std::mt19937 random(seed);
        TestDevice device(kSeeds[seed % 3]);
        const RowShape shape = {3, 2, static_cast<uint32_t>(head_dim), type};
        Pages pages = {.type = type, .layers = 3, .kv_heads = 2, .head_dim = head_dim};
        std::vector<uint8_t> memory(kPages * PageBytes(shape));
        for (uint8_t& byte : memory) byte = static_cast<uint8_t>(random());
        std::vector<RowRef> rows;
        for (uint32_t i = 0; i < kPages * kPageRows; ++i) rows.push_back({i / kPageRows, i % kPageRows});
        std::shuffle(rows.begin(), rows.end(), random);
        rows.resize(1 + random() % 40);
        const int count = static_cast<int>(rows.size());
        const size_t bytes = rows.size() * shape.row_bytes();

        pages.data = device.Upload(memory);
        uint8_t* frame = device.New<uint8_t>(offset + bytes) + offset;
        ASSERT_TRUE(GatherRows(device.stream(), pages, device.Upload(rows), count, frame).ok());
        const std::vector<uint8_t> gathered = device.Download(frame, bytes);
        size_t at = 0;
        for (int layer = 0; layer < pages.layers; ++layer) {
          for (int part = 0; part < 2 * pages.kv_heads; ++part) {
            for (const RowRef& row : rows) {
              for (size_t i = 0; i < PagePartBytes(type, shape.head_dim); ++i, ++at) {
                ASSERT_EQ(gathered[at], memory[ByteOf(pages, row, layer, part, i)]) << at;
              }
            }
          }
        }

        // Back into other memory, without two of them; all else stays.
        std::vector<uint8_t> expected(memory.size(), 0xff);
        rows.front().page = rows.back().page = kNoPage;
        for (const RowRef& row : rows) {
          if (row.page == kNoPage) continue;
          for (int layer = 0; layer < pages.layers; ++layer) {
            for (int part = 0; part < 2 * pages.kv_heads; ++part) {
              for (size_t i = 0; i < PagePartBytes(type, shape.head_dim); ++i) {
                const size_t byte = ByteOf(pages, row, layer, part, i);
                expected[byte] = memory[byte];
              }
            }
          }
        }
        pages.data = device.New<uint8_t>(memory.size());
        ASSERT_TRUE(ScatterRows(device.stream(), frame, device.Upload(rows), count, pages).ok());
        ASSERT_EQ(device.Download(pages.data, memory.size()), expected);
      }
    }
  }
}

// Rows that are smaller in a frame, in whole and in broken groups of numbers.
TEST(KvRows, PackedOnesGoAndCome) {
  uint32_t seed = 500;
  constexpr KvType kType = KvType::kK6V4;
  for (const int head_dim : {8, 10, 14, 64, 80, 128}) {
    SCOPED_TRACE(testing::Message() << head_dim);
    if (IsLeftOut(++seed)) continue;
    std::mt19937 random(seed);
    TestDevice device(kSeeds[seed % 3]);
    const uint32_t size = static_cast<uint32_t>(head_dim);
    const RowShape shape = {3, 2, size, kType};
    Pages pages = {.type = kType, .layers = 3, .kv_heads = 2, .head_dim = head_dim};
    std::vector<RowRef> rows;
    for (uint32_t i = 0; i < kPages * kPageRows; ++i) rows.push_back({i / kPageRows, i % kPageRows});
    std::shuffle(rows.begin(), rows.end(), random);
    rows.resize(1 + random() % 40);
    rows.front().page = kNoPage;
    const std::vector<uint8_t> frame = RandomFrame(random, shape, rows.size());
    std::vector<uint8_t> expected(kPages * PageBytes(shape), 0xff);
    for (size_t head = 0; head < 6; ++head) {
      for (const KvPart part : kKvParts) {
        for (size_t r = 1; r < rows.size(); ++r) {
          std::vector<uint8_t> paged(PagePartBytes(kType, size));
          UnpackPart(kType, part, size, &frame[shape.FrameOffset(rows.size(), head, part, r)], paged.data());
          for (size_t i = 0; i < paged.size(); ++i) {
            expected[ByteOf(pages, rows[r], static_cast<int>(head / 2),
                            static_cast<int>(head % 2 * 2 + (part == KvPart::kValue)), i)] = paged[i];
          }
        }
      }
    }
    pages.data = device.New<uint8_t>(expected.size());
    const int count = static_cast<int>(rows.size());
    ASSERT_TRUE(ScatterRows(device.stream(), device.Upload(frame), device.Upload(rows), count, pages).ok());
    ASSERT_EQ(device.Download(pages.data, expected.size()), expected);

    rows.erase(rows.begin());  // back, without the one that went nowhere
    uint8_t* again = device.New<uint8_t>(rows.size() * shape.row_bytes());
    ASSERT_TRUE(GatherRows(device.stream(), pages, device.Upload(rows), count - 1, again).ok());
    const std::vector<uint8_t> gathered = device.Download(again, rows.size() * shape.row_bytes());
    for (size_t head = 0; head < 6; ++head) {
      for (const KvPart part : kKvParts) {
        for (size_t r = 0; r < rows.size(); ++r) {
          const auto begin = gathered.begin() + shape.FrameOffset(rows.size(), head, part, r);
          const auto from = frame.begin() + shape.FrameOffset(rows.size() + 1, head, part, r + 1);
          ASSERT_TRUE(std::equal(begin, begin + shape.part_bytes(part), from)) << head << " " << r;
        }
      }
    }
  }
}

TEST(KvRows, NothingOfNoRows) {
  TestDevice device(std::nullopt);
  EXPECT_TRUE(GatherRows(device.stream(), {}, nullptr, 0, nullptr).ok());
  EXPECT_TRUE(ScatterRows(device.stream(), nullptr, nullptr, 0, {}).ok());
}

}  // namespace
}  // namespace kedge::cuda
