// Tested by equality_test.cc, whose golden hashes are ends of trails.
#include "tests/golden_bits.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/kv/page_pool.h"

namespace kedge {
namespace {

// FNV-1a, and what it was after each piece.
class Trail {
 public:
  void Add(absl::Span<const uint8_t> bytes) {
    for (const uint8_t byte : bytes) hash_ = (hash_ ^ byte) * 0x100000001b3u;
  }
  template <typename T>
  void AddValues(absl::Span<const T> values) {
    Add({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)});
  }
  void EndPiece() { after_.push_back(hash_); }
  BitsTrail Take() { return std::move(after_); }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
  BitsTrail after_;
};

// Row r of a frame of `count` rows, whose order is [layer][kv head][key, value][row].
std::vector<uint8_t> RowOfFrame(const RowShape& shape, absl::Span<const uint8_t> frame, size_t count, size_t r) {
  std::vector<uint8_t> row;
  for (size_t head = 0; head < size_t{shape.layers} * shape.kv_heads; ++head) {
    for (const KvPart part : kKvParts) {
      const auto begin = frame.begin() + shape.FrameOffset(count, head, part, r);
      row.insert(row.end(), begin, begin + shape.part_bytes(part));
    }
  }
  return row;
}

}  // namespace

std::vector<TinyModelOptions> GoldenModels() {
  std::vector<TinyModelOptions> models;
  models.push_back({.seed = 1});
  models.push_back({.seed = 2, .hidden = 40, .heads = 5, .kv_heads = 1, .head_dim = 8, .ffn = 72, .tied = false});
  models.push_back({.seed = 3, .heads = 2, .kv_heads = 2, .head_dim = 10, .weight_type = TensorType::kF16});
  models.push_back(
      {.seed = 4, .heads = 6, .kv_heads = 3, .head_dim = 12, .weight_type = TensorType::kBF16, .rope_factors = true});
  models.push_back({.seed = 5, .weight_type = TensorType::kQ8_0, .embedding_type = TensorType::kQ8_0});
  models.push_back(
      {.seed = 6, .heads = 8, .kv_heads = 2, .head_dim = 32, .weight_type = TensorType::kQ4_0, .tied = false});
  models.push_back({.seed = 7, .weight_type = TensorType::kQ4_1, .embedding_type = TensorType::kQ8_0});
  models.push_back({.seed = 9, .head_dim = 24, .architecture = "qwen3", .rope_scaling = "yarn"});
  models.push_back({.seed = 10, .weight_type = TensorType::kQ8_0, .architecture = "qwen2"});
  models.push_back({.seed = 11,
                    .hidden = 256,
                    .kv_heads = 1,
                    .head_dim = 64,
                    .ffn = 256,
                    .weight_type = TensorType::kQ4_K,
                    .embedding_type = TensorType::kQ6_K});
  models.push_back({.seed = 12,
                    .hidden = 256,
                    .heads = 2,
                    .kv_heads = 1,
                    .head_dim = 128,
                    .ffn = 256,
                    .weight_type = TensorType::kQ5_K,
                    .embedding_type = TensorType::kQ5_1,
                    .architecture = "qwen3"});
  models.push_back({.seed = 13,
                    .heads = 2,
                    .kv_heads = 2,
                    .head_dim = 80,
                    .weight_type = TensorType::kQ5_0,
                    .embedding_type = TensorType::kF16,
                    .architecture = "qwen2"});
  return models;
}

std::vector<Content> GoldenContents(uint32_t vocab_size) {
  std::vector<Policy> policies(4);
  policies[0] = {.recent = Policy::kAll};
  policies[1] = {.anchors = {20}, .longest = 13, .sinks = 2, .recent = 9};
  policies[2] = {.anchors = {20, 21}, .sinks = 4, .recent = 40, .view = Policy::View::kAll};
  policies[3] = {.anchors = {20}, .keep_anchors = false, .sinks = 2, .recent = 12, .view = Policy::View::kAll};
  policies[3].prefill_full = policies[3].write_full = true;
  policies[3].salient_millionths = 300000;
  std::vector<Content> contents;
  for (uint32_t i = 0; i < policies.size(); ++i) {
    Content& content = contents.emplace_back(Content{.prompt_length = 70, .policy = policies[i]});
    content.turn_begin = 31;  // of a chat
    for (uint32_t at = 0; at < 90; ++at) {
      content.ids.push_back((at + i) % 11 == 10 ? 20 : (at * at * 7 + at * 31 + i * 13) % vocab_size);
    }
  }
  return contents;
}

absl::StatusOr<std::vector<BitsTrail>> TrailsOfBits(absl::Span<const Content> contents, uint32_t chunk,
                                                    StepDevice* device) {
  PagePool pool(device->num_pages());
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (const Content& content : contents) {
    KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool.Reserve(PagesFor(content, 0, chunk, 0)));
    sequences.push_back(std::make_unique<Sequence>(content, std::move(lease), &kGoldenHeads));
  }
  std::vector<Trail> trails(contents.size());
  while (true) {
    std::vector<Slice> slices;
    std::vector<size_t> owners;  // of the rows
    StepPlan plan;
    for (size_t i = 0; i < sequences.size(); ++i) {
      const uint32_t rows = std::min(chunk, sequences[i]->ready());
      if (rows == 0) continue;
      slices.push_back({sequences[i].get(), rows, WantedLogits::kAll});
      owners.insert(owners.end(), rows, i);
      sequences[i]->Plan(rows, WantedLogits::kAll, &plan);
    }
    if (slices.empty()) break;
    std::vector<RowRef> rows;
    for (const PlanRow& row : plan.rows) {
      const PageTables& tables = plan.tables[row.tables];
      rows.push_back({tables.recent[row.position / kPageRows - tables.first_recent_page], row.position % kPageRows});
    }
    const std::unique_ptr<StepFuture> step = device->Launch(std::move(plan));
    KEDGE_RETURN_IF_ERROR(FinishStep(slices, step.get(), device));
    const RowBuffer frame = device->NewRowBuffer(rows.size() * device->row_shape().row_bytes());
    KEDGE_RETURN_IF_ERROR(device->ReadRows(rows, frame)->Wait());
    for (size_t r = 0; r < owners.size(); ++r) {
      trails[owners[r]].AddValues(step->Logits(r));
      trails[owners[r]].EndPiece();
      trails[owners[r]].Add(RowOfFrame(device->row_shape(), frame.bytes, owners.size(), r));
      trails[owners[r]].EndPiece();
    }
    for (const Slice& slice : slices) slice.sequence->DropUnseen();
  }
  std::vector<BitsTrail> results;
  for (size_t i = 0; i < sequences.size(); ++i) {
    for (const PositionRange& range : sequences[i]->content().salient.value_or(std::vector<PositionRange>())) {
      const uint32_t ends[] = {range.begin, range.end};
      trails[i].AddValues(absl::MakeConstSpan(ends));
    }
    trails[i].EndPiece();
    results.push_back(trails[i].Take());
  }
  return results;
}

}  // namespace kedge
