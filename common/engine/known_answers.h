// A node's answers to ids that nobody could know before: what its weights, kernels and memory make of them, to the bit.
#ifndef KEDGE_COMMON_ENGINE_KNOWN_ANSWERS_H_
#define KEDGE_COMMON_ENGINE_KNOWN_ANSWERS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/kernels/step.h"
#include "common/kv/page_pool.h"

namespace kedge {

// One question after another, each a request of its own with full attention that takes what rows a step has left: one
// at least, so it ends, and no request waits for it. It takes nothing from a cache and leaves nothing there. Part of an
// engine, and owned by its thread.
class KnownAnswers {
 public:
  static constexpr uint32_t kMostIds = 256;
  static constexpr size_t kMostQuestions = 16;
  // The answer is a hash of all bytes of the rows, and of the last one's logits; or, where the model gives what is no
  // number for these ids, that it does.
  using Answered = std::function<void(absl::StatusOr<std::string>)>;

  // Both must outlive this.
  KnownAnswers(uint32_t context_length, StepDevice* device, PagePool* pool)
      : context_length_(context_length), device_(device), pool_(pool) {}

  // `answered` runs once: in a later turn, or at once with kInvalidArgument, which names the field, or
  // kResourceExhausted; never, if this is destroyed before.
  void Add(std::vector<uint32_t> ids, Answered answered);

  // Adds the rows of the next step that it needs, at most `rows`.
  void AddSlice(uint32_t rows, std::vector<Slice>* slices);
  static bool Owns(const StepUnderWay::Part& part) { return part.request == kRequest; }
  // Takes its part of a step that is done. `status`: of the step's Wait.
  void Settle(const StepUnderWay& step, const StepUnderWay::Part& part, const absl::Status& status);
  // Gives the answer if its rows have been copied. `wait`: for the copy, if it is under way.
  void Finish(bool wait);

  // Whether a further turn brings it on.
  bool HasWork() const;

 private:
  static constexpr uint64_t kRequest = UINT64_MAX;  // engines number theirs from 1
  struct Question {
    Content content;
    uint32_t pages = 0;
    Answered answered;
    std::unique_ptr<Sequence> sequence;  // once it has rows
    std::vector<float> logits;           // of the last row
    RowBuffer rows;
    std::unique_ptr<StepFuture> copy;  // of the rows, once they are computed
  };

  void End(absl::StatusOr<std::string> answer);

  const uint32_t context_length_;
  StepDevice* const device_;
  PagePool* const pool_;
  std::deque<Question> questions_;  // the first is under way
};

}  // namespace kedge

#endif  // KEDGE_COMMON_ENGINE_KNOWN_ANSWERS_H_
