// Tested by head_rows_test.cc.
#include "eval/head_rows.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/base/status.h"

namespace kedge {
namespace {

constexpr size_t kNeighbours = 2;  // on each side of a position
constexpr size_t kChunk = 20;

// Sums over a position and its neighbours: beyond the ends there are zeros.
std::vector<uint64_t> Pooled(const std::vector<uint64_t>& scores) {
  std::vector<uint64_t> pooled(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const size_t begin = i - std::min(i, kNeighbours), end = std::min(i + kNeighbours + 1, scores.size());
    pooled[i] = std::accumulate(scores.begin() + begin, scores.begin() + end, uint64_t{0});
  }
  return pooled;
}

// Numbers of `scores`, the greatest first.
template <typename Score>
std::vector<uint32_t> InOrder(const std::vector<Score>& scores) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  return order;
}

}  // namespace

absl::StatusOr<HeadScores> ObserveHeads(const ComputedPrompt& prompt, uint32_t recent_begin, uint32_t num_heads,
                                        PagePool* pool, StepDevice* device) {
  const RowShape& shape = device->row_shape();
  const uint32_t group = num_heads / shape.kv_heads;
  HeadScores scores(size_t{shape.layers} * shape.kv_heads, std::vector<uint64_t>(recent_begin));
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence, Repeat(prompt, recent_begin, pool, device));
  std::vector<HeadRef> heads;
  for (uint32_t layer = 0; layer < shape.layers; ++layer) {
    for (uint32_t head = 0; head < num_heads; ++head) heads.push_back({layer, head});
  }
  std::vector<uint32_t> each(recent_begin);  // a range for each position
  std::iota(each.begin(), each.end(), 1u);
  while (sequence->pending() > 0) {
    StepPlan plan;
    sequence->Plan(std::min(device->max_rows(), sequence->pending()), WantedLogits::kNone, &plan);
    for (PlanRow& row : plan.rows) row.wants_mass = true;
    plan.mass_heads = heads;
    plan.mass_ends = {each};
    const size_t rows = plan.rows.size();
    const std::unique_ptr<StepFuture> step = device->Launch(std::move(plan));
    KEDGE_RETURN_IF_ERROR(step->Wait());
    KEDGE_RETURN_IF_ERROR(step->CheckRows(0, rows));
    for (size_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < heads.size(); ++i) {
        std::vector<uint64_t>& sums = scores[heads[i].layer * shape.kv_heads + heads[i].head / group];
        const absl::Span<const uint32_t> mass = step->Mass(row, i);
        for (uint32_t position = 0; position < recent_begin; ++position) sums[position] += mass[position];
      }
    }
    sequence->Settle(*step, 0, device);
  }
  return scores;
}

HeadRows ChooseByHead(const HeadScores& scores, uint32_t count) {
  HeadRows rows;
  for (const std::vector<uint64_t>& head : scores) {
    std::vector<uint32_t>& chosen = rows.emplace_back(InOrder(Pooled(head)));
    chosen.resize(count);
    std::sort(chosen.begin(), chosen.end());
  }
  return rows;
}

HeadRows ChooseChunks(const HeadScores& scores, uint32_t kv_heads, uint32_t count) {
  HeadRows rows;
  for (size_t first = 0; first < scores.size(); first += kv_heads) {
    const size_t positions = scores[first].size();
    std::vector<double> chunks((positions + kChunk - 1) / kChunk);
    for (size_t head = first; head < first + kv_heads; ++head) {
      const std::vector<uint64_t> pooled = Pooled(scores[head]);
      for (size_t i = 0; i < positions; ++i) chunks[i / kChunk] += static_cast<double>(pooled[i]);
    }
    for (size_t i = 0; i < chunks.size(); ++i) chunks[i] /= std::min(kChunk, positions - i * kChunk);
    std::vector<uint32_t> chosen;
    for (uint32_t chunk : InOrder(chunks)) {
      for (size_t i = chunk * kChunk; i < std::min(positions, (chunk + 1) * kChunk) && chosen.size() < count; ++i) {
        chosen.push_back(static_cast<uint32_t>(i));
      }
    }
    std::sort(chosen.begin(), chosen.end());
    rows.insert(rows.end(), kv_heads, chosen);
  }
  return rows;
}

}  // namespace kedge
