// Tested by fastest_set_test.cc.
#include "common/kernels/cpu/fastest_set.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/steady_time.h"
#include "common/kernels/cpu/panels.h"
#include "common/kernels/tensor_type.h"

namespace kedge {
namespace {

constexpr int kRounds = 10;
// A product of a prompt's rows, so small that caches hold it. Its values are zeros: no kernel's time depends on them.
constexpr int kInputs = 1536, kRows = 32, kPanelsOfThread = 8, kPanelsAtOnce = 2;
constexpr TensorType kType = TensorType::kQ4_1;  // which most of a model's weights resemble
constexpr size_t kBlocks = kInputs / 32;

class TimedProduct {
 public:
  explicit TimedProduct(ThreadPool* pool)
      : pool_(pool),
        outputs_(kPanelsOfThread * kPanelOutputs * pool->threads()),
        weights_(size_t(outputs_) * kBlocks * BlockBytes(kType)),
        matrix_(kType, outputs_, kInputs, weights_, *pool),
        rows_(kRows * kBlocks),
        products_(kRows * size_t(outputs_)) {}

  absl::Duration Time(InstructionSet set) {
    const auto multiply = KernelsFor(set).multiply_quantized;
    const absl::Time start = SteadyNow();
    pool_->Run(matrix_.panels() / kPanelsAtOnce, [&](int, int item) {
      const int begin = item * kPanelsAtOnce;
      multiply(matrix_.view(), begin, begin + kPanelsAtOnce, rows_.data(), kRows, products_.data(), outputs_, {});
    });
    return SteadyNow() - start;
  }

 private:
  ThreadPool* const pool_;
  const int outputs_;
  const std::vector<uint8_t> weights_;
  const CpuMatrix matrix_;
  const std::vector<QuantizedBlock> rows_;
  std::vector<float> products_;
};

InstructionSet Measure(ThreadPool* pool) {
  if (!IsAvailable(InstructionSet::kAmxInt8)) return BestInstructionSet();
  TimedProduct product(pool);
  return FastestOf({InstructionSet::kAvx512Vnni, InstructionSet::kAmxInt8},
                   [&](InstructionSet set) { return product.Time(set); });
}

}  // namespace

InstructionSet FastestInstructionSet(ThreadPool& pool) {
  static const InstructionSet fastest = Measure(&pool);
  return fastest;
}

InstructionSet FastestOf(absl::Span<const InstructionSet> sets,
                         absl::FunctionRef<absl::Duration(InstructionSet)> time) {
  std::vector<absl::Duration> least(sets.size(), absl::InfiniteDuration());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < sets.size(); ++i) least[i] = std::min(least[i], time(sets[i]));
  }
  size_t fastest = 0;
  for (size_t i = 1; i < sets.size(); ++i) {
    if (least[i] <= least[fastest]) fastest = i;
  }
  return sets[fastest];
}

}  // namespace kedge
