// Tested by head_rows_test.cc.
#include "eval/head_rows.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "common/base/status.h"

namespace kedge {
namespace {

constexpr size_t kNeighbours = 2;  // on each side of a position
constexpr size_t kChunk = 20;
constexpr uint32_t kRepeatedAtOnce = 2048;  // positions
constexpr size_t kPostfix = 8;              // that say where the next of them begin
constexpr size_t kMassesAtOnce = 64 << 20;  // of one step: 256 MiB

// Numbers of `scores`, the greatest first.
template <typename Score>
std::vector<uint32_t> InOrder(const std::vector<Score>& scores) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  return order;
}

HeadScores NoScores(const RowShape& shape, uint32_t positions) {
  return HeadScores(size_t{shape.layers} * shape.kv_heads, std::vector<uint64_t>(positions));
}

// Computes what is pending and tells add(score, mass) what each row's heads give to positions of `range`.
template <typename Add>
absl::Status Observe(PositionRange range, uint32_t num_heads, const Add& add, Sequence* sequence, StepDevice* device,
                     HeadScores* scores) {
  const RowShape& shape = device->row_shape();
  const uint32_t group = num_heads / shape.kv_heads;
  std::vector<HeadRef> heads;
  for (uint32_t layer = 0; layer < shape.layers; ++layer) {
    for (uint32_t head = 0; head < num_heads; ++head) heads.push_back({layer, head});
  }
  std::vector<uint32_t> each(range.end);  // a range for each position
  std::iota(each.begin(), each.end(), 1u);
  const size_t most = std::max<size_t>(1, kMassesAtOnce / (heads.size() * each.size()));
  while (sequence->pending() > 0) {
    StepPlan plan;
    sequence->Plan(static_cast<uint32_t>(std::min<size_t>({most, device->max_rows(), sequence->pending()})),
                   WantedLogits::kNone, &plan);
    for (PlanRow& row : plan.rows) row.wants_mass = true;
    plan.mass_heads = heads;
    plan.mass_ends = {each};
    const size_t rows = plan.rows.size();
    const std::unique_ptr<StepFuture> step = device->Launch(std::move(plan));
    KEDGE_RETURN_IF_ERROR(step->Wait());
    KEDGE_RETURN_IF_ERROR(step->CheckRows(0, rows));
    for (size_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < heads.size(); ++i) {
        std::vector<uint64_t>& own = (*scores)[heads[i].layer * shape.kv_heads + heads[i].head / group];
        const absl::Span<const uint32_t> mass = step->Mass(row, i);
        for (uint32_t position = range.begin; position < range.end; ++position) add(own[position], mass[position]);
      }
    }
    sequence->Settle(*step, 0, device);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HeadScores> ObserveLatest(const ComputedPrompt& prompt, uint32_t recent_begin, uint32_t num_heads,
                                         PagePool* pool, StepDevice* device) {
  HeadScores scores = NoScores(device->row_shape(), recent_begin);
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence, Repeat(prompt, recent_begin, pool, device));
  auto add = [](uint64_t& score, uint32_t mass) { score += mass; };
  KEDGE_RETURN_IF_ERROR(Observe({0, recent_begin}, num_heads, add, sequence.get(), device, &scores));
  return scores;
}

absl::StatusOr<HeadScores> ObserveRepetition(const PrefixState& state, absl::Span<const uint32_t> ids,
                                             const IdsOf& ids_of, uint32_t num_heads, PagePool* pool,
                                             StepDevice* device) {
  HeadScores scores = NoScores(device->row_shape(), state.end);
  for (uint32_t begin = 0; begin < state.end; begin += kRepeatedAtOnce) {
    const uint32_t end = std::min(state.end, begin + kRepeatedAtOnce);
    std::vector<uint32_t> repeated(ids.begin(), ids.begin() + state.end);
    const auto add = [&](absl::Span<const uint32_t> more) {
      repeated.insert(repeated.end(), more.begin(), more.end());
    };
    add(ids_of(begin == 0 ? "\n\nRepeat the previous context exactly."
                          : "\n\nRepeat the part of the previous context exactly, starting with "));
    if (begin > 0) add(ids.subspan(begin - kPostfix, kPostfix));
    add(ids_of("\n\n"));
    add(ids.subspan(begin, end - begin));
    const uint32_t length = static_cast<uint32_t>(repeated.size());
    Content content{.ids = std::move(repeated), .prompt_length = length + 1, .policy = kFullAttention};
    KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<Sequence> sequence,
                           GoOnFrom(state, std::move(content), nullptr, /*max_new=*/0, pool, device));
    const auto most = [](uint64_t& score, uint32_t mass) { score = std::max<uint64_t>(score, mass); };
    KEDGE_RETURN_IF_ERROR(Observe({begin, end}, num_heads, most, sequence.get(), device, &scores));
  }
  return scores;
}

HeadScores KeepingWhatFollows(HeadScores scores, uint32_t positions) {
  for (std::vector<uint64_t>& head : scores) head.resize(positions, std::numeric_limits<uint64_t>::max());
  return scores;
}

HeadScores Pooled(const HeadScores& scores) {
  HeadScores pooled;
  for (const std::vector<uint64_t>& head : scores) {
    std::vector<uint64_t>& sums = pooled.emplace_back(head.size());
    for (size_t i = 0; i < head.size(); ++i) {
      const size_t begin = i - std::min(i, kNeighbours), end = std::min(i + kNeighbours + 1, head.size());
      sums[i] = std::accumulate(head.begin() + begin, head.begin() + end, uint64_t{0});
    }
  }
  return pooled;
}

HeadRows ChooseByHead(const HeadScores& scores, uint32_t count) {
  HeadRows rows;
  for (const std::vector<uint64_t>& head : scores) {
    std::vector<uint32_t>& chosen = rows.emplace_back(InOrder(head));
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
      for (size_t i = 0; i < positions; ++i) chunks[i / kChunk] += static_cast<double>(scores[head][i]);
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
